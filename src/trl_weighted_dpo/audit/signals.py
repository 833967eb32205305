"""Checks of the numbers that pairs bring: weights, the signals that weights are computed from, reference log-probs."""

import math
from array import array
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trl_weighted_dpo import schema
from trl_weighted_dpo.audit.config import AuditConfig
from trl_weighted_dpo.audit.pairs import Pair
from trl_weighted_dpo.audit.report import CheckResult, judged, skipped
from trl_weighted_dpo.weighting import compute_weights
from trl_weighted_dpo.weighting.columns import COLUMNS, LARGEST

DEVIATIONS = 5.0
"""Robust deviations from the median from which on a weight is an outlier. Iglewicz and Hoaglin (1993, "How to detect
and handle outliers") say 3.5 for normal data; weights are skewed, so 5 (ours)."""

FACTOR = 1.5
"""How many times the median, or which part of it, an outlier is besides: in a set of almost equal weights a pair that
is many deviations off still changes nothing (ours)."""

MAX_CLIPPED = 0.2
"""Share of the pairs at a clip bound from which on the bounds, not the signals, decide the weights (ours)."""

MIN_SAMPLE = 0.5
"""Effective sample size below which half of the pairs are paid for and not learned from (ours)."""

_UNBOUNDED = {
    schema.WEIGHT: (0.0, LARGEST),
    schema.REJECTED_NLL: (0.0, LARGEST),
    schema.REWARD_MARGIN: (-LARGEST, LARGEST),
}
_MISSING = math.nan


class SignalChecks:
    """Looks at one pair after the other; keeps 8 bytes for each signal of each."""

    def __init__(self, config: AuditConfig) -> None:
        self._weighting = config.weighting
        self._unusable, self._outliers = config.tally("unusable_signals"), config.tally("weight_outliers")
        self._log_probs = config.tally("reference_log_probs")
        self._columns = {name: array("d") for name in COLUMNS}
        self._present: set[str] = set()
        self._rows = array("q")

    def add(self, pair: Pair) -> None:
        """Looks at a pair."""
        self._add_log_probs(pair)
        present = [name for name in COLUMNS if name in pair.columns]
        self._present.update(present)
        self._unusable.of += 1
        for name in present:
            value = pair.columns[name]
            low, high = _UNBOUNDED.get(name, (0.0, 1.0))
            is_known = value is not None or name == schema.WEIGHT
            if is_known and not (_is_number(value) and low <= value <= high):
                self._unusable.add(pair.row, f"{name} is {value!r}, but it is a number in [{low:.3g}, {high:.3g}]")
                return
        for name, values in self._columns.items():
            value = pair.columns.get(name)
            values.append(_MISSING if value is None else value)
        self._rows.append(pair.row)

    def _add_log_probs(self, pair: Pair) -> None:
        names = (schema.REF_CHOSEN_LOGPS, schema.REF_REJECTED_LOGPS)
        values = [pair.columns.get(name) for name in names]
        if values == [None, None]:
            return
        self._log_probs.of += 1
        for name, value in zip(names, values, strict=True):
            if not _is_number(value) or not -math.inf < value <= 0:
                self._log_probs.add(pair.row, f"{name} is {value!r}, but a log-prob is a finite number <= 0")
                return

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at."""
        names = ("weight_outliers", "weights_clipped", "effective_sample_size")
        if self._present:
            yield self._unusable.result()
        else:
            yield skipped(self._unusable.name, "no weights and no signals")
        if len(self._rows):
            yield from self._of_weights()
        else:
            yield from (skipped(name, "no pairs to weigh") for name in names)
        if self._log_probs.of:
            yield self._log_probs.result()
        else:
            yield skipped(self._log_probs.name, "no reference log-probs")

    def _of_weights(self) -> Iterator[CheckResult]:
        columns = {
            name: pa.array(np.frombuffer(values), from_pandas=True)
            for name, values in self._columns.items()
            if name in self._present
        }
        size = len(self._rows)
        weights, _, summary = compute_weights(columns, size, self._weighting)
        deviations = robust_deviations(weights)
        median = np.median(weights)
        is_far = (weights >= FACTOR * median) | (weights <= median / FACTOR)
        self._outliers.of = size
        for position in np.flatnonzero((deviations > DEVIATIONS) & is_far):
            self._outliers.add(
                self._rows[position],
                f"weight {weights[position]:.3g}: {deviations[position]:.1f} robust deviations from the median "
                f"{median:.3g}",
            )
        yield self._outliers.result(f"scheme {summary.scheme}")
        name = "weights_clipped"
        if summary.ess_u is None:
            yield skipped(name, f"the scheme {summary.scheme} clips no weight")
        else:
            share = summary.at_clip_min + summary.at_clip_max
            status, threshold = judged(name, share > MAX_CLIPPED), f"> {MAX_CLIPPED:.0%}"
            note = f"{summary.at_clip_min:.1%} at the lower bound, {summary.at_clip_max:.1%} at the upper one"
            yield CheckResult(name, status, 0, size, threshold, note, {"share": share})
        # λ mixes the weights with uniform ones, which hides it there.
        name, share = "effective_sample_size", summary.ess if summary.ess_u is None else summary.ess_u
        status, threshold = judged(name, share < MIN_SAMPLE), f"< {MIN_SAMPLE:.0%}"
        note = f"{share:.1%}, of the weights {'as they are' if summary.ess_u is None else 'before λ'}"
        yield CheckResult(name, status, 0, size, threshold, note, {"share": share})


def robust_deviations(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many robust deviations each weight is off the median, shape (n,), ≥ 0.

    The deviation is 1.4826 times the median absolute deviation, which is the standard deviation for normal data; where
    that is 0, because more than half of the weights are equal, 1.2533 times the mean absolute deviation, likewise
    (Iglewicz and Hoaglin 1993).
    """
    distances = np.abs(weights - np.median(weights))
    deviation = 1.4826 * float(np.median(distances)) or 1.2533 * float(distances.mean())
    # Weights that are equal but for rounding have no outliers.
    if deviation <= 1e-9 * float(np.abs(weights).max()):
        return np.zeros_like(distances)
    return np.asarray(distances / deviation)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
