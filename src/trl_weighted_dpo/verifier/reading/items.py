"""Lexemes to items: what belongs to expressions, what is a unit or a remark, and where an expression begins and ends.

The rule is to read an expression completely or not at all: wherever an operand, a word or a mark might belong to it and
cannot be read, an item `?` stands in its place, and nothing is made of the whole side.
"""

from trl_weighted_dpo.verifier.reading import vocabulary
from trl_weighted_dpo.verifier.reading.emission import LOOK_BACK, Item
from trl_weighted_dpo.verifier.reading.grammar import MAX_DEPTH
from trl_weighted_dpo.verifier.reading.vocabulary import is_name, is_operand_name
from trl_weighted_dpo.verifier.reading.words import WordReader


def streams(text: str) -> list[tuple[str, list[Item]]]:
    """Returns the items of a text in plain characters: its own, and those of each `<<...>>` and of each bracket with a
    statement in it apart, with where they come from: `calculator` or "". A `<<...>>` of nothing but plain numbers and
    operators is one item, from a `calculation`."""
    return _Reader(text).read()


class _Reader(WordReader):
    """One pass over the lexemes; what each means depends on whether an operand or an operator is expected."""

    def read(self) -> list[tuple[str, list[Item]]]:
        every = self.lexemes
        while self.index < self.count:
            kind, text, start, end = every[self.index]
            self.index += 1
            _HANDLERS[kind](self, text, start, end)
        while self.outer:
            self._leave()
        self.done.append(("", self.items))
        return self.done

    # Numbers, operators, relations

    def _number(self, text: str, start: int, end: int) -> None:
        last = self.items[-1] if self.items else ("|", "", -1, -1)
        if not self.needs_operand:
            if not self._continues_number(last, start):
                if self.depth or (
                    last[0] in "n?!)" and not self._begins_equation(end) and not self._is_numbering(last)
                ):
                    self._emit("?", "", start, end)
                    return
                self._boundary(start)
        elif last[0] in "c$" and not self.is_delimited and self._is_bound():
            if last[1].lower() == "step" and self._lexeme()[:3] == ("o", "-", end + 1):
                # `Step 3 - 4 + 5 = 9`
                self.index += 1
                self._boundary(end)
                return
            self._taint(start)
        elif last[0] == "|" and len(text) == 3 and self.text[start - 2 : start] == ", " and self._digit_at(start - 3):
            # `14, 400`
            self._taint(start)
        if text[0] == "0" and text[1:2].isdigit():
            self._taint(start)
        self._emit("n", text, start, end)
        kind, words, begin, _ = self.lexemes[self.index]
        if begin == end and kind == "w" and vocabulary.is_ordinal(words):
            self._emit("?", "", end, end)

    def _digit_at(self, position: int) -> bool:
        return position >= 0 and self.text[position].isdigit()

    def _is_bound(self) -> bool:
        """Whether the words before an operand, or a number before these, make something else of it."""
        at = len(self.items) - 1
        if self.items[at][0] == "$":
            at -= 1
        if at < 0 or self.items[at][0] != "c":
            return False
        words, start = self.items[at][1], self.items[at][2]
        if vocabulary.is_bound(words):
            return True
        before = self.items[at - 1] if at else ("", "", -1, -1)
        if before[0] == "r":
            return not vocabulary.qualifies(words)
        return (
            before[0] == "|"
            and before[2] == start
            and at > 1
            and self.items[at - 2][0] in "nu%"
            and (vocabulary.groups(words))
        )

    def _is_numbering(self, last: Item) -> bool:
        """Whether a bracket that begins a clause and holds one number is behind: `(3) 4 + 5 = 9`."""
        if last[0] != ")" or [item[0] for item in self.items[-3:]] != ["(", "n", ")"]:
            return False
        return len(self.items) == 3 or self.items[-4][0] == "|"

    def _continues_number(self, last: Item, start: int) -> bool:
        """The second number of `1 1/2` and of `\\frac 1 2`."""
        if last[0] != "n":
            return False
        if len(self.items) >= 2 and self.items[-2][0] == "f":
            return True
        return start == last[3] + 1 and self._lexeme()[:2] == ("o", "/")

    def _begins_equation(self, end: int) -> bool:
        """Whether the number before `end` is the factor of a name before a sign: `2x = 110 - 20 2x = 90`."""
        kind, name, start, _ = self._lexeme()
        return kind == "w" and start == end and self._lexeme(1)[0] == "r" and self._begins_clause(name)

    def _operator(self, sign: str, start: int, end: int) -> None:
        last = self._last()
        if not self.needs_operand:
            if sign == "^" and last == "u":
                # The power of a unit.
                self.index = self._brackets().get(self.index, self.index) + 1
                return
            if sign == "/":
                kind, text, begin, _ = self._lexeme()
                if kind in "wt" and text[1:2].isalpha() and (last == "u" or begin == end):
                    # `$12/hour`
                    self._unit_after_slash()
                    return
            self._emit("o", sign, start, end, needs_operand=True)
        elif last in "o(r$f":
            self._emit("o" if sign in "+-" else "?", sign, start, end, needs_operand=True)
        elif self.index < 2 or self.lexemes[self.index - 2][0] == "l":
            self._line_begins_with(sign, start, end)
        elif sign == "-" and self.text[end : end + 1] != " ":
            self._emit("o", sign, start, end, needs_operand=True)
        else:
            self._taint(start)

    def _line_begins_with(self, sign: str, start: int, end: int) -> None:
        """A sign at the start of a line: a bullet, a minus sign, or more of an expression of the line before."""
        is_plain_line = self.index < 2 or self.lexemes[self.index - 2][1][:1] != "\\"
        is_bullet = sign in "*-" and self.text[end : end + 1] == " " and is_plain_line
        if self._goes_on_from_last_line() or not (is_bullet or (sign == "-" and is_plain_line)):
            self._taint(start)
        elif is_bullet:
            self._emit("c", sign, start, end, needs_operand=True)
        else:
            self._emit("o", sign, start, end, needs_operand=True)

    def _goes_on_from_last_line(self) -> bool:
        """Whether the line before ends in a number and states nothing, as the lines of a sum written in columns do."""
        if self.index < 3 or self.lexemes[self.index - 3][0] not in "n)":
            return False
        for item in reversed(self.items[-LOOK_BACK:-1]):
            if item[0] == "r":
                return False
            if item[0] == "|":
                break
        return True

    def _unit_after_slash(self) -> None:
        _, text, start, end = self.lexemes[self.index]
        self.index += 1
        first, _, rest = text.partition(" ")
        self._emit("u", "/" + first, start, start + len(first))
        if rest:
            self._words(rest, start + len(first) + 1, end)

    def _relation(self, sign: str, start: int, end: int) -> None:
        self._emit("r", sign, start, end, needs_operand=True)

    def _percent(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand:
            # Between two numbers, it is the sign of a remainder.
            self._emit("?" if self._peek() == "n" else "%", "%", start, end)

    def _currency(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand and self._peek() == "n" and not self.depth:
            self._boundary(start)
        self._emit("$", "$", start, end, needs_operand=self.needs_operand)

    def _shout(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand and self.items[-1][3] == start and self._last() in "n)a":
            # Of a factorial, or of joy.
            is_factorial = self._peek() in "or)" or self._lexeme()[:3] == ("(", "(", end)
            self._emit("!" if is_factorial else "?", "!", start, end)
        else:
            self._end("", start, end)

    def _opaque(self, text: str, start: int, end: int) -> None:
        self._emit("?", "", start, end)

    def _delimiter(self, text: str, start: int, end: int) -> None:
        self.is_delimited = True

    def _function(self, name: str, start: int, end: int) -> None:
        if not self.needs_operand and self.is_delimited and not self.depth:
            self._boundary(start)
        self._emit("f", name, start, end, needs_operand=True)

    def _line(self, text: str, start: int, end: int) -> None:
        if self._lexeme()[0] != "r" and self._last() not in "or":
            self._end("", start, end)

    # Brackets

    def _open(self, text: str, start: int, end: int) -> None:
        here = self.index - 1
        close = self._brackets().get(here)
        if close is None or self.depth >= MAX_DEPTH:
            self._end("", start, end)
            return
        is_apart = self.text[start - 1 : start] in (" ", "\n")
        last = self._last()
        if self.ends[close] > self.ends[here]:
            # It has clauses of its own.
            if not is_apart and not self.needs_operand:
                self._emit("?", "", start, end)
            self._enter("")
            return
        kind, word, _, _ = self.lexemes[self.index]
        if close == self.index or (kind in "wt" and not is_operand_name(word.partition(" ")[0])):
            if self.needs_operand and last in "or(f":
                self._emit("w", "", start, end)
            elif not self.needs_operand and not is_apart and last in "n)%":
                # `3(number of trucks)`
                self._emit("?", "", start, end)
            self.index = close + 1
            return
        if not self.needs_operand:
            if is_apart and text == "(" and last in "nu%":
                # `12 (3 eggs) + 4`, `12 (3 * 4) + 5`: a remark, or a factor.
                inside = self.lexemes[self.index : min(close, self.index + 12)]
                if last == "u" or any(kind == "w" and not is_name(word) for kind, word, _, _ in inside):
                    self.index = close + 1
                    return
                if len(inside) > 1 and not any(kind == "w" for kind, _, _, _ in inside):
                    self._emit("?", "", start, end)
            elif self.is_delimited and not self.depth:
                self._boundary(start)
        self._emit("(", text, start, end, needs_operand=True)
        self.depth += 1

    def _close(self, text: str, start: int, end: int) -> None:
        if self.depth:
            self.depth -= 1
            if self.needs_operand:
                self._taint(start)
            self._emit(")", text, start, end)
        elif self.outer and self.outer[-1][0] == "":
            self._leave()
            if self.needs_operand and self._last() in "orf":
                self._emit("w", "", start, end)
        else:
            self._end("", start, end)

    def _calculator(self, text: str, start: int, end: int) -> None:
        if text == "<<":
            self._enter("calculator")
        else:
            self.done.append(("calculation", [("r", text, start, end)]))

    def _calculator_end(self, text: str, start: int, end: int) -> None:
        while self.outer and self.outer[-1][0] == "":
            self._leave()
        if self.outer:
            self._leave()


_HANDLERS = {
    "w": _Reader._words, "n": _Reader._number, "o": _Reader._operator, "r": _Reader._relation, ",": _Reader._end,
    "l": _Reader._line, "<": _Reader._calculator, ">": _Reader._calculator_end, "%": _Reader._percent,
    "$": _Reader._currency, "(": _Reader._open, ")": _Reader._close, "d": _Reader._delimiter, "t": _Reader._roman,
    "f": _Reader._function, "!": _Reader._shout, "q": _Reader._opaque,
}  # fmt: skip
"""What deals with each kind of lexeme."""
