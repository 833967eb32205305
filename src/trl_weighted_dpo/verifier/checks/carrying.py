"""Derived values that a later step copies wrongly, where the text itself says what should stand there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.checks.conversions import USUAL_RATIOS
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import HEURISTIC, RULE, Finding, finding
from trl_weighted_dpo.verifier.reading.formulas import Term, TermSide, WordFormula, read_formulas
from trl_weighted_dpo.verifier.reading.grammar import Node, Operation
from trl_weighted_dpo.verifier.reading.passage import Mention, Passage
from trl_weighted_dpo.verifier.routes.known import constants, evaluate, subtrees
from trl_weighted_dpo.verifier.routes.tracing import Derived, is_label

_ROUNDED = Fraction(1, 50)
_MAX_ALIKE_BITS = 50
_TELLING = 3
_RECENT = 4
_SPECIFIC = 2
_MAX_VALUES = 7
_MAX_MENTIONS = 600
_OPERANDS = 12
_NEAR = 5
_CHANGING = re.compile(r"\b(?:remaining|left|new|now|after|per|each|average)\b")
_NEARBY = 40
ROUNDING = re.compile(
    r"\b(?:round|approx|about|nearest|whole|only|at most|at least|integer)|\u2248|\\approx",
    re.IGNORECASE,
)
_IS_RESULT = re.compile(r"[=>~\u2248][ $\\]{0,3}$")
_THEREFORE = re.compile(
    r"[\s\w.,;:)$\\]{0,30}\b(?:so|therefore|thus|hence|means|which is)\b[^\n]{0,40}",
    re.IGNORECASE,
)


Ratio = tuple[int, int]
"""A value as its numerator and denominator."""


def agree(one: Fraction, other: Fraction) -> bool:
    """Whether two numbers may stand for one value: the same, rounded, or converted to another usual unit or percent.

    Ours: a value that is off by less than 2 % where decimals are in play counts as rounded, for texts round as they
    please; two different whole numbers never do.
    """
    if one == other:
        return True
    if not one or not other or (one < 0) != (other < 0):
        return False
    low, high = sorted((abs(one), abs(other)))
    if high / low in USUAL_RATIOS:
        return True
    return (one.denominator != 1 or other.denominator != 1) and high - low <= _ROUNDED * high


def wrongly_put_in(facts: Facts) -> Iterator[Finding]:
    """Numbers put into a formula in words for a label that has another value, and labels that are restated with one.

    `Cost of the second pair = $66 ... Total = Cost of the first pair + Cost of the second pair = $33 + $55`: the sides
    have one shape, so each number stands for the label in its place. A label of one word is passed over, for `Cost` is
    used for many things; so is a number that is the value of another label of the side, since sums are written in any
    order. A number that was seen before may belong to something else of the same name: that is only a sign, and only
    for a label of three words or more.
    """
    known: dict[str, Sequence[Term]] = {}
    pending: dict[str, TermSide] = {}
    seen = _Seen(facts)
    for formula in read_formulas(facts.solution.plain):
        before = pending.pop(formula.label, None)
        for side in formula.sides:
            if side is None:
                before = None
                continue
            if before is not None and before.shape == side.shape:
                yield from _misfits(facts.solution.text, before, side, known, seen)
            if any(term.value is None for term in side.terms):
                before = side
            elif side.shape != "t":
                before = None
        if before is not None and formula.label:
            pending[formula.label] = before
        last = formula.sides[-1]
        if formula.label and last is not None and None not in formula.sides and last.shape == "t":
            result = last.terms[0]
            if result.value is not None:
                if len(formula.sides) == 1:
                    yield from _restated(facts.solution.text, formula, result, known, seen)
                known[formula.label] = [*known.get(formula.label, ())[-_MAX_VALUES:], result]


def _misfits(
    text: str, named: TermSide, numbers: TermSide, known: Mapping[str, Sequence[Term]], seen: "_Seen"
) -> Iterator[Finding]:
    values = [value for term in named.terms for value in known.get(term.label, ())]
    for name, term in zip(named.terms, numbers.terms, strict=True):
        if term.value is None or (name.value is not None and named.shape == "t"):
            continue
        if name.value is None and " " not in name.label:
            continue
        wanted: Sequence[Term] = (name,) if name.value is not None else known.get(name.label, ())
        if not wanted or any(_fits(value, term) for value in (*wanted, *values)):
            continue
        is_new = seen.is_new(term)
        if not is_new and name.value is None and name.label.count(" ") < _SPECIFIC:
            continue
        expected, found = excerpt(text[slice(*wanted[-1].span)]), excerpt(text[slice(*term.span)])
        if name.value is None:
            label = excerpt(text[slice(*name.span)])
            message = f"{label} was found to be {expected}, but {found} is put in for it here."
        else:
            message = f"The formula says {expected} in this place, but {found} is put in."
        yield _carried_wrong(term.span, expected, found, message, RULE if is_new else HEURISTIC)


def _carried_wrong(span: tuple[int, int], expected: str, found: str, message: str, channel: str) -> Finding:
    return finding(
        "logical_consistency", "carried_wrong", span, message, expected=expected, found=found, channel=channel
    )


def _restated(
    text: str, formula: WordFormula, result: Term, known: Mapping[str, Sequence[Term]], seen: "_Seen"
) -> Iterator[Finding]:
    """`Total eggs = 84 ... Total eggs = 81`, unless the label is of something that changes or the number is known."""
    values = known.get(formula.label, ())
    if not values or " " not in formula.label or _CHANGING.search(formula.label):
        return
    if not any(_fits(value, result) for value in values) and seen.is_new(result):
        expected, found = excerpt(text[slice(*values[-1].span)]), excerpt(text[slice(*result.span)])
        message = f"{formula.label.capitalize()} was {expected} before, but {found} here."
        yield finding(
            "logical_consistency",
            "two_values",
            result.span,
            message,
            expected=expected,
            found=found,
            channel=HEURISTIC,
        )


class _Seen:
    """Where each number first stands, in the problem or the solution; built when first asked."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._places: dict[Fraction, int] | None = None

    def is_new(self, term: Term) -> bool:
        """Whether the number of a term stands neither in the problem nor before the term."""
        if self._places is None:
            self._places = {}
            for mention in self._facts.solution.mentions:
                self._places.setdefault(mention.value, mention.span[1])
            for item in self._facts.trace.derived:
                for value in (item.value, item.exact):
                    self._places[value] = min(item.span[1], self._places.get(value, item.span[1]))
            self._places.update((mention.value, -1) for mention in self._facts.problem.mentions)
        return term.value is not None and self._places.get(term.value, term.span[0] + 1) > term.span[0]


