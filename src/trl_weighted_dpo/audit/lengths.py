"""Whether chosen and rejected can be told apart by their lengths.

A model that prefers the longer text would then reach a low loss without learning anything else. Both figures are areas
under the ROC curve (AUROC) of the length as a score of being rejected: 0.5 tells nothing, 1 means that the rejected one
is always the longer, 0 that it is always the shorter.
"""

import math
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trl_weighted_dpo.audit.report import CheckResult, skipped, status_of

LOW, HIGH = 0.4, 0.6
"""Figures between these pass. Ours: the rule "the longer is rejected" is then right for at most 3 pairs in 5. Wrong
solutions are longer by nature (AUROC 0.62 to 0.67 on sampled GSM8K solutions), so that unmatched pairs are told of."""

_Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


class LengthChecks:
    """Looks at one pair after the other; keeps 16 bytes of each.

    Args:
        unit (`str`): What lengths count, for the report.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._chosen, self._rejected = array("q"), array("q")

    def add(self, chosen: int, rejected: int) -> None:
        """Looks at a pair, by the lengths of its completions."""
        self._chosen.append(chosen)
        self._rejected.append(rejected)

    def results(self) -> Iterator[CheckResult]:
        """The result, once all pairs were looked at."""
        name, size = "length_predictable", len(self._chosen)
        if size < 2:
            yield skipped(name, "fewer than two pairs")
            return
        areas = within_pairs(self._chosen, self._rejected), pooled(self._chosen, self._rejected)
        is_bad = any(lower > HIGH or upper < LOW for _, lower, upper in areas)
        texts = ("{:.3f} [{:.3f}, {:.3f}]".format(*area) for area in areas)
        note = "rejected is longer, in {}: {} within pairs, {} pooled".format(self._unit, *texts)
        figures = {"unit": self._unit, "within_pairs": list(areas[0]), "pooled": list(areas[1])}
        threshold = f"an interval outside [{LOW}, {HIGH}]"
        yield CheckResult(name, status_of(name, is_bad), 0, size, threshold, note, figures)


def within_pairs(chosen: ArrayLike, rejected: ArrayLike) -> tuple[float, float, float]:
    """Share of the pairs whose rejected is longer, and half of those of equal length; with its 95 % interval.

    The interval is Wilson's score interval (Wilson 1927), which is exact enough for small sets and stays in [0, 1].
    Ties, which vary less than a coin, make it wider than it need be. Pairs count as independent: several pairs of a
    problem make it narrower than it should be.

    Args:
        chosen, rejected (`ArrayLike`): Lengths, shape (n,), n ≥ 1.

    Returns:
        The share and the bounds, in [0, 1].
    """
    c, r = _arrays(chosen, rejected)
    n = len(c)
    share = float(np.mean((r > c) + 0.5 * (r == c)))
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return share, max(0.0, centre - half), min(1.0, centre + half)


def pooled(chosen: ArrayLike, rejected: ArrayLike) -> tuple[float, float, float]:
    """AUROC over all combinations of a rejected and a chosen one of the set; with its 95 % interval.

    The interval is normal with the variance of Obuchowski (1997, "Nonparametric analysis of clustered ROC curve data",
    Biometrics 53), which is DeLong's (1988) for clusters: a pair is one, since both of its lengths follow its problem.

        V_i = share of the chosen that are shorter than rejected i, ties as half; A = mean(V)
        W_i = share of the rejected that are longer than chosen i, ties as half
        var(A) = (var(V) + var(W) + 2 cov(V, W)) / n

    Args:
        chosen, rejected (`ArrayLike`): Lengths, shape (n,), n ≥ 2.

    Returns:
        The AUROC and the bounds, in [0, 1].
    """
    c, r = _arrays(chosen, rejected)
    n = len(c)
    by_rejected = _share_below(np.sort(c), r)
    by_chosen = 1.0 - _share_below(np.sort(r), c)
    area = float(by_rejected.mean())
    covariance = np.cov(by_rejected, by_chosen)
    half = _Z * math.sqrt(max(0.0, float(covariance.sum())) / n)
    return area, max(0.0, area - half), min(1.0, area + half)


def _share_below(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(below, dtype=np.float64) / (2 * len(ordered))


def _arrays(chosen: ArrayLike, rejected: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.asarray(chosen, dtype=np.int64), np.asarray(rejected, dtype=np.int64)
