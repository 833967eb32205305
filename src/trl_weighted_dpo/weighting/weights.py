"""Weights of a set of pairs: raw weights → clip → interpolate → mean 1."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.settings.weighting import WeightingConfig
from trl_weighted_dpo.weighting.columns import LARGEST, Array, Column, check_weights, read_column
from trl_weighted_dpo.weighting.diagnostics import (
    Histogram,
    columns_read,
    effective_sample_size,
    histogram,
    note_on_missing,
    notes_on_signals,
    notes_on_u,
    top_decile_share,
)
from trl_weighted_dpo.weighting.resolution import (
    note_on_override,
    raw_weight_function,
    resolve_scheme,
    way_out,
)
from trl_weighted_dpo.weighting.schemes import NEEDED, RAW_WEIGHTS, RELATIVE_NLL, severity_column


@dataclass(frozen=True)
class WeightStatistics:
    """What the training set fixes once, so that evaluation pairs are weighed by the same scale.

    Args:
        scheme (`str`): The scheme in force, after `"auto"` was resolved.
        signals (`tuple[str, ...]`): Columns with a value somewhere: the others count in no raw weight.
        nll_median (`float` or `None`): Median of the rejected NLL per token, or `None` without that signal.
        raw_mean (`float`): mean(r); 0 gives u ≡ 1.
        inverse_mean (`float`): Mean of the turned raw weights, for the scheme `"inverse"`.
        final_mean (`float`): Mean that the weights are divided by.
        severity_column (`str` or `None`): Column that the coefficient `severity` multiplies: `"rejected_severity"`, or
            `"rejected_wrongness"` where the training set has no severity; `None` if the formula takes neither.
    """

    scheme: str
    signals: tuple[str, ...] = ()
    nll_median: float | None = None
    raw_mean: float = 0.0
    inverse_mean: float = 1.0
    final_mean: float = 1.0
    severity_column: str | None = None


@dataclass(frozen=True)
class WeightSummary:
    """What a set of weights looks like.

    Args:
        scheme (`str`): The scheme in force.
        pairs (`int`): How many pairs.
        mean, min, max (`float`): Of the weights w.
        ess (`float`): Effective sample size of w as a share, (Σw)² / (n Σw²), in [0, 1].
        top_decile (`float`): Share of the total weight that the heaviest tenth of the pairs holds; 0.1 if uniform.
        histogram ([`Histogram`]): Of w.
        ess_u (`float`, *optional*): Effective sample size of u, `None` where the scheme computes no u.
        at_clip_min, at_clip_max (`float`): Share of u at each bound; 0 where the scheme computes no u.
        histogram_u ([`Histogram`], *optional*): Of u.
        notes (`tuple[str, ...]`): Sentences that a person should read, none where all is as expected.
    """

    scheme: str
    pairs: int
    mean: float
    min: float
    max: float
    ess: float
    top_decile: float
    histogram: Histogram
    ess_u: float | None = None
    at_clip_min: float = 0.0
    at_clip_max: float = 0.0
    histogram_u: Histogram | None = None
    notes: tuple[str, ...] = ()


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
            The `weight` column and the signals that are there, each of length `size`: lists, or arrays of numpy or
            Arrow. For a plugin's scheme also others; see [`weight_columns`].
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
        [`~core.checks.SchemaError`]: If a weight or a signal is not a number in its range; names the row and value.
        `ValueError`: If there are no pairs, or the scheme needs columns that are not there.
    """
    if size == 0:
        raise ValueError(f"{source}: there are no pairs to weigh.")
    notes: list[str] = []
    if statistics is None and (override := note_on_override(config, list(columns))):
        notes.append(override)
    scheme = resolve_scheme(config, list(columns)) if statistics is None else statistics.scheme
    weights, u = np.ones(size), None
    if scheme == "column" and schema.WEIGHT in columns:
        weights, statistics = _ready_weights(columns, config, statistics, source, notes)
    elif scheme == "column":
        notes.append(f"There is no {schema.WEIGHT!r} column in {source}: its pairs weigh 1.")
    elif scheme != "uniform":
        weights, u, statistics = _signal_weights(columns, size, config, scheme, statistics, source, notes)
    low, high = (0.0, 0.0) if u is None else _at_bounds(u, config)
    summary = WeightSummary(
        scheme=scheme,
        pairs=size,
        mean=float(weights.mean()),
        min=float(weights.min()),
        max=float(weights.max()),
        ess=effective_sample_size(weights),
        top_decile=top_decile_share(weights),
        histogram=histogram(weights),
        ess_u=None if u is None else effective_sample_size(u),
        at_clip_min=low,
        at_clip_max=high,
        histogram_u=None if u is None else histogram(u),
        notes=tuple(notes),
    )
    return weights, statistics or WeightStatistics(scheme), summary


def _ready_weights(
    columns: Mapping[str, Column],
    config: WeightingConfig,
    statistics: WeightStatistics | None,
    source: str,
    notes: list[str],
) -> tuple[Array, WeightStatistics]:
    weights = check_weights(columns[schema.WEIGHT], source)
    if statistics is None:
        statistics = WeightStatistics("column")
        mean = float(weights.mean())
        if config.normalize_column:
            if mean == 0:
                raise ValueError(f"{source}: all weights are 0, so they cannot be normalised to mean 1.")
            statistics = replace(statistics, final_mean=mean)
        elif mean == 0:
            notes.append(f"All values of the {schema.WEIGHT!r} column are 0, so no pair is trained on.")
        elif abs(mean - 1.0) > 0.1:
            notes.append(
                f"The mean of the {schema.WEIGHT!r} column is {mean:.3g}, so the learning rate acts as if multiplied "
                "by it. Set normalize_column to divide the weights by their mean."
            )
    return weights / statistics.final_mean, statistics