def _fits(value: Term, term: Term) -> bool:
    return value.value is not None and term.value is not None and agree(value.value, term.value)


def misquoted(facts: Facts) -> Iterator[Finding]:
    """The first number from nowhere that looks like a derived value: `36 * 7 = 252`, then `225 / 3` or `so he has 225`.

    Ours: a number that was never seen before and differs from one of the last results by one digit, by two digits that
    changed places or by dropped decimals is most likely this result, misquoted. Only where a computation begins with
    it, right after the result, or for the same unit; and of short numbers, which are all alike, only near ones.
    """
    solution, derived = facts.solution, facts.trace.derived
    seen = set(ratios(facts.given))
    results: list[Ratio] = []
    for mention in solution.mentions[:_MAX_MENTIONS] if derived else ():
        while len(results) < len(derived) and derived[len(results)].span[1] <= mention.span[0]:
            item = derived[len(results)]
            results.append(item.value.as_integer_ratio())
            seen.update((results[-1], item.exact.as_integer_ratio()))
        ratio = mention.value.as_integer_ratio()
        if ratio in seen:
            continue
        seen.add(ratio)
        if not mention.in_words and any(_alike(result, ratio) for result in results[-_RECENT:]):
            source = _source(facts, mention, derived[max(0, len(results) - _RECENT) : len(results)])
            if source is not None:
                expected, found = number(source.value), excerpt(solution.text[slice(*mention.span)])
                message = f"{found} comes from nowhere; the result before was {expected}."
                yield _carried_wrong(mention.span, expected, found, message, HEURISTIC)
                return


