"""Checks of the numbers that pairs bring: weights, the signals that weights are computed from, reference log-probs."""

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trl_weighted_dpo.audit.pairs import Pair
from trl_weighted_dpo.audit.report import CheckResult, skipped, status_of, tally_of
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.settings.audit import AuditConfig
from trl_weighted_dpo.weighting import compute_weights
from trl_weighted_dpo.weighting.columns import RANGES, OtherNumbers, kind_of, own_columns, takes_any
from trl_weighted_dpo.weighting.diagnostics import LEAST_ESS, MOST_AT_BOUNDS

DEVIATIONS = 5.0
"""Robust deviations from the median from which on a weight is an outlier. Iglewicz and Hoaglin (1993, "How to detect
and handle outliers") say 3.5 for normal data; weights are skewed, so 5 (ours)."""

FACTOR = 1.5
"""How many times the median, or which part of it, an outlier is besides: in a set of almost equal weights a pair that
is many deviations off still changes nothing (ours)."""

_BATCH_ROWS = 512
_MISSING = math.nan


class SignalChecks:
    """Looks at one pair after the other; keeps 8 bytes for each signal of each, and for each other number that the
    formula of a plugin may read.

    Args:
        config ([`AuditConfig`]): How the pairs will be weighed.
        source (`str`): Where the pairs come from, for notes.
    """

    def __init__(self, config: AuditConfig, source: str) -> None:
        self._weighting, self._source = config.weighting, source
        self._unusable, self._outliers = tally_of(config, "unusable_signals"), tally_of(config, "weight_outliers")
        self._logps = tally_of(config, "reference_logps")
        own = own_columns(config.weighting)
        self._columns = {name: array("d") for name in own}
        self._ranges = {name: RANGES[name] for name in (*own, *schema.LOSS_COLUMNS)}
        self._others = OtherNumbers() if takes_any(config.weighting) else None
        self._batch: list[Mapping[str, Any]] = []
        self._present: set[str] = set()
        self._rows = array("q")

    def add(self, pair: Pair) -> None:
        """Looks at a pair."""
        self._add_logps(pair)
        self._present.update(name for name in self._columns if name in pair.columns)
        self._unusable.of += 1
        for name, (low, high) in self._ranges.items():
            value = pair.columns.get(name)
            # Once there are weights, every pair has one.
            is_wanted = name == schema.WEIGHT and name in self._present
            if (value is not None or is_wanted) and not (_is_number(value) and low <= value <= high):
                self._unusable.add(pair.row, f"{name} is {value!r}, but it is {kind_of(name)}")
                return
        for name, values in self._columns.items():
            value = pair.columns.get(name)
            values.append(_MISSING if value is None else value)
        self._rows.append(pair.row)
        if self._others is not None:
            self._batch.append(pair.columns)
            if len(self._batch) == _BATCH_ROWS:
                self._add_others(self._others)

    def _add_others(self, others: OtherNumbers) -> None:
        others.add(self._batch)
        self._batch = []

    def _add_logps(self, pair: Pair) -> None:
        names = (schema.REF_CHOSEN_LOGPS, schema.REF_REJECTED_LOGPS)
        values = [pair.columns.get(name) for name in names]
        if values == [None, None]:
            return
        self._logps.of += 1
        for name, value in zip(names, values, strict=True):
            if not _is_number(value) or not -math.inf < value <= 0:
                self._logps.add(pair.row, f"{name} is {value!r}, but a log-prob is a finite number <= 0")
                return

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at."""
        if self._present:
            yield self._unusable.result()
        else:
            yield skipped(self._unusable.name, "no weights and no signals")
        yield from self._of_weights()
        if self._logps.of:
            yield self._logps.result()
        else:
            yield skipped(self._logps.name, "no reference log-probs")

    def _of_weights(self) -> Iterator[CheckResult]:
        columns = {
            name: pa.array(np.frombuffer(values), from_pandas=True)
            for name, values in self._columns.items()
            if name in self._present
        }
        if self._others is not None:
            self._add_others(self._others)
            columns |= self._others.columns()
        size = len(self._rows)
        try:
            weights, _, summary = compute_weights(columns, size, self._weighting, source=self._source)
        except ValueError as error:
            # Such as columns that are all null: the other checks are still worth their report.
            names = ("weight_outliers", "weights_clipped", "effective_sample_size")
            yield from (skipped(name, str(error)) for name in names)
            return
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
            status, threshold = status_of(name, share > MOST_AT_BOUNDS), f"> {MOST_AT_BOUNDS:.0%}"
            note = f"{summary.at_clip_min:.1%} at the lower bound, {summary.at_clip_max:.1%} at the upper one"
            yield CheckResult(name, status, 0, size, threshold, note, {"share": share})
        # λ mixes the weights with uniform ones, which hides it there.
        name, share = "effective_sample_size", summary.ess if summary.ess_u is None else summary.ess_u
        status, threshold = status_of(name, share < LEAST_ESS), f"< {LEAST_ESS:.0%}"
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
