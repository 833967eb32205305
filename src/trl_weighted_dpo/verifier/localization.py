"""Which step of a solution is the first with an error.

The order of trust: an exact finding, then a value that is on no path to the reference answer, then a number that comes
from nowhere. What an exact finding does not show is only looked for where the final answer is known to be wrong: a
right answer by another route than the reference's is no error.
"""

from collections.abc import Iterable

from trl_weighted_dpo.verifier.dimensions import Judgement
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.profile import Verdict

_EXACT = frozenset({"numerical_validity", "logical_consistency"})
_TELLING = frozenset({"misquoted_quantity"})


def first_faulty_step(facts: Facts, judgements: Iterable[Judgement]) -> int | None:
    """Returns the 0-based index of the first step with an error; `None` if none is known."""
    judgements = list(judgements)
    placed = [(item, item.step) for judgement in judgements for item in judgement.evidence if item.step is not None]
    exact = [step for item, step in placed if item.dimension in _EXACT and item.channel == "rule"]
    if facts.decision.verdict is Verdict.CORRECT:
        return min(exact, default=None)
    found = exact + [step for item, step in placed if item.kind in _TELLING]
    if facts.decision.verdict is Verdict.UNDECIDED:
        return min(found, default=None)
    if not found:
        found = [step for judgement in judgements for step in judgement.doubts]
    found += [step for judgement in judgements for step in judgement.suspects]
    return min(found) if found else _last_resort(facts)


def _last_resort(facts: Facts) -> int | None:
    """Of a wrong answer whose values are all right: the step after the one that reaches the reference answer, where it
    is left behind, else the last that computes, else the one that gives the answer."""
    derived = facts.trace.derived
    reached = next((index for index, item in enumerate(derived) if item.value == facts.target), None)
    if reached is not None and reached + 1 < len(derived):
        return derived[reached + 1].step
    if derived:
        return derived[-1].step
    if facts.answer is not None:
        return facts.solution.step_at(facts.answer.span[0])
    return facts.solution.steps[-1].index if facts.solution.steps else None