@lru_cache(maxsize=256)
def ratios(values: frozenset[Fraction]) -> frozenset[Ratio]:
    """Values as pairs of integers, which hash ten times as fast."""
    return frozenset(value.as_integer_ratio() for value in values)


def _source(facts: Facts, mention: Mention, before: Sequence[Derived]) -> Derived | None:
    """The result that a new number is a slip of the pen for; `None` if the number may be one of its own."""
    solution = facts.solution
    begins = _begins(solution, mention)
    if begins is False or _IS_RESULT.search(solution.plain, max(0, mention.span[0] - 4), mention.span[0]):
        return None
    if is_label(solution.plain, mention) or any(_has_part(item.node, mention.value) for item in before):
        return None
    if mention.value in constants(facts.problem.plain, solution.plain):
        return None
    if not begins and _comes_to(facts, mention):
        return None
    follows = _THEREFORE.fullmatch(solution.plain, before[-1].span[1], mention.span[0]) is not None
    for item in reversed(before):
        if not (begins or _counts_same(solution, item, mention) or (follows and item is before[-1])):
            continue
        if _alike(item.value.as_integer_ratio(), mention.value.as_integer_ratio()):
            end = mention.span[1]
            is_rounded = item.value.denominator != 1 and ROUNDING.search(solution.plain, item.span[0], end + _NEARBY)
            return None if is_rounded else item
    return None


def _comes_to(facts: Facts, mention: Mention) -> bool:
    """Whether one operation in the head, on two of the last numbers, gives the number."""
    value = _whole(mention.value)
    numbers = [other.value for other in facts.problem.mentions]
    numbers += [other.value for other in facts.solution.mentions if other.span[1] <= mention.span[0]]
    recent = [_whole(number) for number in numbers[-_OPERANDS:]]
    return any(
        value in (one + other, one - other, one * other) or (other and value * other == one)
        for one in recent
        for other in recent
    )


def _whole(value: Fraction) -> int | Fraction:
    """A value as an integer where it is one, which is several times as fast to compute with."""
    return value.numerator if value.denominator == 1 else value


def _has_part(node: Node, value: Fraction) -> bool:
    """Whether it is an intermediate value of a computation: `24 - 21` after `24 - (13 + 8)`."""
    return any(isinstance(part, Operation) and evaluate(part) in (value, -value) for part in subtrees(node))


def _counts_same(passage: Passage, item: Derived, mention: Mention) -> bool:
    start, end = item.span
    return bool(mention.unit) and any(
        other.unit == mention.unit for other in passage.mentions if start <= other.span[0] < end
    )


def _begins(passage: Passage, mention: Mention) -> bool | None:
    """Whether a number is in the first computed side of a statement without names, or `None` if it is in no statement.

    Later sides hold values that were computed in the head.
    """
    for statement in passage.statements:
        if statement.span[0] <= mention.span[0] < statement.span[1]:
            first = next((side for side in statement.sides if isinstance(side.node, Operation)), None)
            if first is None or first.value is None or not first.span[0] <= mention.span[0] < first.span[1]:
                return False
            return all(side.value is not None or side.node is None for side in statement.sides)
    return None


def _alike(result: Ratio, value: Ratio) -> bool:
    """Whether `value` looks like a slip of the pen for `result`."""
    written, below = result
    if below != 1:
        return value == (written // below, 1)
    new = value[0]
    if value[1] != 1 or max(written.bit_length(), new.bit_length()) > _MAX_ALIKE_BITS:
        return False
    one, other = str(written), str(new)
    if len(one) < 2 or len(one) != len(other):
        return False
    is_near = _NEAR * abs(written - new) <= max(_NEAR, abs(written))
    if not is_near and max(len(one.rstrip("0")), len(other.rstrip("0"))) < _TELLING:
        return False
    places = [index for index, (left, right) in enumerate(zip(one, other, strict=True)) if left != right]
    if len(places) == 2:
        first, second = places
        return (one[first], one[second]) == (other[second], other[first])
    return len(places) == 1
