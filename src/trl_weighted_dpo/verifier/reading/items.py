"""Lexemes to items: what belongs to expressions, what is a unit or a remark, and where an expression begins and ends.

The rule is to read an expression completely or not at all: wherever an operand, a word or a mark might belong to it and
cannot be read, an unreadable item stands in its place, and nothing is made of the whole side.
"""

from trl_weighted_dpo.verifier.reading import vocabulary
from trl_weighted_dpo.verifier.reading.grammar import MAX_DEPTH
from trl_weighted_dpo.verifier.reading.lexemes import Lexeme, LexemeKind, lexemes
from trl_weighted_dpo.verifier.reading.vocabulary import is_name, is_operand_name

Item = tuple[str, str, int, int]
"""Kind (one of `ItemKind`), text, start, end."""


class ItemKind:
    """What an item is. One character each, so that the kinds of a clause are a string, which is searched fast."""

    # These make expressions.
    NUMBER = "n"
    OPERATOR = "o"
    PERCENT = "%"
    OPEN = "("
    CLOSE = ")"
    NAME = "a"
    FUNCTION = "f"
    FACTORIAL = "!"

    RELATION = "r"
    # These two are dropped.
    CURRENCY = "$"
    UNIT = "u"
    # Words before an operand, and words in the place of one.
    CONTEXT = "c"
    WORDS = "w"
    UNREADABLE = "?"
    BOUNDARY = "|"


LOOK_BACK = 40
"""Items of a clause that are looked at once more."""

_LOOK_AHEAD = 4
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NOTHING: Lexeme = (LexemeKind.STOP, "", -1, -1)
_ARTICLES = frozenset({"a", "A", "I", "AI"})

# Items after which an expression needs an operand; after the first three it has begun.
_BEFORE_OPERAND = frozenset({ItemKind.OPERATOR, ItemKind.OPEN, ItemKind.FUNCTION})
_OPEN_ENDED = _BEFORE_OPERAND | {ItemKind.RELATION}
_OPERATOR_OR_RELATION = frozenset({ItemKind.OPERATOR, ItemKind.RELATION})
_BEGINNING = frozenset({ItemKind.RELATION, ItemKind.CURRENCY, ItemKind.BOUNDARY})
_VALUE = frozenset({ItemKind.NUMBER, ItemKind.UNIT, ItemKind.PERCENT})
_FACTOR = frozenset({ItemKind.NUMBER, ItemKind.CLOSE, ItemKind.NAME})
_MULTIPLIED = frozenset({ItemKind.NUMBER, ItemKind.CLOSE, ItemKind.PERCENT})
_UNSEPARATED = frozenset({ItemKind.NUMBER, ItemKind.UNREADABLE, ItemKind.FACTORIAL, ItemKind.CLOSE})
_LEADING = frozenset({ItemKind.CONTEXT, ItemKind.CURRENCY})
_BEFORE_VALUE = _OPERATOR_OR_RELATION | {ItemKind.FUNCTION}
_SAID = frozenset({ItemKind.UNIT, ItemKind.CURRENCY, ItemKind.CONTEXT})
_NOT_COMPUTED = frozenset({ItemKind.RELATION, ItemKind.UNREADABLE, ItemKind.WORDS, ItemKind.NAME})

# Lexemes that come next.
_AMOUNT = frozenset({LexemeKind.NUMBER, LexemeKind.CURRENCY})
_OPERAND = _AMOUNT | {LexemeKind.OPEN, LexemeKind.WORDS, LexemeKind.ROMAN, LexemeKind.FUNCTION}
_TEXT = frozenset({LexemeKind.WORDS, LexemeKind.ROMAN})
_JOINS = frozenset({LexemeKind.OPERATOR, LexemeKind.RELATION})
_ENDS_OPERAND = _JOINS | {LexemeKind.CLOSE}
_AFTER_NAME = _ENDS_OPERAND | {LexemeKind.OPEN, LexemeKind.PERCENT, LexemeKind.EXCLAMATION, LexemeKind.OPAQUE}
_AFTER_WORDS = _JOINS | {LexemeKind.ROMAN, LexemeKind.OPAQUE}
_AFTER_UNIT = _AFTER_NAME | {LexemeKind.CALCULATOR}
_SPLITS = frozenset({LexemeKind.RELATION, LexemeKind.STOP, LexemeKind.LINE, LexemeKind.CALCULATOR})


