"""Signals → weights, as pure functions on columns.

Raw weight (ours, after the three signals that arXiv 2512.19728 names, which publishes no formula):

    r_i = a · wrongness_i + b · max(0, conf(rejected_i) − conf(chosen_i)) + c · min(nll_i / median(nll), 3)

Weight, over the whole training set:

    u_i = clip(r_i / mean(r), clip_min, clip_max)            (mean(r) = 0 gives u ≡ 1)
    w_i = 1 + λ (u_i − 1),  divided by its mean

The mean of the weights is 1, so the learning rate keeps its meaning. λ = 0 is uniform DPO.
"""

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo import schema

Column = Sequence[Any]
Array = NDArray[np.float64]

SCHEMES = ("auto", "uniform", "verifier", "column")
NLL_CAP = 3.0
LARGEST = float(np.finfo(np.float32).max)
"""Largest weight: batches carry weights as float32."""
_SHARES = frozenset(schema.SIGNALS) - {schema.REJECTED_NLL}
FORMULA_VERSION = "1"
"""Changes whenever the same signals and settings would give other weights; recorded beside the model."""


@dataclass(frozen=True)
class WeightingConfig:
    """How pair weights come about.

    Args:
        scheme (`str`, *optional*, defaults to `"auto"`):
            `"auto"` takes a `weight` column if there is one, else the signals, else weight 1; `"uniform"` is weight 1;
            `"verifier"` computes weights from the signals; `"column"` takes the `weight` column untouched.
        lambda_ (`float`, *optional*, defaults to `0.3`):
            λ in [0, 1]: 0 is uniform DPO, 1 uses the clipped weights in full. 0.3 is the paper's value.
        clip_min, clip_max (`float`, *optional*, default to `0.2` and `5.0`):
            Bounds of the normalised raw weight u; 0 ≤ clip_min ≤ 1 ≤ clip_max.
        wrongness, confidence_gap, nll (`float`, *optional*, default to `1.0`):
            The coefficients a, b and c of the raw weight, ≥ 0.
        normalize_column (`bool`, *optional*, defaults to `False`):
            Whether a `weight` column is divided by its mean.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    scheme: str = "auto"
    lambda_: float = 0.3
    clip_min: float = 0.2
    clip_max: float = 5.0
    wrongness: float = 1.0
    confidence_gap: float = 1.0
    nll: float = 1.0
    normalize_column: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f"Unknown weighting scheme {self.scheme!r}. Choose one of {', '.join(SCHEMES)}.")
        if not 0.0 <= self.lambda_ <= 1.0:
            raise ValueError(f"λ (lambda) must lie in [0, 1], got {self.lambda_}: 0 is uniform DPO.")
        if not (0.0 <= self.clip_min <= 1.0 <= self.clip_max < math.inf):
            raise ValueError(
                f"The bounds of the normalised weight must satisfy 0 <= clip_min <= 1 <= clip_max, got "
                f"clip_min={self.clip_min}, clip_max={self.clip_max}: its mean is 1."
            )
        for name in ("wrongness", "confidence_gap", "nll"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"The coefficient {name!r} of the raw weight must be finite and >= 0, got {value}.")


@dataclass(frozen=True)
class WeightStatistics:
    """What the training set fixes once, so that evaluation pairs are weighed by the same scale.

    Args:
        scheme (`str`): The scheme in force, after `"auto"` was resolved.
        nll_median (`float` or `None`): Median of the rejected NLL per token, or `None` without that signal.
        raw_mean (`float`): mean(r); 0 gives u ≡ 1.
        final_mean (`float`): Mean that the weights are divided by.
    """

    scheme: str
    nll_median: float | None = None
    raw_mean: float = 0.0
    final_mean: float = 1.0


@dataclass(frozen=True)
class WeightSummary:
    """What a set of weights looks like. `ess` is the effective sample size as a share, (Σw)² / (n Σw²), in [0, 1];
    `clipped` is the share of pairs whose u stands at a bound (0 unless the scheme computes u); `notes` are sentences
    that a person should read, none where all is as expected."""

    scheme: str
    pairs: int
    mean: float
    min: float
    max: float
    ess: float
    clipped: float = 0.0
    notes: tuple[str, ...] = ()


def check_weights(values: Column, source: str = "dataset") -> Array:
    """Check ready weights and return them as an array of shape (n,).

    Args:
        values (`Sequence[float | None]`): The `weight` column, shape (n,).
        source (`str`, *optional*): Name of the dataset or file, for the message.

    Raises:
        [`~schema.SchemaError`]: If a weight is missing, not a number, not finite or negative; names the row and value.
    """
    return _numbers(values, schema.WEIGHT, source, missing=None)


def check_signals(columns: Mapping[str, Column], source: str = "dataset") -> None:
    """Check the signal columns that are there.

    Raises:
        [`~schema.SchemaError`]: If a signal is neither null nor a number in its range; names the row and value.
    """
    for name in schema.SIGNALS:
        if name in columns:
            _numbers(columns[name], name, source)


def _numbers(values: Column, name: str, source: str, missing: float | None = 0.0) -> Array:
    limit = 1.0 if name in _SHARES else LARGEST
    result = np.empty(len(values), dtype=np.float64)
    for row, value in enumerate(values):
        if value is None and missing is not None:
            result[row] = missing
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= limit:  # type: ignore[operator]
            kind = "number in [0, 1]" if limit == 1.0 else "finite number >= 0"
            hint = (
                f"A weight is a {kind}; mend the row, or drop the column to have weights computed from the signals."
                if name == schema.WEIGHT
                else f"This signal is a {kind}, or null where it is not known."
            )
            raise schema.row_error(source, row, name, value, hint)
        result[row] = value
    return result


def effective_sample_size(weights: Array) -> float:
    """(Σw)² / (n Σw²), the effective sample size as a share of n (Kish, 1965); 0 when all weights are 0."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / (len(weights) * squares) if squares > 0 else 0.0


