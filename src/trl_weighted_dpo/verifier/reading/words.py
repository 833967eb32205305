"""Words between and around the numbers of a text, as items."""

from trl_weighted_dpo.verifier.reading import vocabulary
from trl_weighted_dpo.verifier.reading.emission import LOOK_BACK, Emitter, Item
from trl_weighted_dpo.verifier.reading.vocabulary import is_name, is_operand_name

_OPERAND = frozenset("n$(wtf")


class WordReader(Emitter):
    """What words mean depends on whether an operand or an operator is expected, and on what comes next."""

    def _words(self, text: str, start: int, end: int) -> None:
        if not self.needs_operand:
            self._words_after_operand(text, start, end)
            return
        last, following = self._last(), self._peek()
        if last in "o(f" or (last in "r$|" and " " not in text):
            first, _, rest = text.partition(" ")
            if is_operand_name(first) and not (rest and first in "aAI") and following not in "n$":
                self._name(first, start, start + len(first) if rest else end)
                if rest:
                    self._words_after_operand(rest, start + len(first) + 1, end)
                return
        if last in "or(f" and self._words_in_expression(text, start, end, last, following):
            return
        if following in "n$":
            self._context(text, start, end, following)
            return
        if following == ",":
            self._emit("c", text, start, end, needs_operand=True)
            return
        final = text.rpartition(" ")[2]
        is_factor = following == "f" and self._lexeme()[2] == end
        if (following in "or()%!q" or is_factor) and is_operand_name(final) and not self._is_minus_before_number(end):
            if len(final) < len(text):
                self._emit("c", text[: -len(final) - 1], start, end - len(final) - 1, needs_operand=True)
            self._name(final, end - len(final) if len(final) < len(text) else start, end)
        elif following in "ortq" or (following == "(" and not self._opens_number(end)):
            if self._is_minus_before_number(end):
                self._emit("c", text, start, end, needs_operand=True)
            else:
                self._emit("w", text, start, end)
        else:
            self._emit("c", text, start, end, needs_operand=True)

    def _words_in_expression(self, text: str, start: int, end: int, last: str, following: str) -> bool:
        """Words for which an operator or a sign waits; whether they were dealt with."""
        if following == "r" and last in "or" and not self.depth:
            capital = vocabulary.new_label(text)
            if capital is not None:
                # `= Price * Number of pies Total price = ...`
                self._emit("w", text[: capital.start()], start, start + capital.start())
                self._boundary(start)
                self._emit("w", text[capital.start() + 1 :], start + capital.start() + 1, end)
                return True
            if last == "o" and self.items[-1][1] == "-" and " " in text and text[0].isupper() and text[1:2].islower():
                # `= $12 - Number of hours = ...`: the next item of a list.
                self.items.pop()
                self._boundary(start)
                self._emit("w", text, start, end)
                return True
        if last == "r":
            return False
        self._emit("?", text, start, end, needs_operand=following in "n$")
        return True

    def _context(self, text: str, start: int, end: int, following: str) -> None:
        """Words right before a number that begins an expression."""
        part = vocabulary.part_of(text) if following == "n" else None
        if part is None:
            self._emit("c", text, start, end, needs_operand=True)
            return
        for kind, piece in (("n", "1"), ("o", "/"), ("n", part[1]), ("o", "*")):
            self._emit(kind, piece, start + part[0], end, needs_operand=True)

    def _is_minus_before_number(self, end: int) -> bool:
        """Whether what comes is the sign of a number, apart from the words before it: `will be -9 + 10`."""
        offset = 0
        while self._lexeme(offset)[0] == "d":
            offset += 1
        kind, sign, start, stop = self._lexeme(offset)
        return (kind, sign) == ("o", "-") and start > end and self.text[stop : stop + 1] not in (" ", "")

    def _opens_number(self, end: int) -> bool:
        """Whether the bracket that comes next, apart from the words before it, begins with a number."""
        return self._lexeme()[2] > end and self._lexeme(1)[0] in "n$("

    def _name(self, name: str, start: int, end: int) -> None:
        self._emit("a", name.replace("{", "").replace("}", ""), start, end)

    def _words_after_operand(self, text: str, start: int, end: int) -> None:
        last, following = self.items[-1], self._peek()
        first, _, rest = text.partition(" ")
        is_glued = start == last[3] and not self.is_delimited
        if last[0] == "?" and (is_glued or is_name(text)):
            self._emit("?", text, start, end)
            return
        begins_with_name = is_name(first)
        may_be_name = (
            begins_with_name
            and not self.is_delimited
            and (is_glued or (not rest and (first not in "aA" or following in "or)")))
        )
        if may_be_name and self._name_after_operand(first, rest, start, end, last[0], following, is_glued):
            return
        if last[0] == "n":
            if is_glued and vocabulary.is_odd_suffix(first):
                self._emit("?", text, start, end)
                return
            if rest and not is_glued and begins_with_name and first not in "aAI":
                # `3/4 t hours`
                self._emit("?", text, start, end)
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
        if following in "or%)(<q!" and not is_other_name and vocabulary.is_unit(text):
            self._emit("u", text, start, end)
            return
        if not is_other_name:
            self._after_value(lowered, start, end, following)
        if self.depth:
            if following in _OPERAND:
                self._emit("?", "", start, end)
            return
        self._boundary(start)
        self._words(text, start, end)

    def _name_after_operand(
        self, name: str, rest: str, start: int, end: int, last: str, following: str, is_glued: bool
    ) -> bool:
        """`5x`, `5 x`, and the start of the next equation in `x = 90 / 3 x = 30`; whether it was one of them."""
        if last not in "n)a" or (name in "xX" and following == "n" and not is_glued):
            return False
        if not is_glued and self._begins_clause(name) and (following == "r" or self._is_power_before_sign()):
            self._boundary(start)
        self._name(name, start, start + len(name) if rest else end)
        if rest:
            self._words_after_operand(rest, start + len(name) + 1, end)
        return True

    def _is_power_before_sign(self) -> bool:
        """`^2 =`"""
        return [self._lexeme(offset)[0] for offset in range(3)] == ["o", "n", "r"] and self._lexeme()[1] == "^"

    def _connects(self, text: str, start: int, end: int, following: str) -> bool:
        """Words between two operands that make one expression or one statement of them; whether they do."""
        is_mixed = text == "and" and self._lexeme(1)[:2] == ("o", "/")
        if following == "n" and (is_mixed or vocabulary.joins(text)):
            # `2 hours and 30 minutes`, `1 and 1/4`
            self._emit("?", text, start, end, needs_operand=True)
            return True
        sign = vocabulary.spoken_operator(text, self._is_share())
        if sign is None and following in "n$" and vocabulary.is_verb(text) and self._is_computed():
            self._emit("r", "is", start, end, needs_operand=True)
            return True
        if sign is not None:
            self._emit("o", sign, start, end, needs_operand=True)
        return sign is not None

    def _is_share(self) -> bool:
        """Whether a percentage, a fraction or a decimal below 1 was read last, of which one can take part."""
        kind, text, _, _ = self.items[-1]
        if kind in "%)":
            return True
        return kind == "n" and (text.startswith(("0.", ".")) or (len(self.items) > 2 and self.items[-2][1] == "/"))

    def _is_computed(self) -> bool:
        """Whether the clause so far is a computation, of more than one fraction, that stands for itself."""
        clause: list[Item] = []
        for item in reversed(self.items[-LOOK_BACK:]):
            if item[0] == "|":
                break
            clause.insert(0, item)
        context = clause[0][1] if clause and clause[0][0] == "c" else ""
        if vocabulary.names_factors(context):
            return True
        kinds = "".join(
            kind if kind != "o" else text if end == start + 1 else text + " "
            for kind, text, start, end in clause
            if kind not in "u$c"
        )
        if len(kinds) < 3 or kinds == "n/n" or any(kind in kinds for kind in "r?wa^"):
            return False
        return vocabulary.leaves_verb_free(context)

    def _after_value(self, text: str, start: int, end: int, following: str) -> None:
        if text.startswith("percent"):
            self._emit("%", "%", start, end)
        else:
            self._emit("?" if vocabulary.goes_on(text, following == "n") else "u", text, start, end)

    def _roman(self, text: str, start: int, end: int) -> None:
        if not any(map(str.isalnum, text)):
            return
        if text.strip() == "of":
            self._words("of", start, end)
        elif self.needs_operand:
            self._emit("w", text, start, end)
        else:
            self._emit("u" if self._last() in "nu%)" else "?", text, start, end)

    def _begins_clause(self, name: str) -> bool:
        """Whether the clause begins with an equation for `name`."""
        if not is_name(name):
            return False
        start = len(self.items)
        while start and self.items[start - 1][0] != "|" and len(self.items) - start < LOOK_BACK:
            start -= 1
        clause = self.items[start:]
        sign = next((index for index, item in enumerate(clause) if item[0] == "r"), None)
        return sign is not None and ("a", name) in [item[:2] for item in clause[:sign]]
