"""Which step of a solution is the first with an error.

The order of trust: an exact finding, then a value that is on no path to the reference answer, then a number that comes
from nowhere. What an exact finding does not show is only looked for where the final answer is known to be wrong: a
right answer by another route than the reference's is no error.
"""

from collections.abc import Iterable

from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.routes.reach import reached_at, source_of

_EXACT = frozenset({"numerical_validity", "logical_consistency"})
_TELLING = frozenset({"misquoted_quantity"})


def first_faulty_step(facts: Facts, results: Iterable[DimensionResult]) -> int | None:
    """Returns the 0-based index of the first step with an error; `None` if none is known."""
    results = list(results)
    placed = [(item, item.step) for result in results for item in result.evidence if item.step is not None]
    exact = [step for item, step in placed if item.dimension in _EXACT and item.channel == "rule"]
    if facts.decision.verdict is Verdict.CORRECT:
        return min(exact, default=None)
    kinds = {item.kind for item, _ in placed}
    # A count below none is found where it is given as the answer, but goes back to where too much was taken away.
    telling = _TELLING | {"more_removed_than_there"} if "negative_count" in kinds else _TELLING
    found = exact + [step for item, step in placed if item.kind in telling]
    if facts.decision.verdict is Verdict.UNDECIDED:
        return min(found, default=None)
    suspects = [step for result in results for step in result.suspects]
    doubts = [] if found else [step for result in results for step in result.doubts]
    if doubts and not suspects and (traced := _traced(facts)) is not None:
        return traced
    found += suspects + doubts
    return min(found) if found else _last_resort(facts)


def _traced(facts: Facts) -> int | None:
    """The step that the last result goes back to as one of the reference's with a wrong number; `None` if it is not."""
    if facts.route is None or not facts.trace.derived:
        return None
    last = len(facts.trace.derived) - 1
    source = source_of(last, facts.trace, facts.route)
    return facts.trace.derived[source].step if source != last else None


def _last_resort(facts: Facts) -> int | None:
    """Of a wrong answer whose values are all right: the step after the one that reaches the reference answer, where it
    is left behind, else the last that computes, else the one that gives the answer."""
    derived = facts.trace.derived
    reached = reached_at(facts.target, facts.trace, facts.route) if facts.target is not None else None
    if reached is not None and reached + 1 < len(derived):
        return derived[reached + 1].step
    if derived:
        traced = _traced(facts)
        return traced if traced is not None else derived[-1].step
    if facts.answer is not None:
        return facts.solution.step_at(facts.answer.span[0])
    return facts.solution.steps[-1].index if facts.solution.steps else None
