"""Estimators, intervals and tests of paired differences for correct and incorrect answers, as pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trl_weighted_dpo.settings.evaluation import EvaluationConfig

CONFIDENCE = EvaluationConfig.confidence
RESAMPLES = EvaluationConfig.resamples
_BATCH_VALUES = 4_000_000
"""Values that are resampled at once: 32 MB of them."""

Interval = tuple[float, float]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that at least one of k samples is correct: `1 - C(n - c, k) / C(n, k)`, the unbiased estimate from n
    samples of which c are correct (Chen et al. 2021, arXiv 2107.03374, eq. 1), as a product, which does not overflow.

    Args:
        n (`int`): Samples of the problem, at least k.
        c (`int`): How many of them are correct, in 0 … n.
        k (`int`): At least 1.

    Raises:
        `ValueError`: If they are out of these ranges.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k of n={n}, c={c}, k={k}: it needs 0 <= c <= n and 1 <= k <= n.")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def wilson_interval(correct: int, total: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's score interval (1927) of a share, which stays in [0, 1] and keeps its level for few cases and extremes.

    Args:
        correct (`int`), total (`int`): `correct` of `total` independent cases.
        confidence (`float`, *optional*, defaults to `0.95`): In (0, 1).

    Returns:
        Its ends in [0, 1], or `None` of no cases.
    """
    from scipy.stats import binomtest

    if not total:
        return None
    interval = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_interval(
    values: ArrayLike, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Percentile bootstrap interval of a mean over problems (Efron and Tibshirani 1993, chapter 13).

    What is resampled are whole problems, so that samples of one problem are not taken for independent. For a paired
    comparison, `values` are the differences by problem.

    Args:
        values (`ArrayLike`): One number for each problem, shape (N,).
        confidence (`float`, *optional*, defaults to `0.95`): In (0, 1).
        resamples (`int`, *optional*, defaults to `10_000`): At least 1.
        seed (`int`, *optional*, defaults to `0`): The same seed gives the same interval.

    Returns:
        Its ends, or `None` if the values are all the same: resampling cannot show what has not been seen.
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=np.float64)
    if not len(values) or np.all(values == values[0]):
        return None
    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, _BATCH_VALUES // len(values)),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's exact test (1947; exact form: the sign test of the discordant pairs).

    Args:
        gained (`int`): Problems that only the second model solves.
        lost (`int`): Problems that only the first one solves.

    Returns:
        p in [0, 1]; 1 without discordant problems.
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for several comparisons by Holm's step-down procedure (1979): the i-th smallest of m, counted
    from 0, times m - i, never below one before it, and at most 1. In the order given."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def estimate(
    values: NDArray[np.float64], is_binary: bool, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """A mean over problems with its interval: Wilson's where each problem is right or wrong, else the bootstrap's.

    Args:
        values (`NDArray`): One number in [0, 1] for each problem, shape (N,).
        is_binary (`bool`): Whether each is 0 or 1.
        confidence, resamples, seed: As for [`bootstrap_interval`].

    Returns:
        `problems`, `value`, `interval` (two numbers, or `None` if there is none) and its `method`; of binary values
        `correct` too.
    """
    summary: dict[str, Any] = {"problems": len(values), "value": float(values.mean()) if len(values) else None}
    if is_binary:
        summary["correct"] = int(values.sum())
        interval, method = wilson_interval(summary["correct"], len(values), confidence), "wilson"
    else:
        interval, method = bootstrap_interval(values, confidence, resamples, seed), "bootstrap"
    return {**summary, "interval": None if interval is None else list(interval), "method": method}


def difference(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    is_binary: bool,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The second model's mean less the first one's, on the same problems.

    Args:
        first, second (`NDArray`): One number in [0, 1] for each problem, shape (N,), in the same order.
        is_binary (`bool`): Whether each is 0 or 1.
        confidence, resamples, seed: As for [`bootstrap_interval`].

    Returns:
        `problems`, `difference`, its paired bootstrap `interval`; of binary values also McNemar's table (`both`,
        `gained`, `lost`, `neither`) and `p`.
    """
    changes = second - first
    interval = bootstrap_interval(changes, confidence, resamples, seed)
    summary: dict[str, Any] = {
        "problems": len(changes),
        "difference": float(changes.mean()) if len(changes) else None,
        "interval": None if interval is None else list(interval),
    }
    if is_binary:
        gained, lost, both = int((changes > 0).sum()), int((changes < 0).sum()), int((first * second).sum())
        table = {"both": both, "gained": gained, "lost": lost, "neither": len(changes) - both - gained - lost}
        summary.update(table, p=mcnemar(gained, lost))
    return summary


def with_holm(comparisons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Comparisons of one measure, those that have a `p` with `p_holm` among all that have one."""
    tested = [index for index, comparison in enumerate(comparisons) if "p" in comparison]
    adjusted = dict(zip(tested, holm([comparisons[index]["p"] for index in tested]), strict=True))
    return [
        {**comparison, **({"p_holm": adjusted[index]} if index in adjusted else {})}
        for index, comparison in enumerate(comparisons)
    ]