def raw_weights(
    columns: Mapping[str, Column],
    size: int,
    config: WeightingConfig,
    nll_median: float | None,
    source: str = "pairs",
) -> Array:
    """The raw weight r of each pair, shape (size,), ≥ 0. A signal that is missing, or null in a row, counts 0.

    Args:
        columns (`Mapping[str, Sequence[float | None]]`): Signal columns that are there, each of length `size`.
        size (`int`): Number of pairs.
        config ([`WeightingConfig`]): The coefficients.
        nll_median (`float` or `None`): Training set's median of the rejected NLL per token; `None` drops the term.
        source (`str`, *optional*): Name of the dataset, for messages.

    Raises:
        [`~schema.SchemaError`]: If a signal is not a finite number ≥ 0.
    """

    def signal(name: str, missing: float = 0.0) -> Array:
        return _numbers(columns[name], name, source, missing) if name in columns else np.full(size, missing)

    raw: Array = config.wrongness * signal(schema.REJECTED_WRONGNESS)
    gap = signal(schema.REJECTED_CONFIDENCE, np.nan) - signal(schema.CHOSEN_CONFIDENCE, np.nan)
    raw = raw + config.confidence_gap * np.nan_to_num(np.maximum(0.0, gap))
    if nll_median:
        raw = raw + config.nll * np.minimum(signal(schema.REJECTED_NLL) / nll_median, NLL_CAP)
    return raw


def resolve_scheme(config: WeightingConfig, column_names: Sequence[str], streaming: bool = False) -> str:
    """The scheme in force for a dataset with these columns.

    Args:
        config ([`WeightingConfig`]): Its `scheme` may be `"auto"`.
        column_names (`Sequence[str]`): Columns of the training set.
        streaming (`bool`, *optional*, defaults to `False`): Whether the dataset can be read only once, in order.

    Raises:
        `ValueError`: If the scheme needs columns that are not there, or the whole of a streaming dataset.
    """
    has_weight = schema.WEIGHT in column_names
    has_signals = any(name in column_names for name in schema.SIGNALS)
    scheme = config.scheme
    if scheme == "auto":
        scheme = "column" if has_weight else "verifier" if has_signals else "uniform"
    elif scheme == "column" and not has_weight:
        raise ValueError(
            f"The weighting scheme is 'column' but the training set has no {schema.WEIGHT!r} column (it has: "
            f"{', '.join(column_names)}). Add the column, or choose the scheme 'auto'."
        )
    elif scheme == "verifier" and not has_signals:
        raise ValueError(
            f"The weighting scheme is 'verifier' but the training set has none of the signals "
            f"{', '.join(schema.SIGNALS)} (it has: {', '.join(column_names)}). Mine the pairs from a pool, or choose "
            "the scheme 'uniform'."
        )
    if streaming and scheme == "verifier":
        raise ValueError(
            "A streaming dataset takes ready weights only: weights from signals are normalised over the whole training "
            f"set, which a stream does not show. Bring a {schema.WEIGHT!r} column, load the pairs as a map-style "
            "dataset, or choose the scheme 'uniform'."
        )
    if streaming and scheme == "column" and config.normalize_column:
        raise ValueError("normalize_column needs the whole training set, which a streaming dataset does not show.")
    return scheme


