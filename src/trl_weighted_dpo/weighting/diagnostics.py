"""Diagnostics of a set of weights, with notes on when to look closer."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.settings.weighting import WeightingConfig
from trl_weighted_dpo.weighting.columns import Array
from trl_weighted_dpo.weighting.schemes import NEEDED, RAW_WEIGHTS, severity_column

LEAST_ESS = 0.5
MOST_AT_BOUNDS = 0.2
_BINS = 10


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width.

    Args:
        edges (`tuple[float, ...]`): The k + 1 borders of the bins, ascending. All values equal: that value twice.
        counts (`tuple[int, ...]`): The k counts; an inner border belongs to the bin on its right.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def histogram(values: Array, bins: int = _BINS) -> Histogram:
    """The histogram of finite values, from the least to the largest.

    Args:
        values (`Array`): Shape (n,), n ≥ 1.
        bins (`int`, *optional*, defaults to `10`): Number of bins.
    """
    least, most = float(values.min()), float(values.max())
    # Bins narrower than rounding tell nothing, and numpy refuses them.
    if most - least <= 1e-12 * abs(most):
        return Histogram((least, most), (len(values),))
    counts, edges = np.histogram(values, bins)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def effective_sample_size(weights: Array) -> float:
    """(Σw)² / (n Σw²), the effective sample size as a share of n (Kish, 1965), in [0, 1]; 0 when all weights are 0."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / (len(weights) * squares) if squares > 0 else 0.0


def top_decile_share(weights: Array) -> float:
    """Share of the total weight that the heaviest tenth of the pairs holds, in [0, 1]: 0.1 for uniform weights, 0 when
    all weights are 0. A tenth that is no whole number of pairs counts the next pair in part (a point of the Lorenz
    curve)."""
    total = float(weights.sum())
    if total == 0:
        return 0.0
    tenth = len(weights) / 10
    whole = math.floor(tenth)
    # The heaviest, and the one that counts in part before them.
    heaviest = np.sort(np.partition(weights, len(weights) - whole - 1)[len(weights) - whole - 1 :])
    return float(heaviest[1:].sum() + (tenth - whole) * heaviest[0]) / total


def rank_correlation(first: Array, second: Array) -> float | None:
    """Spearman's rank correlation of two sets of weights, in [-1, 1]; `None` where one of them is all equal."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def notes_on_u(u: Array, config: WeightingConfig, at_bounds: Sequence[float]) -> list[str]:
    """Sentences for a person where u is uneven or its bounds do much of the work; none where all is well.

    The limits are rules of thumb. They are on u, since the effective sample size of w cannot fall far at λ = 0.3.

    Args:
        u (`Array`): Normalised and clipped raw weights, shape (n,).
        config ([`WeightingConfig`]): The bounds.
        at_bounds (`Sequence[float]`): Share of u at `clip_min`, and at `clip_max`.
    """
    notes = []
    ess = effective_sample_size(u)
    if ess < LEAST_ESS:
        notes.append(
            f"The effective sample size of u is {ess:.0%}, under {LEAST_ESS:.0%}: few pairs count (the heaviest "
            f"tenth holds {top_decile_share(u):.0%}). Look at them with `weighted-dpo weigh`; if they are not worth "
            f"it, lower clip_max ({config.clip_max:g}) or choose another scheme."
        )
    if sum(at_bounds) > MOST_AT_BOUNDS:
        low, high = at_bounds
        notes.append(
            f"{low:.0%} of u sit at clip_min ({config.clip_min:g}) and {high:.0%} at clip_max ({config.clip_max:g}): "
            f"more than {MOST_AT_BOUNDS:.0%} at a bound, where weights no longer tell pairs apart. Widen the bounds, "
            "or choose a scheme whose signal is graded and known for more pairs."
        )
    return notes


def columns_read(formula: str, known: Collection[str], config: WeightingConfig) -> tuple[str, ...]:
    """The columns that a formula reads, given those with values; a plugin's may read any."""
    if formula != "verifier":
        return NEEDED.get(formula, tuple(known))
    used = {
        severity_column(known): config.severity,
        schema.CHOSEN_CONFIDENCE: config.confidence_gap,
        schema.REJECTED_CONFIDENCE: config.confidence_gap,
        schema.REJECTED_NLL: config.nll,
    }
    return tuple(name for name, coefficient in used.items() if coefficient > 0)


def note_on_missing(formula: str, missing: Collection[str], source: str) -> str:
    """What to tell a person of evaluation pairs that lack some of what the formula took in training."""
    # What the formula of a plugin reads is not known.
    condition = "" if formula in RAW_WEIGHTS else f", if {formula!r} takes them"
    return (
        f"Signals that the training set has are missing in {source}: {', '.join(missing)}. They count 0 there, so that "
        f"its raw weights are lower than the training set's{condition}."
    )


def notes_on_signals(
    formula: str, known: Mapping[str, Array], size: int, config: WeightingConfig, nll_median: float | None
) -> list[str]:
    """What to tell a person of signals of the training set that count 0 in the raw weight, in all pairs or in some."""
    names = columns_read(formula, known, config) if formula in RAW_WEIGHTS else ()
    missing = [name for name in names if name not in known]
    notes = [f"Signals without values count 0 in the raw weight: {', '.join(missing)}."] if missing else []
    gaps = {name: int(np.isnan(known[name]).sum()) for name in names if name in known}
    partly = [f"{name} ({count} of {size})" for name, count in gaps.items() if count]
    if partly:
        notes.append(f"Signals that are null in some pairs count 0 there: {', '.join(partly)}.")
    if schema.REJECTED_NLL in names and nll_median == 0:
        notes.append(
            f"The median of {schema.REJECTED_NLL!r} is 0, so nothing can be measured by it: it counts 0 in the raw "
            "weight. Check how it was computed."
        )
    return notes