def streams(text: str) -> list[tuple[str, list[Item]]]:
    """Returns the items of a text in plain characters: its own, and those of each `<<...>>` and of each bracket with a
    statement in it apart, with where they come from: `calculator` or "". A `<<...>>` of nothing but plain numbers and
    operators is one item, from a `calculation`."""
    return _Reader(text).read()


class _Reader:
    """One pass over the lexemes; what each means depends on whether an operand or an operator is expected, and on what
    comes next.

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

    # Items, one by one

    def _emit(self, kind: str, text: str, start: int, end: int, needs_operand: bool = False) -> None:
        self.items.append((kind, text, start, end))
        self.needs_operand = needs_operand
        self.is_delimited = False

    def _taint(self, position: int) -> None:
        """Marks what comes as unreadable, up to the end of its side."""
        self._emit(ItemKind.UNREADABLE, "", position, position, needs_operand=True)

    def _end(self, text: str, start: int, end: int) -> None:
        last = self._last()
        if text == ":" and last == ItemKind.RELATION:
            return
        self._emit(ItemKind.BOUNDARY, "", start, start, needs_operand=True)
        if last == ItemKind.OPERATOR:
            # `. 84` after a plus sign, or a bracket that never closes: what comes is not the whole.
            self._taint(start)

    def _boundary(self, position: int) -> None:
        self._emit(ItemKind.BOUNDARY, "", position, position, needs_operand=True)

    def _last(self) -> str:
        return self.items[-1][0] if self.items else ItemKind.BOUNDARY

    def _lexeme(self, offset: int = 0) -> Lexeme:
        return self.lexemes[self.index + offset]

    def _peek(self) -> str:
        """The kind of the next lexeme that says something; a line that begins with a relation goes on."""
        kind = self.lexemes[self.index][0]
        if kind != LexemeKind.DELIMITER and kind != LexemeKind.LINE:
            return kind
        for offset in range(3):
            kind = self._lexeme(offset)[0]
            if kind == LexemeKind.LINE:
                following = self._lexeme(offset + 1)[0]
                return following if following == LexemeKind.RELATION else LexemeKind.STOP
            if kind != LexemeKind.DELIMITER:
                return kind
        return LexemeKind.STOP

    def _brackets(self) -> dict[int, int]:
        """The closing bracket of each opening one, by index; `ends` counts what ends or splits clauses up to each."""
        if self.closing is None:
            self.closing = {}
            self.ends = [0]
            stack: list[int] = []
            for index, (kind, text, _, _) in enumerate(self.lexemes):
                if kind == LexemeKind.OPEN:
                    stack.append(index)
                elif kind == LexemeKind.CLOSE and stack and _CLOSING[self.lexemes[stack[-1]][1]] == text:
                    self.closing[stack.pop()] = index
                self.ends.append(self.ends[-1] + (kind in _SPLITS))
        return self.closing

    def _enter(self, source: str) -> None:
        self.outer.append((source, self.items, self.needs_operand, self.depth))
        self.items, self.needs_operand, self.depth = [], True, 0

    def _leave(self) -> None:
        inner = self.items
        source, self.items, self.needs_operand, self.depth = self.outer.pop()
        self.done.append((source, inner))

    # Words

    def _words(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand:
            self._words_after_operand(text, start, end)
            return
        last, following = self._last(), self._peek()
        if last in _BEFORE_OPERAND or (last in _BEGINNING and " " not in text):
            first, _, rest = text.partition(" ")
            if is_operand_name(first) and not (rest and first in _ARTICLES) and following not in _AMOUNT:
                self._name(first, start, start + len(first) if rest else end)
                if rest:
                    self._words_after_operand(rest, start + len(first) + 1, end)
                return
        if last in _OPEN_ENDED and self._words_in_expression(text, start, end, last, following):
            return
        if following in _AMOUNT:
            self._context(text, start, end, following)
            return
        if following == LexemeKind.STOP:
            self._emit(ItemKind.CONTEXT, text, start, end, needs_operand=True)
            return
        final = text.rpartition(" ")[2]
        is_factor = following == LexemeKind.FUNCTION and self._lexeme()[2] == end
        if (following in _AFTER_NAME or is_factor) and is_operand_name(final) and not self._is_minus_before_number(end):
            if len(final) < len(text):
                self._emit(ItemKind.CONTEXT, text[: -len(final) - 1], start, end - len(final) - 1, needs_operand=True)
            self._name(final, end - len(final) if len(final) < len(text) else start, end)
        elif following in _AFTER_WORDS or (following == LexemeKind.OPEN and not self._opens_number(end)):
            if self._is_minus_before_number(end):
                self._emit(ItemKind.CONTEXT, text, start, end, needs_operand=True)
            else:
                self._emit(ItemKind.WORDS, text, start, end)
        else:
            self._emit(ItemKind.CONTEXT, text, start, end, needs_operand=True)

    def _words_in_expression(self, text: str, start: int, end: int, last: str, following: str) -> bool:
        """Words for which an operator or a sign waits; whether they were dealt with."""
        if following == LexemeKind.RELATION and last in _OPERATOR_OR_RELATION and not self.depth:
            capital = vocabulary.new_label(text)
            if capital is not None:
                # `= Price * Number of pies Total price = ...`
                self._emit(ItemKind.WORDS, text[: capital.start()], start, start + capital.start())
                self._boundary(start)
                self._emit(ItemKind.WORDS, text[capital.start() + 1 :], start + capital.start() + 1, end)
                return True
            begins_label = " " in text and text[0].isupper() and text[1:2].islower()
            if begins_label and self.items[-1][:2] == (ItemKind.OPERATOR, "-"):
                # `= $12 - Number of hours = ...`: the next item of a list.
                self.items.pop()
                self._boundary(start)
                self._emit(ItemKind.WORDS, text, start, end)
                return True
        if last == ItemKind.RELATION:
            return False
        self._emit(ItemKind.UNREADABLE, text, start, end, needs_operand=following in _AMOUNT)
        return True

    def _context(self, text: str, start: int, end: int, following: str) -> None:
        """Words right before a number that begins an expression."""
        part = vocabulary.part_of(text) if following == LexemeKind.NUMBER else None
        if part is None:
            self._emit(ItemKind.CONTEXT, text, start, end, needs_operand=True)
            return
        begin = start + part[0]
        self._emit(ItemKind.NUMBER, "1", begin, end, needs_operand=True)
        self._emit(ItemKind.OPERATOR, "/", begin, end, needs_operand=True)
        self._emit(ItemKind.NUMBER, part[1], begin, end, needs_operand=True)
        self._emit(ItemKind.OPERATOR, "*", begin, end, needs_operand=True)

    def _is_minus_before_number(self, end: int) -> bool:
        """Whether what comes is the sign of a number, apart from the words before it: `will be -9 + 10`."""
        offset = 0
        while self._lexeme(offset)[0] == LexemeKind.DELIMITER:
            offset += 1
        kind, sign, start, stop = self._lexeme(offset)
        is_minus = kind == LexemeKind.OPERATOR and sign == "-"
        return is_minus and start > end and self.text[stop : stop + 1] not in (" ", "")

    def _opens_number(self, end: int) -> bool:
        """Whether the bracket that comes next, apart from the words before it, begins with a number."""
        return self._lexeme()[2] > end and (self._lexeme(1)[0] in _AMOUNT or self._lexeme(1)[0] == LexemeKind.OPEN)

    def _name(self, name: str, start: int, end: int) -> None:
        self._emit(ItemKind.NAME, name.replace("{", "").replace("}", ""), start, end)

    def _words_after_operand(self, text: str, start: int, end: int) -> None:
        last, following = self.items[-1], self._peek()
        first, _, rest = text.partition(" ")
        is_glued = start == last[3] and not self.is_delimited
        if last[0] == ItemKind.UNREADABLE and (is_glued or is_name(text)):
            self._emit(ItemKind.UNREADABLE, text, start, end)
            return
        begins_with_name = is_name(first)
        may_be_name = (
            begins_with_name
            and not self.is_delimited
            and (is_glued or (not rest and (first not in ("a", "A") or following in _ENDS_OPERAND)))
        )
        if may_be_name and self._name_after_operand(first, rest, start, end, last[0], following, is_glued):
            return
        if last[0] == ItemKind.NUMBER:
            if is_glued and vocabulary.is_odd_suffix(first):
                self._emit(ItemKind.UNREADABLE, text, start, end)
                return
            if rest and not is_glued and begins_with_name and first not in _ARTICLES:
                # `3/4 t hours`
                self._emit(ItemKind.UNREADABLE, text, start, end)
                return
        capital = vocabulary.new_label(text)
        if capital is not None:
            # `= 12 weeks Hours per week = ...`
            self._words_after_operand(text[: capital.start()], start, start + capital.start())
            self._boundary(start)
            self._words(text[capital.start() + 1 :], start + capital.start() + 1, end)
            return
        lowered = text.lower()
        if following in _OPERAND and self._connects(lowered, start, end, following):
            return
        is_other_name = self.is_delimited and is_name(text.rpartition(" ")[2])
        if following in _AFTER_UNIT and not is_other_name and vocabulary.is_unit(text):
            self._emit(ItemKind.UNIT, text, start, end)
            return
        if not is_other_name:
            self._after_value(lowered, start, end, following)
        if self.depth:
            if following in _OPERAND:
                self._emit(ItemKind.UNREADABLE, "", start, end)
            return
        self._boundary(start)
        self._words(text, start, end)

    def _name_after_operand(
        self, name: str, rest: str, start: int, end: int, last: str, following: str, is_glued: bool
    ) -> bool:
        """`5x`, `5 x`, and the start of the next equation in `x = 90 / 3 x = 30`; whether it was one of them."""
        if last not in _FACTOR or (name in ("x", "X") and following == LexemeKind.NUMBER and not is_glued):
            return False
        begins_clause = not is_glued and self._begins_clause(name)
        if begins_clause and (following == LexemeKind.RELATION or self._is_power_before_sign()):
            self._boundary(start)
        self._name(name, start, start + len(name) if rest else end)
        if rest:
            self._words_after_operand(rest, start + len(name) + 1, end)
        return True

    def _is_power_before_sign(self) -> bool:
        """`^2 =`"""
        kinds = [self._lexeme(offset)[0] for offset in range(3)]
        return kinds == [LexemeKind.OPERATOR, LexemeKind.NUMBER, LexemeKind.RELATION] and self._lexeme()[1] == "^"

    def _connects(self, text: str, start: int, end: int, following: str) -> bool:
        """Words between two operands that make one expression or one statement of them; whether they do."""
        is_mixed = text == "and" and self._lexeme(1)[:2] == (LexemeKind.OPERATOR, "/")
        if following == LexemeKind.NUMBER and (is_mixed or vocabulary.joins(text)):
            # `2 hours and 30 minutes`, `1 and 1/4`
            self._emit(ItemKind.UNREADABLE, text, start, end, needs_operand=True)
            return True
        sign = vocabulary.spoken_operator(text, self._is_share())
        if sign is None and following in _AMOUNT and vocabulary.is_verb(text) and self._is_computed():
            self._emit(ItemKind.RELATION, "is", start, end, needs_operand=True)
            return True
        if sign is not None:
            self._emit(ItemKind.OPERATOR, sign, start, end, needs_operand=True)
        return sign is not None

    def _is_share(self) -> bool:
        """Whether a percentage, a fraction or a decimal below 1 was read last, of which one can take part."""
        kind, text, _, _ = self.items[-1]
        if kind == ItemKind.PERCENT or kind == ItemKind.CLOSE:
            return True
        is_fraction = len(self.items) > 2 and self.items[-2][1] == "/"
        return kind == ItemKind.NUMBER and (is_fraction or text.startswith(("0.", ".")))

    def _is_computed(self) -> bool:
        """Whether the clause so far is a computation, of more than one fraction, that stands for itself."""
        clause: list[Item] = []
        for item in reversed(self.items[-LOOK_BACK:]):
            if item[0] == ItemKind.BOUNDARY:
                break
            clause.insert(0, item)
        context = clause[0][1] if clause and clause[0][0] == ItemKind.CONTEXT else ""
        if vocabulary.names_factors(context):
            return True
        items = [item for item in clause if item[0] not in _SAID]
        if len(items) < 3 or any(item[0] in _NOT_COMPUTED or item[:2] == (ItemKind.OPERATOR, "^") for item in items):
            return False
        kinds = [item[0] for item in items]
        is_fraction = kinds == [ItemKind.NUMBER, ItemKind.OPERATOR, ItemKind.NUMBER] and items[1][1] == "/"
        if is_fraction and items[1][3] == items[1][2] + 1:
            # `3/4`, but not `3 divided by 4`.
            return False
        return vocabulary.leaves_verb_free(context)

    def _after_value(self, text: str, start: int, end: int, following: str) -> None:
        if text.startswith("percent"):
            self._emit(ItemKind.PERCENT, "%", start, end)
        else:
            goes_on = vocabulary.goes_on(text, following == LexemeKind.NUMBER)
            self._emit(ItemKind.UNREADABLE if goes_on else ItemKind.UNIT, text, start, end)

    def _roman(self, text: str, start: int, end: int) -> None:
        if not any(map(str.isalnum, text)):
            return
        if text.strip() == "of":
            self._words("of", start, end)
        elif self.needs_operand:
            self._emit(ItemKind.WORDS, text, start, end)
        else:
            is_unit = self._last() in _VALUE or self._last() == ItemKind.CLOSE
            self._emit(ItemKind.UNIT if is_unit else ItemKind.UNREADABLE, text, start, end)

    def _begins_clause(self, name: str) -> bool:
        """Whether the clause begins with an equation for `name`."""
        if not is_name(name):
            return False
        start = len(self.items)
        while start and self.items[start - 1][0] != ItemKind.BOUNDARY and len(self.items) - start < LOOK_BACK:
            start -= 1
        clause = self.items[start:]
        sign = next((index for index, item in enumerate(clause) if item[0] == ItemKind.RELATION), None)
        return sign is not None and (ItemKind.NAME, name) in [item[:2] for item in clause[:sign]]

    # Numbers, operators, relations

    def _number(self, text: str, start: int, end: int) -> None:
        last = self.items[-1] if self.items else (ItemKind.BOUNDARY, "", -1, -1)
        if not self.needs_operand:
            if not self._continues_number(last, start):
                if self.depth or (
                    last[0] in _UNSEPARATED and not self._begins_equation(end) and not self._is_numbering()
                ):
                    self._emit(ItemKind.UNREADABLE, "", start, end)
                    return
                self._boundary(start)
        elif last[0] in _LEADING and not self.is_delimited and self._is_bound():
            if last[1].lower() == "step" and self._lexeme()[:3] == (LexemeKind.OPERATOR, "-", end + 1):
                # `Step 3 - 4 + 5 = 9`
                self.index += 1
                self._boundary(end)
                return
            self._taint(start)
        elif last[0] == ItemKind.BOUNDARY and len(text) == 3 and self._follows_comma(start):
            # `14, 400`
            self._taint(start)
        if text[0] == "0" and text[1:2].isdigit():
            self._taint(start)
        self._emit(ItemKind.NUMBER, text, start, end)
        kind, words, begin, _ = self.lexemes[self.index]
        if begin == end and kind == LexemeKind.WORDS and vocabulary.is_ordinal(words):
            self._emit(ItemKind.UNREADABLE, "", end, end)

    def _follows_comma(self, start: int) -> bool:
        """Whether a digit, a comma and a blank stand before `start`."""
        return start >= 3 and self.text[start - 3].isdigit() and self.text[start - 2 : start] == ", "

    def _is_bound(self) -> bool:
        """Whether the words before an operand, or a number before these, make something else of it."""
        at = len(self.items) - 1
        if self.items[at][0] == ItemKind.CURRENCY:
            at -= 1
        if at < 0 or self.items[at][0] != ItemKind.CONTEXT:
            return False
        words, start = self.items[at][1], self.items[at][2]
        if vocabulary.is_bound(words):
            return True
        before = self.items[at - 1] if at else ("", "", -1, -1)
        if before[0] == ItemKind.RELATION:
            return not vocabulary.qualifies(words)
        return (
            before[0] == ItemKind.BOUNDARY
            and before[2] == start
            and at > 1
            and self.items[at - 2][0] in _VALUE
            and vocabulary.groups(words)
        )

    def _is_numbering(self) -> bool:
        """Whether a bracket that begins a clause and holds one number is behind: `(3) 4 + 5 = 9`."""
        if [item[0] for item in self.items[-3:]] != [ItemKind.OPEN, ItemKind.NUMBER, ItemKind.CLOSE]:
            return False
        return len(self.items) == 3 or self.items[-4][0] == ItemKind.BOUNDARY

    def _continues_number(self, last: Item, start: int) -> bool:
        """The second number of `1 1/2` and of `\\frac 1 2`."""
        if last[0] != ItemKind.NUMBER:
            return False
        if len(self.items) >= 2 and self.items[-2][0] == ItemKind.FUNCTION:
            return True
        return start == last[3] + 1 and self._lexeme()[:2] == (LexemeKind.OPERATOR, "/")

    def _begins_equation(self, end: int) -> bool:
        """Whether the number before `end` is the factor of a name before a sign: `2x = 110 - 20 2x = 90`."""
        kind, name, start, _ = self._lexeme()
        if kind != LexemeKind.WORDS or start != end or self._lexeme(1)[0] != LexemeKind.RELATION:
            return False
        return self._begins_clause(name)

    def _operator(self, sign: str, start: int, end: int) -> None:
        last = self._last()
        if not self.needs_operand:
            if sign == "^" and last == ItemKind.UNIT:
                # The power of a unit.
                self.index = self._brackets().get(self.index, self.index) + 1
                return
            if sign == "/":
                kind, text, begin, _ = self._lexeme()
                if kind in _TEXT and text[1:2].isalpha() and (last == ItemKind.UNIT or begin == end):
                    # `$12/hour`
                    self._unit_after_slash()
                    return
            self._emit(ItemKind.OPERATOR, sign, start, end, needs_operand=True)
        elif last in _OPEN_ENDED or last == ItemKind.CURRENCY:
            kind = ItemKind.OPERATOR if sign in ("+", "-") else ItemKind.UNREADABLE
            self._emit(kind, sign, start, end, needs_operand=True)
        elif self.index < 2 or self.lexemes[self.index - 2][0] == LexemeKind.LINE:
            self._line_begins_with(sign, start, end)
        elif sign == "-" and self.text[end : end + 1] != " ":
            self._emit(ItemKind.OPERATOR, sign, start, end, needs_operand=True)
        else:
            self._taint(start)

    def _line_begins_with(self, sign: str, start: int, end: int) -> None:
        """A sign at the start of a line: a bullet, a minus sign, or more of an expression of the line before."""
        is_plain_line = self.index < 2 or self.lexemes[self.index - 2][1][:1] != "\\"
        is_bullet = sign in ("*", "-") and self.text[end : end + 1] == " " and is_plain_line
        if self._goes_on_from_last_line() or not (is_bullet or (sign == "-" and is_plain_line)):
            self._taint(start)
        elif is_bullet:
            self._emit(ItemKind.CONTEXT, sign, start, end, needs_operand=True)
        else:
            self._emit(ItemKind.OPERATOR, sign, start, end, needs_operand=True)

    def _goes_on_from_last_line(self) -> bool:
        """Whether the line before ends in a number and states nothing, as the lines of a sum written in columns do."""
        if self.index < 3 or self.lexemes[self.index - 3][0] not in (LexemeKind.NUMBER, LexemeKind.CLOSE):
            return False
        for item in reversed(self.items[-LOOK_BACK:-1]):
            if item[0] == ItemKind.RELATION:
                return False
            if item[0] == ItemKind.BOUNDARY:
                break
        return True

    def _unit_after_slash(self) -> None:
        _, text, start, end = self.lexemes[self.index]
        self.index += 1
        first, _, rest = text.partition(" ")
        self._emit(ItemKind.UNIT, "/" + first, start, start + len(first))
        if rest:
            self._words(rest, start + len(first) + 1, end)

    def _relation(self, sign: str, start: int, end: int) -> None:
        self._emit(ItemKind.RELATION, sign, start, end, needs_operand=True)

    def _percent(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand:
            # Between two numbers, it is the sign of a remainder.
            is_remainder = self._peek() == LexemeKind.NUMBER
            self._emit(ItemKind.UNREADABLE if is_remainder else ItemKind.PERCENT, "%", start, end)

    def _currency(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand and self._peek() == LexemeKind.NUMBER and not self.depth:
            self._boundary(start)
        self._emit(ItemKind.CURRENCY, "$", start, end, needs_operand=self.needs_operand)

    def _shout(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand and self.items[-1][3] == start and self._last() in _FACTOR:
            # Of a factorial, or of joy.
            is_factorial = self._peek() in _ENDS_OPERAND or self._lexeme()[:3] == (LexemeKind.OPEN, "(", end)
            self._emit(ItemKind.FACTORIAL if is_factorial else ItemKind.UNREADABLE, "!", start, end)
        else:
            self._end("", start, end)

    def _opaque(self, text: str, start: int, end: int) -> None:
        self._emit(ItemKind.UNREADABLE, "", start, end)

    def _delimiter(self, text: str, start: int, end: int) -> None:
        self.is_delimited = True

    def _function(self, name: str, start: int, end: int) -> None:
        if not self.needs_operand and self.is_delimited and not self.depth:
            self._boundary(start)
        self._emit(ItemKind.FUNCTION, name, start, end, needs_operand=True)

    def _line(self, text: str, start: int, end: int) -> None:
        if self._lexeme()[0] != LexemeKind.RELATION and self._last() not in _OPERATOR_OR_RELATION:
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
                self._emit(ItemKind.UNREADABLE, "", start, end)
            self._enter("")
            return
        kind, word, _, _ = self.lexemes[self.index]
        if close == self.index or (kind in _TEXT and not is_operand_name(word.partition(" ")[0])):
            if self.needs_operand and last in _OPEN_ENDED:
                self._emit(ItemKind.WORDS, "", start, end)
            elif not self.needs_operand and not is_apart and last in _MULTIPLIED:
                # `3(number of trucks)`
                self._emit(ItemKind.UNREADABLE, "", start, end)
            self.index = close + 1
            return
        if not self.needs_operand:
            if is_apart and text == "(" and last in _VALUE:
                # `12 (3 eggs) + 4`, `12 (3 * 4) + 5`: a remark, or a factor.
                inside = self.lexemes[self.index : min(close, self.index + 12)]
                words = [word for kind, word, _, _ in inside if kind == LexemeKind.WORDS]
                if last == ItemKind.UNIT or not all(map(is_name, words)):
                    self.index = close + 1
                    return
                if len(inside) > 1 and not words:
                    self._emit(ItemKind.UNREADABLE, "", start, end)
            elif self.is_delimited and not self.depth:
                self._boundary(start)
        self._emit(ItemKind.OPEN, text, start, end, needs_operand=True)
        self.depth += 1

    def _close(self, text: str, start: int, end: int) -> None:
        if self.depth:
            self.depth -= 1
            if self.needs_operand:
                self._taint(start)
            self._emit(ItemKind.CLOSE, text, start, end)
        elif self.outer and self.outer[-1][0] == "":
            self._leave()
            if self.needs_operand and self._last() in _BEFORE_VALUE:
                self._emit(ItemKind.WORDS, "", start, end)
        else:
            self._end("", start, end)

    def _calculator(self, text: str, start: int, end: int) -> None:
        if text == "<<":
            self._enter("calculator")
        else:
            self.done.append(("calculation", [(ItemKind.RELATION, text, start, end)]))

    def _calculator_end(self, text: str, start: int, end: int) -> None:
        while self.outer and self.outer[-1][0] == "":
            self._leave()
        if self.outer:
            self._leave()


_HANDLERS = {
    LexemeKind.WORDS: _Reader._words,
    LexemeKind.NUMBER: _Reader._number,
    LexemeKind.OPERATOR: _Reader._operator,
    LexemeKind.RELATION: _Reader._relation,
    LexemeKind.STOP: _Reader._end,
    LexemeKind.LINE: _Reader._line,
    LexemeKind.CALCULATOR: _Reader._calculator,
    LexemeKind.CALCULATOR_END: _Reader._calculator_end,
    LexemeKind.PERCENT: _Reader._percent,
    LexemeKind.CURRENCY: _Reader._currency,
    LexemeKind.OPEN: _Reader._open,
    LexemeKind.CLOSE: _Reader._close,
    LexemeKind.DELIMITER: _Reader._delimiter,
    LexemeKind.ROMAN: _Reader._roman,
    LexemeKind.FUNCTION: _Reader._function,
    LexemeKind.EXCLAMATION: _Reader._shout,
    LexemeKind.OPAQUE: _Reader._opaque,
}
"""What deals with each kind of lexeme."""
