"""A plugin of trl-weighted-dpo: a dimension, a hardness and a raw-weight formula.

The package calls the functions marked by `hookimpl`, each without arguments, and takes what they return by name.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo import DimensionCheck, HardnessFunction, HardnessSignals, RawWeightFunction, WeightingConfig
from trl_weighted_dpo.plugins import hookimpl
from weighted_dpo_units import answer_unit

Array = NDArray[np.float64]


def confident(signals: HardnessSignals) -> float:
    """A negative is as hard as the model is sure of it, however near to right it is; without scores all are alike."""
    return 1.0 if signals.confidence is None else signals.confidence


def root_severity(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """`√severity`: slight errors count, grave ones not many times as much. Where severity is not known it is 0."""
    return np.sqrt(np.nan_to_num(columns["rejected_severity"]))


@hookimpl
def weighted_dpo_dimensions() -> Mapping[str, DimensionCheck]:
    return {answer_unit.DIMENSION: answer_unit.check}


@hookimpl
def weighted_dpo_hardnesses() -> Mapping[str, HardnessFunction]:
    return {"confident": confident}


@hookimpl
def weighted_dpo_raw_weights() -> Mapping[str, RawWeightFunction]:
    return {"root_severity": root_severity}
