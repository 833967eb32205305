"""Paired differences of arms, with intervals over seeds and problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000

Seeds = tuple[int, int]
"""SFT seed and pair seed of a run."""


@dataclass(frozen=True)
class Difference:
    """In percentage points: mean, and the bounds of its 95 % interval."""

    mean: float
    lower: float
    upper: float

    @property
    def text(self) -> str:
        return f"{self.mean:+.1f} ({self.lower:+.1f} to {self.upper:+.1f})"

    @property
    def excludes_zero(self) -> bool:
        return self.lower > 0 or self.upper < 0


def marks(solved: str) -> NDArray[np.float64]:
    return np.frombuffer(solved.encode(), dtype=np.uint8).astype(np.float64) - ord("0")


def difference(
    first: Mapping[Seeds, str], second: Mapping[Seeds, str], resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Accuracy of `first` less that of `second`, on the same problems.

    The interval is from a bootstrap (percentiles) that draws anew, at once, SFT models, pair seeds within each, and the
    problems, which all runs share. Runs are matched by their seeds; one that has no pair seed of its own, such as the
    SFT model's, is matched by its SFT seed alone.

    Args:
        first, second (`Mapping[tuple[int, int], str]`): For each run, a string of 0 and 1 for the problems.
    """
    runs = sorted(first)
    table = np.stack([marks(first[run]) - marks(second.get(run) or second[run[0], 0]) for run in runs])
    rng = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(runs)))
    places = {run: place for place, run in enumerate(runs)}
    models = sorted({model for model, _ in runs})
    of_model = {model: [places[run] for run in runs if run[0] == model] for model in models}
    for row in weights:
        for model in rng.choice(models, len(models)):
            own = of_model[int(model)]
            np.add.at(row, rng.choice(own, len(own)), 1.0 / (len(own) * len(models)))
    problems = rng.multinomial(table.shape[1], np.full(table.shape[1], 1 / table.shape[1]), size=resamples)
    means = ((weights @ table) * problems).sum(axis=1) / table.shape[1]
    lower, upper = np.quantile(means, (0.025, 0.975))
    return Difference(100 * table.mean(), 100 * lower, 100 * upper)


def accuracy(solved: Mapping[Seeds, str]) -> float:
    """In percent, over all runs."""
    return 100 * float(np.mean([marks(run).mean() for run in solved.values()]))


def rank_correlation(
    first: Sequence[float], second: Sequence[float], resamples: int = 1000, seed: int = 0
) -> Difference:
    """Spearman's ρ, and its 95 % interval by bootstrap over the pairs of values; as it is, not in percent."""
    from scipy.stats import rankdata

    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    rng = np.random.default_rng(seed)

    def rho(places: NDArray[np.int64]) -> float:
        ranks = rankdata(x[places]), rankdata(y[places])
        return 0.0 if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0 else float(np.corrcoef(*ranks)[0, 1])

    found = [rho(rng.integers(0, len(x), len(x))) for _ in range(resamples)]
    lower, upper = np.quantile(found, (0.025, 0.975))
    return Difference(rho(np.arange(len(x))), lower, upper)