def _signal_weights(
    columns: Mapping[str, Column],
    size: int,
    config: WeightingConfig,
    scheme: str,
    statistics: WeightStatistics | None,
    source: str,
    notes: list[str],
) -> tuple[Array, Array | None, WeightStatistics]:
    given = {name: read_column(values, name, source) for name, values in columns.items() if name != schema.WEIGHT}
    known = {name: values for name, values in given.items() if not np.isnan(values).all()}
    formula = config.formula(scheme)
    training = statistics is None
    if statistics is None:
        _check_needed(formula, scheme, known, source)
        nll = known.get(schema.REJECTED_NLL)
        median = None if nll is None else float(np.nanmedian(nll))
        if formula == "perplexity" and not median:
            raise ValueError(
                f"{source}: the median of {schema.REJECTED_NLL!r} is 0, so nothing can be measured by it. Check how it "
                "was computed, or choose another scheme."
            )
        graded = severity_column(known) if formula == "verifier" else None
        statistics = WeightStatistics(scheme, tuple(known), median, severity_column=graded if graded in known else None)
        notes += notes_on_signals(formula, known, size, config, median)
    else:
        taken = [name for name in columns_read(formula, statistics.signals, config) if name in statistics.signals]
        missing = [name for name in taken if name not in known]
        if len(missing) == len(taken) or (missing and formula in NEEDED):
            notes.append(f"There is no signal that the scheme {scheme!r} takes in {source}: its pairs weigh 1.")
            return np.ones(size), None, statistics
        if missing:
            notes.append(note_on_missing(formula, missing, source))
    signals = {name: known.get(name, np.full(size, np.nan)) for name in statistics.signals}
    if statistics.nll_median:
        signals[RELATIVE_NLL] = signals[schema.REJECTED_NLL] / statistics.nll_median
    raw = _raw_weights(formula, signals, size, config, source)

    if training:
        statistics = replace(statistics, raw_mean=float(raw.mean()))
        if statistics.raw_mean == 0:
            notes.append("All raw weights are 0, so every pair weighs 1: this is uniform DPO.")
    normalised = raw / statistics.raw_mean if statistics.raw_mean else np.ones(size)
    if scheme == "inverse":
        # Decreasing in r and, like u itself, at most clip_max; the floor keeps r = 0 finite.
        turned = 1.0 / np.maximum(normalised, 1.0 / config.clip_max)
        if training:
            statistics = replace(statistics, inverse_mean=float(turned.mean()))
        normalised = turned / statistics.inverse_mean
    u = np.clip(normalised, config.clip_min, config.clip_max)
    interpolated = 1.0 + config.lambda_ * (u - 1.0)
    if training:
        statistics = replace(statistics, final_mean=float(interpolated.mean()))
        notes += notes_on_u(u, config, _at_bounds(u, config))
    weights = interpolated / statistics.final_mean
    if scheme == "shuffled":
        # RandomState, not Generator: its stream is promised never to change.
        order = np.random.RandomState(config.shuffle_seed).permutation(size)
        weights, u = weights[order], u[order]
    return weights, u, statistics


def _check_needed(formula: str, scheme: str, known: Mapping[str, Array], source: str) -> None:
    empty = [name for name in NEEDED.get(formula, ()) if name not in known]
    if empty:
        raise ValueError(
            f"{source}: the weighting scheme {scheme!r} needs values in {' and '.join(map(repr, empty))}, where all "
            f"are null (columns with values: {', '.join(known) or 'none'}). {way_out(formula)}"
        )


def _raw_weights(formula: str, signals: Mapping[str, Array], size: int, config: WeightingConfig, source: str) -> Array:
    if not signals:
        return np.zeros(size)
    function = raw_weight_function(formula)
    try:
        raw = np.asarray(function(signals, config), dtype=np.float64)
    except (Exception, SystemExit) as error:
        if formula in RAW_WEIGHTS:
            raise
        raise _failed(formula, signals, source, error) from error
    if raw.shape != (size,):
        raise ValueError(
            f"{source}: the weighting scheme {formula!r} gave raw weights of shape {raw.shape} for {size} pairs. It "
            f"returns one for each pair, shape ({size},): mend the formula."
        )
    bad = np.flatnonzero(~((raw >= 0) & (raw <= LARGEST)))
    if len(bad):
        row = int(bad[0])
        values = {name: float(column[row]) for name, column in signals.items()}
        raise row_error(
            source,
            row,
            f"raw weight of the scheme {formula}",
            float(raw[row]),
            f"A raw weight is a finite number >= 0, at most {LARGEST:.1e}: mend the formula, its coefficients or the "
            f"row. It was made of {values}.",
        )
    return raw


def _failed(formula: str, signals: Mapping[str, Array], source: str, error: BaseException) -> ValueError:
    """The error for a plugin's formula that failed."""
    from trl_weighted_dpo import plugins

    of = f"{source}: the weighting scheme {formula!r} (of {plugins.identity('raw_weights', formula)})"
    if isinstance(error, KeyError):
        return ValueError(
            f"{of} looked for {error}, which is no column with values; there are: {', '.join(signals)}. Add the "
            "column, or choose another scheme."
        )
    return ValueError(
        f"{of} failed: {type(error).__name__}: {error}. Mend, update or uninstall the plugin, or choose another scheme."
    )


def _at_bounds(u: Array, config: WeightingConfig) -> tuple[float, float]:
    if config.clip_min == config.clip_max:
        # Both are 1: the bounds leave no room for weights to be told apart.
        return 0.0, 0.0
    return float(np.mean(u <= config.clip_min)), float(np.mean(u >= config.clip_max))
