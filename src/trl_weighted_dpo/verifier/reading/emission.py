"""Items, one by one: what the readers of a text share to put down what they find."""

from trl_weighted_dpo.verifier.reading.lexemes import Lexeme, lexemes

Item = tuple[str, str, int, int]
"""Kind, text, start, end. Kinds: `n` number, `o` operator, `%`, `(`, `)`, `a` name, `f` function and `!` make
expressions; `r` is a relation; `$` currency and `u` a unit, which are dropped; `c` words before an operand; `w` words
in the place of one; `?` what cannot be read; `|` the end of a clause."""

LOOK_BACK = 40
"""Items of a clause that are looked at once more."""

_LOOK_AHEAD = 4
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NOTHING: Lexeme = (",", "", -1, -1)


class Emitter:
    """The lexemes of a text with the place that was reached, and the items so far.

    Args:
        text (`str`): The text, in plain characters.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lexemes = lexemes(text)
        self.count = len(self.lexemes)
        # So that looking ahead needs no look at the end.
        self.lexemes += [_NOTHING] * _LOOK_AHEAD
        self.index = 0
        self.items: list[Item] = []
        self.needs_operand = True
        self.depth = 0
        self.is_delimited = False
        self.done: list[tuple[str, list[Item]]] = []
        self.outer: list[tuple[str, list[Item], bool, int]] = []
        self.closing: dict[int, int] | None = None
        self.ends: list[int] = []

    def _emit(self, kind: str, text: str, start: int, end: int, needs_operand: bool = False) -> None:
        self.items.append((kind, text, start, end))
        self.needs_operand = needs_operand
        self.is_delimited = False

    def _taint(self, position: int) -> None:
        """Marks what comes as unreadable, up to the end of its side."""
        self._emit("?", "", position, position, needs_operand=True)

    def _end(self, text: str, start: int, end: int) -> None:
        last = self._last()
        if text == ":" and last == "r":
            return
        self._emit("|", "", start, start, needs_operand=True)
        if last == "o":
            # `. 84` after a plus sign, or a bracket that never closes: what comes is not the whole.
            self._taint(start)

    def _boundary(self, position: int) -> None:
        self._emit("|", "", position, position, needs_operand=True)

    def _last(self) -> str:
        return self.items[-1][0] if self.items else "|"

    def _lexeme(self, offset: int = 0) -> Lexeme:
        return self.lexemes[self.index + offset]

    def _peek(self) -> str:
        """The kind of the next lexeme that says something; a line that begins with a relation goes on."""
        kind = self.lexemes[self.index][0]
        if kind != "d" and kind != "l":
            return kind
        for offset in range(3):
            kind = self._lexeme(offset)[0]
            if kind == "l":
                return "r" if self._lexeme(offset + 1)[0] == "r" else ","
            if kind != "d":
                return kind
        return ","

    def _brackets(self) -> dict[int, int]:
        """The closing bracket of each opening one, by index; `ends` counts what ends or splits clauses up to each."""
        if self.closing is None:
            self.closing = {}
            self.ends = [0]
            stack: list[int] = []
            for index, (kind, text, _, _) in enumerate(self.lexemes):
                if kind == "(":
                    stack.append(index)
                elif kind == ")" and stack and _CLOSING[self.lexemes[stack[-1]][1]] == text:
                    self.closing[stack.pop()] = index
                self.ends.append(self.ends[-1] + (kind in "r,l<"))
        return self.closing

    def _enter(self, source: str) -> None:
        self.outer.append((source, self.items, self.needs_operand, self.depth))
        self.items, self.needs_operand, self.depth = [], True, 0

    def _leave(self) -> None:
        inner = self.items
        source, self.items, self.needs_operand, self.depth = self.outer.pop()
        self.done.append((source, inner))
