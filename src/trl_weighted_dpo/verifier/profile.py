"""The error profile: what was checked, what was found, and the two aggregates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from trl_weighted_dpo.core.checks import NAME_HINT, check_profile_row, is_name
from trl_weighted_dpo.verifier.findings import Finding


class Verdict(StrEnum):
    """Whether a final answer is right: `correct`, `incorrect` or `undecided`."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"


DIMENSIONS: tuple[str, ...] = (
    "semantic_alignment",
    "structural_integrity",
    "step_ordering",
    "logical_consistency",
    "numerical_validity",
    "final_answer",
)
"""The six dimensions of the error profile, in the order in which they are listed."""


@dataclass(frozen=True)
class ErrorProfile:
    """What the verifier has to say about one solution.

    Args:
        verdict (`Verdict`):
            Whether the final answer is right.
        reason (`str`):
            How that was decided, or why not: a short fixed phrase such as `"numbers differ"` or `"timeout"`.
        answer (`str`, *optional*):
            The final answer as the solution writes it; `None` if it has none.
        answer_is_weak (`bool`, defaults to `False`):
            Whether the answer was guessed from the text because no answer line gives it.
        scores (`Mapping[str, float | None]`):
            One score in [0, 1] per dimension, 0 for no sign of an error, `None` where nothing could be checked: the
            six, then those that were added. One of the six that is left out counts as not checked.
        evidence (`tuple[Finding, ...]`):
            What was found, in the order of the text; what is in no step comes last.
        first_faulty_step (`int`, *optional*):
            0-based index of the first step with an error; `None` if there is none or none is known.
        wrongness (`float`, *optional*):
            How far from right, in [0, 1], over the dimensions that were checked (see [`~aggregates`]); `None` if none
            was.
        absurdity (`float`, *optional*):
            How unreasonable in itself, in [0, 1], likewise.
        unavailable (`tuple[str, ...]`):
            Evidence that could not be had, such as `"reference solution"`.

    Raises:
        `ValueError`: If the name of a dimension is no lower-case identifier, or a score or an aggregate is outside
            [0, 1].
    """

    verdict: Verdict
    reason: str
    answer: str | None = None
    answer_is_weak: bool = False
    scores: Mapping[str, float | None] = field(default_factory=dict)
    evidence: tuple[Finding, ...] = ()
    first_faulty_step: int | None = None
    wrongness: float | None = None
    absurdity: float | None = None
    unavailable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for dimension, score in self.scores.items():
            if not is_name(dimension):
                raise ValueError(f"There can be no dimension {dimension!r}. {NAME_HINT}")
            if score is not None and not 0 <= score <= 1:
                raise ValueError(f"The score of {dimension} is {score}, but scores lie in [0, 1].")
        for name, aggregate in (("wrongness", self.wrongness), ("absurdity", self.absurdity)):
            if aggregate is not None and not 0 <= aggregate <= 1:
                raise ValueError(f"{name} is {aggregate}, but it lies in [0, 1].")
        complete = {**dict.fromkeys(DIMENSIONS), **self.scores}
        object.__setattr__(self, "scores", MappingProxyType(complete))

    def __reduce__(self) -> tuple[Any, ...]:
        # The read-only view of the scores cannot be pickled.
        return type(self).from_dict, (self.to_dict(),)

    def __hash__(self) -> int:
        return hash((self.verdict, self.reason, self.answer, tuple(self.scores.items()), self.evidence))

    def to_dict(self) -> dict[str, Any]:
        """Returns the profile in plain JSON types; [`from_dict`] reads it back."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "answer": self.answer,
            "answer_is_weak": self.answer_is_weak,
            "scores": dict(self.scores),
            "evidence": [
                {name: getattr(item, name) for name in Finding.__slots__ if name != "part" or item.part is not None}
                | {"span": list(item.span) if item.span is not None else None}
                for item in self.evidence
            ],
            "first_faulty_step": self.first_faulty_step,
            "wrongness": self.wrongness,
            "absurdity": self.absurdity,
            "unavailable": list(self.unavailable),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], index: int = 0, source: str = "profiles") -> Self:
        """Returns the profile that [`to_dict`] wrote.

        Args:
            fields (`Mapping[str, Any]`): The profile in plain JSON types.
            index (`int`, *optional*, defaults to `0`): Row of the file it comes from, for the message.
            source (`str`, *optional*): That file, for the message.

        Raises:
            [`~core.checks.SchemaError`]: If a column is missing or not what [`to_dict`] writes.
        """
        check_profile_row(fields, index, source)
        return cls(
            verdict=Verdict(fields["verdict"]),
            reason=fields["reason"],
            answer=fields["answer"],
            answer_is_weak=fields["answer_is_weak"],
            scores=fields["scores"],
            evidence=tuple(
                Finding(**{**item, "span": tuple(item["span"]) if item["span"] is not None else None})
                for item in fields["evidence"]
            ),
            first_faulty_step=fields["first_faulty_step"],
            wrongness=fields["wrongness"],
            absurdity=fields["absurdity"],
            unavailable=tuple(fields["unavailable"]),
        )
