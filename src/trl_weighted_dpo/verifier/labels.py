"""Profiles whose verdict is a label that somebody gave, in place of a reference answer."""

from dataclasses import replace

from trl_weighted_dpo.verifier.aggregates import Calibration, wrongness
from trl_weighted_dpo.verifier.profile import ErrorProfile, Verdict

REASON = "label"
"""Reason of a verdict that was not decided but taken from a label."""
_FINAL_ANSWER = "final_answer"


def with_label(profile: ErrorProfile, is_correct: bool, calibration: Calibration, has_solution: bool) -> ErrorProfile:
    """The profile with the label as its verdict; the dimensions keep what they found.

    Args:
        profile ([`ErrorProfile`]): Made without a reference answer.
        is_correct (`bool`): The label.
        calibration ([`~aggregates.Calibration`]): The weights of wrongness, which counts the label as `final_answer`.
        has_solution (`bool`): Whether there was a reference solution.
    """
    scores = {**profile.scores, _FINAL_ANSWER: 0.0 if is_correct else 1.0}
    return replace(
        profile,
        verdict=Verdict.CORRECT if is_correct else Verdict.INCORRECT,
        reason=REASON,
        answer_is_weak=False,
        scores=scores,
        wrongness=wrongness(scores, calibration.weights(has_solution)),
    )
