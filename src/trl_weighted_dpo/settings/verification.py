"""Settings of the verifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.settings.setting import check


@dataclass(frozen=True)
class VerificationConfig:
    """What solutions are verified with.

    Raises:
        `ValueError`: If a value is of another type.
    """

    calibration: Annotated[Path | None, Doc("Weights of wrongness, as `weighted-dpo calibrate` writes them.")] = None
    dimension: Annotated[Sequence[str], Doc("Check a dimension of a plugin, too.")] = ()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CalibrationConfig:
    """How the weights of wrongness are fitted.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    folds: Annotated[int, Ge(2), Doc("Folds of the cross-validation; all solutions of a problem are in one fold.")] = 5

    def __post_init__(self) -> None:
        check(self)
