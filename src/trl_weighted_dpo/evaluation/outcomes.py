"""What became of one candidate: its verdict, its answer, and which kind of error it made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.thinking import UNFINISHED_THINKING
from trl_weighted_dpo.verifier.profile import Verdict

_Value = TypeVar("_Value")

NEAR = 0.5
"""How far from the reference answer a number may be and still count as near: `|found - expected|` is at most this share
of the larger of the two, so it lies within a factor of two, with the same sign. Ours: a wrong relation, a step left out
or an addition for a subtraction mostly stays within that, while on GSM8K more than half of the wrong answers do not."""

MEANING = ("semantic_alignment", "logical_consistency", "step_ordering")
"""The dimensions that speak of what a solution means, as opposed to what it computes."""

CLASSES = ("correct", "near_miss", "miscalculated", "other_incorrect", "unfinished_thinking", "undecided")
"""What a candidate can be; exactly one of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one candidate.

    Args:
        verdict (`Verdict`): Whether its final answer is right.
        answer (`str`, *optional*): The answer as it writes it.
        error_class (`str`): One of `CLASSES`.
    """

    verdict: Verdict
    answer: str | None
    error_class: str


def outcome(profile: Mapping[str, Any]) -> Outcome:
    """The outcome of a candidate from its error profile in plain JSON types, which was checked."""
    return Outcome(Verdict(profile[schema.VERDICT]), profile["answer"], error_class(profile))


def error_class(profile: Mapping[str, Any]) -> str:
    """Which of `CLASSES` a candidate is in, from its error profile in plain JSON types.

    `correct` and `undecided` are verdicts; `unfinished_thinking` is undecided because a thought never ends, as where
    the maximum length cut it. An incorrect candidate is

    * `miscalculated` if an equation of it is false (`numerical_validity` above 0);
    * a `near_miss` if no equation is false, its answer is near the reference answer (see `NEAR`) and one of the
      dimensions of `MEANING` has found something;
    * else `other_incorrect`.

    The paper's words for a near miss are "numerically close but logically inconsistent" (arXiv 2512.19728); it defines
    neither. The definition is ours: `numerically close` is said of the answer and of the arithmetic, so both are asked
    for; how near is read off the score of `final_answer`, which is `0.5 + 0.5 · min(1, |found - expected| /
    max(|found|, |expected|))` for numbers, and 1 for an answer that is none.
    """
    if profile.get("reason") == UNFINISHED_THINKING:
        return "unfinished_thinking"
    verdict, scores = profile[schema.VERDICT], profile[schema.SCORES] or {}
    if verdict != Verdict.INCORRECT:
        return str(verdict)
    if scores.get("numerical_validity"):
        return "miscalculated"
    distance = scores.get("final_answer")
    is_near = distance is not None and distance <= 0.5 + 0.5 * NEAR
    return "near_miss" if is_near and any(scores.get(name) for name in MEANING) else "other_incorrect"


def modal_class(outcomes: Sequence[Outcome]) -> str:
    """The class that most of these are in; among several, that of the first outcome that is in one of them."""
    return _most_frequent([one.error_class for one in outcomes])


def majority(outcomes: Sequence[Outcome], is_same: Callable[[str, str], bool]) -> Outcome | None:
    """The answer that most candidates give (self-consistency, Wang et al. 2022, arXiv 2203.11171), without weights.

    * A candidate that is undecided, or has no answer, has no vote: what cannot be read cannot be told to be the same.
    * Right answers are one group, since all of them are equivalent to the reference answer; wrong ones are in a group
      with the first one before them that they are equivalent to.
    * Among groups of the same size the one that appears first wins. Samples come in no particular order, so this is a
      fair draw, and needs no seed.

    Args:
        outcomes (`Sequence[Outcome]`): The candidates of one problem, in their order.
        is_same (`Callable[[str, str], bool]`): Whether two answers are equivalent.

    Returns:
        The first outcome of the group that wins, or `None` if nobody has a vote.
    """
    voters = [one for one in outcomes if one.answer is not None and one.verdict is not Verdict.UNDECIDED]
    if not voters:
        return None
    leaders: list[Outcome] = []
    groups: list[int] = []
    for one in voters:
        group = next((index for index, other in enumerate(leaders) if _agree(other, one, is_same)), len(leaders))
        if group == len(leaders):
            leaders.append(one)
        groups.append(group)
    return leaders[_most_frequent(groups)]


def _agree(first: Outcome, second: Outcome, is_same: Callable[[str, str], bool]) -> bool:
    if first.verdict is not second.verdict:
        return False
    assert first.answer is not None
    assert second.answer is not None
    return first.verdict is Verdict.CORRECT or first.answer == second.answer or is_same(first.answer, second.answer)


def _most_frequent(values: Sequence[_Value]) -> _Value:
    # max gives the first of equals.
    return max(values, key=values.count)
