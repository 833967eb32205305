"""How good probabilities are: log-loss, Brier score, calibration error, ranking."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST = 1e-15


@dataclass(frozen=True, slots=True)
class Bin:
    """Probabilities of about the same size, and what came of them.

    Args:
        count (`int`): How many there are.
        predicted (`float`): Their mean.
        observed (`float`): Share of them whose event came.
    """

    count: int
    predicted: float
    observed: float


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of `-log p` of what came, in nats."""
    p, y = _arrays(probabilities, labels)
    p = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(np.where(y, np.log(p), np.log1p(-p))))


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of `(p - y)²`."""
    p, y = _arrays(probabilities, labels)
    return float(np.mean((p - y) ** 2))


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> list[Bin]:
    """Bins of about equal counts, from the smallest probability to the largest; equal ones share a bin."""
    p, y = _arrays(probabilities, labels)
    values, first = np.unique(np.sort(p), return_index=True)
    # A value goes where the first of its copies would.
    number = first * bins // len(p)
    found = []
    for index in np.unique(number):
        members = np.isin(p, values[number == index])
        found.append(Bin(int(members.sum()), float(p[members].mean()), float(y[members].mean())))
    return found


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error over the bins of [`reliability`], which adapt to where the probabilities lie."""
    found = reliability(probabilities, labels, bins)
    return sum(bin.count * abs(bin.predicted - bin.observed) for bin in found) / sum(bin.count for bin in found)


def wins(scores: ArrayLike, labels: ArrayLike) -> tuple[float, int]:
    """Of the pairs of a positive and a negative, how many rank the positive higher, ties as half; and how many are."""
    s, y = _arrays(scores, labels)
    negatives = np.sort(s[~y])
    below = np.searchsorted(negatives, s[y], "left") + np.searchsorted(negatives, s[y], "right")
    return float(below.sum()) / 2, int(y.sum()) * len(negatives)


def auroc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Area under the ROC curve; `None` if all labels are the same."""
    won, pairs = wins(scores, labels)
    return won / pairs if pairs else None


def _arrays(values: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.asarray(values, dtype=np.float64), np.asarray(labels, dtype=bool)
