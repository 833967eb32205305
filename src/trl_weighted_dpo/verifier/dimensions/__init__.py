"""One module per dimension of the error profile, all of one shape: [`~facts.Facts`] in, a [`DimensionResult`] out."""

from collections.abc import Iterable
from dataclasses import dataclass

from trl_weighted_dpo.verifier.profile import Evidence


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """What a dimension has to say.

    Args:
        score (`float`, *optional*): In [0, 1], 0 for no sign of an error; `None` if it could not be checked.
        evidence (`tuple[Evidence, ...]`): What was found.
        unavailable (`tuple[str, ...]`): What would have been looked at but was not there, such as
            `"reference solution"`.
        suspects (`tuple[int, ...]`): Steps that are likely to be faulty if the final answer is wrong.
        doubts (`tuple[int, ...]`): Steps that may belong to another way to the answer: faulty, if it is wrong and
            nothing else is.
    """

    score: float | None
    evidence: tuple[Evidence, ...] = ()
    unavailable: tuple[str, ...] = ()
    suspects: tuple[int, ...] = ()
    doubts: tuple[int, ...] = ()


def combined(severities: Iterable[float]) -> float:
    """The score of several findings: `1 - Π(1 - severity)`, as if each were an independent chance of an error.

    Ours: one more finding never lowers it, it stays in [0, 1], and a grave finding weighs as much as many slight ones.
    """
    sound = 1.0
    for severity in severities:
        sound *= 1.0 - severity
    return 1.0 - sound
