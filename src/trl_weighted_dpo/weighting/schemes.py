"""Raw weights: what a scheme makes of the signals of a pair.

arXiv 2512.19728 names wrongness, confidence gap and perplexity as the parts of its raw weight and publishes no formula:
the formulas are ours. Scale does not matter, since r is divided by its mean over the training set.
"""

from collections.abc import Callable, Container, Mapping

import numpy as np

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.settings.weighting import WeightingConfig
from trl_weighted_dpo.weighting.columns import Array

FORMULA_VERSION = "2"
"""Changes whenever the same signals and settings would give other weights; recorded beside the model."""

RELATIVE_NLL = "relative_nll"
"""Beside the columns of the pairs: `rejected_nll` divided by its median over the training set."""
NLL_CAP = 3.0

RawWeightFunction = Callable[[Mapping[str, Array], WeightingConfig], Array]
"""From columns to raw weights r ≥ 0, shape (n,).

The columns are float64 arrays of shape (n,), NaN where a value is not known: those that have a value somewhere in the
training set, and [`RELATIVE_NLL`]. Each pair's r comes from its own row alone, so that evaluation pairs are weighed as
training pairs are.
"""


def wrongness(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """`rejected_wrongness`: the calibrated probability that the rejected completion is wrong."""
    return _known(columns[schema.REJECTED_WRONGNESS])


def severity(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """`rejected_severity`: how much of the rejected completion's profile shows an error, by the verifier's weights."""
    return _known(columns[schema.REJECTED_SEVERITY])


def absurdity(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """`rejected_absurdity`: how unreasonable the rejected completion is in itself."""
    return _known(columns[schema.REJECTED_ABSURDITY])


def confidence_gap(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """max(0, conf(rejected) − conf(chosen)): where the model prefers the wrong solution, there is something to
    unlearn. 0 where one of the two is not known."""
    return _known(np.maximum(0.0, columns[schema.REJECTED_CONFIDENCE] - columns[schema.CHOSEN_CONFIDENCE]))


def perplexity(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """min(nll / median(nll), 3) with the rejected completion's NLL per token, the logarithm of its perplexity.

    The logarithm, because perplexity itself grows exponentially: a few unlikely texts would hold most of the weight.
    Capped for the same reason.
    """
    return _known(np.minimum(columns[RELATIVE_NLL], NLL_CAP))


def reward_margin(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """σ(−m) with m = `reward_margin`, a reward model's score of the chosen less that of the rejected completion.

    Under Bradley and Terry's model it is the probability that the rejected completion is preferred, and the factor that
    DPO's own gradient gives a pair of that margin (arXiv 2305.18290, section 4). Pairs that a reward model tells apart
    badly are the hard ones, as in MADPO (arXiv 2510.05342); that they are mislabelled is less likely here, where a
    verifier has decided what is right.
    """
    # tanh neither overflows nor leaves [0, 1].
    return _known(0.5 - 0.5 * np.tanh(0.5 * columns[schema.REWARD_MARGIN]))


def score_margin(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """max(0, m) with m = `score_chosen` − `score_rejected`, or σ(−m) where `score_direction` is `falling`.

    Scores are a judge's, on its own scale, as UltraFeedback's. `rising` takes a large margin for a clear preference and
    is free of the scale, since r is divided by its mean. `falling` is [`reward_margin`] of the same m.
    """
    margin = columns[schema.SCORE_CHOSEN] - columns[schema.SCORE_REJECTED]
    if config.score_direction == "rising":
        return _known(np.maximum(0.0, margin))
    return reward_margin({schema.REWARD_MARGIN: margin}, config)


def verifier(columns: Mapping[str, Array], config: WeightingConfig) -> Array:
    """a · severity + b · max(0, conf(rejected) − conf(chosen)) + c · min(nll / median(nll), 3).

    What the paper combines. Without `rejected_severity` in the training set, `rejected_wrongness` stands in; see
    [`severity_column`]. Signals that are not there count 0.
    """
    column = severity_column(columns)
    terms: list[tuple[float, RawWeightFunction, tuple[str, ...]]] = [
        (config.severity, severity if column == schema.REJECTED_SEVERITY else wrongness, (column,)),
        (config.confidence_gap, confidence_gap, (schema.CHOSEN_CONFIDENCE, schema.REJECTED_CONFIDENCE)),
        (config.nll, perplexity, (RELATIVE_NLL,)),
    ]
    size = len(next(iter(columns.values())))
    raw = np.zeros(size)
    for coefficient, formula, needed in terms:
        if all(name in columns for name in needed):
            raw = raw + coefficient * formula(columns, config)
    return raw


def severity_column(known: Container[str]) -> str:
    """The column that the coefficient `severity` of `verifier` multiplies, given those with values in the training set.

    `rejected_severity` if it is known, else `rejected_wrongness`: that is a probability and near 1 for most wrong
    candidates, so that it hardly tells pairs apart.
    """
    return schema.REJECTED_SEVERITY if schema.REJECTED_SEVERITY in known else schema.REJECTED_WRONGNESS


RAW_WEIGHTS: dict[str, RawWeightFunction] = {
    "verifier": verifier,
    "wrongness": wrongness,
    "severity": severity,
    "absurdity": absurdity,
    "confidence_gap": confidence_gap,
    "perplexity": perplexity,
    "reward_margin": reward_margin,
    "score_margin": score_margin,
}
"""Schemes of the package that compute raw weights from signals, by name."""

NEEDED: dict[str, tuple[str, ...]] = {
    "wrongness": (schema.REJECTED_WRONGNESS,),
    "severity": (schema.REJECTED_SEVERITY,),
    "absurdity": (schema.REJECTED_ABSURDITY,),
    "confidence_gap": (schema.CHOSEN_CONFIDENCE, schema.REJECTED_CONFIDENCE),
    "perplexity": (schema.REJECTED_NLL,),
    "reward_margin": (schema.REWARD_MARGIN,),
    "score_margin": (schema.SCORE_CHOSEN, schema.SCORE_REJECTED),
}
"""Columns that a scheme cannot do without; `verifier` takes what there is."""


def _known(values: Array) -> Array:
    """What is not known counts 0."""
    return np.nan_to_num(values, nan=0.0)