def note_on_override(config: WeightingConfig, column_names: Sequence[str]) -> str | None:
    """What to tell a person whose ready weights are not used because another scheme is named."""
    if config.scheme not in ("uniform", "verifier") or schema.WEIGHT not in column_names:
        return None
    return (
        f"The training set has a {schema.WEIGHT!r} column, but the weighting scheme {config.scheme!r} is named and "
        "overrides it. Choose 'auto' or 'column' to use the column."
    )


def compute_weights(
    columns: Mapping[str, Column],
    size: int,
    config: WeightingConfig,
    statistics: WeightStatistics | None = None,
    source: str = "dataset",
) -> tuple[Array, WeightStatistics, WeightSummary]:
    """Weights of a set of pairs.

    Args:
        columns (`Mapping[str, Sequence[float | None]]`):
            The `weight` column and the signal columns that are there, each of length `size`.
        size (`int`):
            Number of pairs.
        config ([`WeightingConfig`]):
            Scheme, λ, bounds and coefficients.
        statistics ([`WeightStatistics`], *optional*):
            The training set's, for evaluation pairs; if `None`, taken from these pairs.
        source (`str`, *optional*):
            Name of the dataset, for messages.

    Returns:
        The weights (shape (size,), finite, ≥ 0), the statistics used, and a summary.

    Raises:
        [`~schema.SchemaError`]: If a ready weight or a signal is not a finite number ≥ 0.
        `ValueError`: If there are no pairs, or the scheme needs columns that are not there.
    """
    if size == 0:
        raise ValueError(f"{source}: there are no pairs to weigh.")
    training = statistics is None
    if statistics is None:
        statistics = WeightStatistics(resolve_scheme(config, list(columns)))
    scheme = statistics.scheme
    clipped = 0.0
    override = note_on_override(config, list(columns)) if training else None
    notes = [override] if override else []
    if scheme == "column" and schema.WEIGHT in columns:
        weights = check_weights(columns[schema.WEIGHT], source)
        if config.normalize_column:
            if training:
                if weights.sum() == 0:
                    raise ValueError(f"{source}: all weights are 0, so they cannot be normalised to mean 1.")
                statistics = WeightStatistics(scheme, final_mean=float(weights.mean()))
            weights = weights / statistics.final_mean
        elif training and abs(weights.mean() - 1.0) > 0.1:
            notes.append(
                f"The mean of the {schema.WEIGHT!r} column is {weights.mean():.3g}, so the learning rate acts as if "
                "multiplied by it. Set normalize_column to divide the weights by their mean."
            )
    elif scheme == "verifier" and any(name in columns for name in schema.SIGNALS):
        median = _nll_median(columns, source) if training else statistics.nll_median
        raw = raw_weights(columns, size, config, median, source)
        raw_mean = float(raw.mean()) if training else statistics.raw_mean
        u = np.clip(raw / raw_mean, config.clip_min, config.clip_max) if raw_mean else np.ones(size)
        tempered = 1.0 + config.lambda_ * (u - 1.0)
        if training:
            statistics = WeightStatistics(scheme, median, raw_mean, float(tempered.mean()))
            notes += _notes_on_signals(columns, config)
            if raw_mean == 0:
                notes.append("All raw weights are 0, so every pair weighs 1: this is uniform DPO.")
        clipped = float(np.mean((u <= config.clip_min) | (u >= config.clip_max)))
        weights = tempered / statistics.final_mean
    else:
        if scheme != "uniform":
            needed = f"{schema.WEIGHT!r} column" if scheme == "column" else "signal"
            notes.append(f"There is no {needed} in {source}: its pairs weigh 1.")
        weights = np.ones(size)
    summary = WeightSummary(
        scheme=scheme,
        pairs=size,
        mean=float(weights.mean()),
        min=float(weights.min()),
        max=float(weights.max()),
        ess=effective_sample_size(weights),
        clipped=clipped,
        notes=tuple(notes),
    )
    return weights, statistics, summary


def _notes_on_signals(columns: Mapping[str, Column], config: WeightingConfig) -> list[str]:
    used = {
        schema.REJECTED_WRONGNESS: config.wrongness,
        schema.CHOSEN_CONFIDENCE: config.confidence_gap,
        schema.REJECTED_CONFIDENCE: config.confidence_gap,
        schema.REJECTED_NLL: config.nll,
    }
    missing = [
        name
        for name, coefficient in used.items()
        if coefficient > 0 and all(value is None for value in columns.get(name, ()))
    ]
    return [f"Signals without values count 0 in the raw weight: {', '.join(missing)}."] if missing else []


def _nll_median(columns: Mapping[str, Column], source: str) -> float | None:
    known = _numbers(columns.get(schema.REJECTED_NLL, ()), schema.REJECTED_NLL, source, np.nan)
    return None if np.isnan(known).all() else float(np.nanmedian(known))
