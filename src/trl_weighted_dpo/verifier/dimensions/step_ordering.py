"""The dimension `step_ordering`: whether each step comes after what it needs."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction

from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.verifier.answers.equivalence import compare_texts
from trl_weighted_dpo.verifier.answers.scalars import names
from trl_weighted_dpo.verifier.checks.carrying import Ratio, ratios
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding, finding, placed, score_of
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.form import given_answers
from trl_weighted_dpo.verifier.reading.numbering import Marker, counted, numbering_faults, read_markers
from trl_weighted_dpo.verifier.reading.passage import Statement
from trl_weighted_dpo.verifier.routes.known import constants
from trl_weighted_dpo.verifier.routes.tracing import Derived

DIMENSION = "step_ordering"

_SMALL = 5
_MAX_RESULTS = 12


def check(facts: Facts) -> DimensionResult:
    """Checks the order of a solution; `None` if it is a single step, which has none."""
    solution = facts.solution
    markers = read_markers(solution.plain)
    if len(solution.steps) < 2 and len(markers) < 2:
        return DimensionResult(None, (), ("a second step",))
    findings = [item for item in numbering_faults(solution.plain, markers) if item.dimension == DIMENSION]
    findings += _early_values(facts, markers)
    findings += _early_answer(facts)
    return DimensionResult(score_of(findings), placed(solution, findings))


def _early_values(facts: Facts, markers: tuple[Marker, ...]) -> Iterator[Finding]:
    """The first value that is computed with on one line and derived only on a later one.

    That a value is found later proves little: small numbers meet by chance, and a check computes backwards. So it has
    to be large or broken, said nowhere before, and derivable where it is used, from what is known there.
    """
    plain = facts.solution.plain
    derived = facts.trace.derived
    first: dict[Ratio, Derived] = {}
    for item in derived:
        first.setdefault(_magnitude(item.value), item)
    sources: _Sources | None = None
    for index, item in enumerate(derived):
        for operand in map(_magnitude, item.operands):
            later = first.get(operand)
            if later is None or (operand[1] == 1 and operand[0] <= _SMALL):
                continue
            if plain.find("\n", item.span[1], later.span[0]) < 0 or not _finds_out(later, item):
                continue
            # In `3 + 2 * 10 = 3 + 20 = 23`, 20 comes from what stands before it.
            before = derived[index - 1] if index else None
            if before is not None and (before.step, before.exact) == (item.step, item.exact):
                continue
            sources = sources or _Sources(facts, markers)
            start = sources.go_to(index)
            if not sources.explain(later, operand):
                continue
            place = sources.place(operand, start) or item.span
            found = excerpt(plain[slice(*place)])
            message = f"{found} is used here, but where it comes from is only said later."
            yield finding(DIMENSION, "used_before_derived", place, message, found=found)
            return


def _magnitude(value: Fraction) -> Ratio:
    numerator, denominator = value.as_integer_ratio()
    return abs(numerator), denominator


class _Sources:
    """What the computations of a solution may use: what is given, said before them, and computed before them.

    Args:
        facts (`Facts`): The solution.
        markers (`tuple[Marker, ...]`): The numbers of its steps.
    """

    def __init__(self, facts: Facts, markers: tuple[Marker, ...]) -> None:
        self._derived = facts.trace.derived
        self._mentions = counted(facts.solution.mentions, markers)
        self._starts = _starts(facts.solution.statements)
        self._known = {value.as_integer_ratio() for value in constants(facts.problem.plain, facts.solution.plain)}
        self._ready = set(ratios(facts.given))
        self._said = self._computed = 0

    def go_to(self, index: int) -> int:
        """Takes up what comes before a computation, of which none may be asked for before another; returns where its
        statement starts."""
        for item in self._derived[self._computed : index]:
            self._say(item)
            self._ready.update((_magnitude(item.value), _magnitude(item.exact)))
        self._computed = index
        return self._say(self._derived[index])

    def _say(self, item: Derived) -> int:
        at, starts = item.span[0], self._starts
        start = starts[bisect_right(starts, at) - 1] if starts else at
        while self._said < len(self._mentions) and self._mentions[self._said].span[0] < start:
            self._ready.add(self._mentions[self._said].value.as_integer_ratio())
            self._said += 1
        return start

    def explain(self, later: Derived, value: Ratio) -> bool:
        """Whether only `later` says where a value comes from, and could be computed already."""
        return not self._is_usable(value) and all(self._is_usable(_magnitude(part)) for part in later.operands)

    def _is_usable(self, value: Ratio) -> bool:
        return value in self._ready or value in self._known

    def place(self, value: Ratio, start: int) -> tuple[int, int] | None:
        """Where a value is written from `start` on."""
        said = (mention for mention in self._mentions if mention.span[0] >= start)
        return next((mention.span for mention in said if mention.value.as_integer_ratio() == value), None)


def _starts(statements: Sequence[Statement]) -> list[int]:
    """Where statements begin that are in no other, in order."""
    starts: list[int] = []
    end = -1
    for statement in statements:
        if statement.span[0] >= end:
            starts.append(statement.span[0])
        end = max(end, statement.span[1])
    return starts


def _finds_out(later: Derived, item: Derived) -> bool:
    """Whether `later` finds out a value, from others and without the one that `item` computes with it."""
    if abs(later.value) in map(abs, later.operands) or item.value in later.operands:
        return False
    # An equation in an unknown may be written before what it says is worked out.
    return not any(True for node in (item.node, later.node) for _ in names(node))


def _early_answer(facts: Facts) -> Iterator[Finding]:
    """An answer in the first step that is computed only after it."""
    solution = facts.solution
    derived = facts.trace.derived
    if len(solution.steps) < 2 or not derived or facts.thought is not None:
        return
    first = next(iter(given_answers(solution.plain)), None)
    if first is None or first.span[0] >= solution.steps[0].span[1] or derived[0].span[0] < first.span[1]:
        return
    for item in derived[-_MAX_RESULTS:]:
        if item.value.denominator == 1 and compare_texts(first.text, str(item.value)).verdict is Verdict.CORRECT:
            message = f"The answer {excerpt(first.text)} is given before it is derived."
            yield finding(DIMENSION, "answer_first", first.span, message, found=excerpt(first.text))
            return
