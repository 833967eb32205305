"""Settings of evaluation."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Interval
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import Seeded
from trl_weighted_dpo.settings.sampling import SamplingConfig
from trl_weighted_dpo.settings.setting import check


@dataclass(frozen=True)
class EvaluationConfig:
    """How models are compared.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    difficulty: Annotated[
        str | None,
        Doc(
            "Split results by this column of the problems, by `steps` (of the reference solution) or by `accuracy` (of "
            "the baseline)."
        ),
    ] = None
    confidence: Annotated[float, Interval(gt=0, lt=1), Doc("Confidence level of all intervals.")] = 0.95
    resamples: Annotated[int, Ge(100), Doc("Resamples of the bootstrap.")] = 10_000
    seed: Annotated[int, Ge(0), Doc("Seed of the bootstrap.")] = 0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ModelsConfig:
    """Which model the others are compared with, and what of their sampling differs from [`~settings.SamplingConfig`].

    Raises:
        `ValueError`: If a value is out of its range.
    """

    baseline: Annotated[str | None, Doc("Model that the others are compared with; by default the first one.")] = None
    completions: Annotated[
        int, Ge(0), Doc("Samples of each problem, beside a greedy candidate; 0 leaves the samples out.")
    ] = SamplingConfig.completions
    seed: Annotated[int, Seeded, Doc("Seed of the samples and of the bootstrap.")] = EvaluationConfig.seed

    def __post_init__(self) -> None:
        check(self)
