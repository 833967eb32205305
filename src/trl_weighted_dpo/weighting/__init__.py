"""Signals → weights, as pure functions on columns.

A scheme gives each pair a raw weight r ≥ 0. Over the whole training set then

    u_i = clip(r_i / mean(r), clip_min, clip_max)            (mean(r) = 0 gives u ≡ 1)
    w_i = 1 + λ (u_i − 1),  divided by its mean

The mean of the weights is 1, so the learning rate keeps its meaning. λ = 0 is uniform DPO.
"""

from trl_weighted_dpo.settings.weighting import SCHEMES, WeightingConfig
from trl_weighted_dpo.weighting.columns import check_loss_columns, check_signals, check_weights, weight_columns
from trl_weighted_dpo.weighting.diagnostics import Histogram, effective_sample_size
from trl_weighted_dpo.weighting.resolution import check_control_of, check_scheme, note_on_override, resolve_scheme
from trl_weighted_dpo.weighting.schemes import FORMULA_VERSION, RAW_WEIGHTS, RawWeightFunction
from trl_weighted_dpo.weighting.weights import WeightStatistics, WeightSummary, compute_weights

__all__ = [
    "FORMULA_VERSION",
    "RAW_WEIGHTS",
    "SCHEMES",
    "Histogram",
    "RawWeightFunction",
    "WeightStatistics",
    "WeightSummary",
    "WeightingConfig",
    "check_control_of",
    "check_loss_columns",
    "check_scheme",
    "check_signals",
    "check_weights",
    "compute_weights",
    "effective_sample_size",
    "note_on_override",
    "resolve_scheme",
    "weight_columns",
]
