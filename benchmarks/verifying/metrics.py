"""Figures of merit: first errors, and ranking within quartiles of another quantity."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trl_weighted_dpo.verifier.probabilities import auroc, wins

SOUND = -1
"""In place of the first faulty step: there is none."""


class FirstErrors(NamedTuple):
    """How well first faulty steps are found, as ProcessBench (arXiv 2412.06559) defines it, in percent.

    Args:
        f1 (`float`): Harmonic mean of the other two.
        exact (`float`): Faulty solutions whose first faulty step is named exactly; `nan` without any.
        sound (`float`): Sound solutions in which none is named; `nan` without any.
    """

    f1: float
    exact: float
    sound: float


def first_errors(predicted: Sequence[int], labels: Sequence[int]) -> FirstErrors:
    """Compares first faulty steps with labels; both are 0-based, or `SOUND`."""
    pairs = list(zip(predicted, labels, strict=True))
    exact = _percent([guess == label for guess, label in pairs if label != SOUND])
    sound = _percent([guess == label for guess, label in pairs if label == SOUND])
    f1 = 2 * exact * sound / (exact + sound) if exact + sound else 0.0
    return FirstErrors(f1, exact, sound)


def distances(predicted: Sequence[int], labels: Sequence[int]) -> Counter[str]:
    """How many steps after (+) or before (-) the first faulty step of faulty solutions the predicted one is."""
    found: Counter[str] = Counter()
    for guess, label in zip(predicted, labels, strict=True):
        if label != SOUND:
            distance = guess - label
            found[
                "none" if guess == SOUND else f"{distance:+d}" if abs(distance) < 3 else f"{distance:+d}"[0] + "3…"
            ] += 1
    return found


def quartile_of(values: Sequence[float]) -> list[int]:
    """The quartile, 0 to 3, of each value; equal values share one."""
    edges = np.quantile(values, (0.25, 0.5, 0.75))
    return [int(quartile) for quartile in np.searchsorted(edges, values, "left")]


class Ranking(NamedTuple):
    """How well a score ranks positives above negatives, as AUROC.

    Args:
        overall (`float`, *optional*): Among all.
        within (`float`, *optional*): Mean of the four within quartiles of another quantity.
        pooled (`float`, *optional*): Among all pairs that lie within the same quartile.
    """

    overall: float | None
    within: float | None
    pooled: float | None


def ranking(scores: Sequence[float], labels: Sequence[bool], other: Sequence[float]) -> Ranking:
    """Ranks by `scores`, overall and within quartiles of `other`; quartiles of one label only are left out."""
    quartiles = quartile_of(other)
    parts = []
    for quartile in range(4):
        members = [index for index, number in enumerate(quartiles) if number == quartile]
        parts.append(wins([scores[index] for index in members], [labels[index] for index in members]))
    checked = [(won, pairs) for won, pairs in parts if pairs]
    if not checked:
        return Ranking(auroc(scores, labels), None, None)
    within = sum(won / pairs for won, pairs in checked) / len(checked)
    return Ranking(auroc(scores, labels), within, sum(won for won, _ in checked) / sum(pairs for _, pairs in checked))


def _percent(hits: Sequence[bool]) -> float:
    return 100 * sum(hits) / len(hits) if hits else float("nan")
