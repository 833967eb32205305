"""Pairs for training: checked, tokenised by TRL, and weighed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.training import record, support
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.training.reference import without_columns
from trl_weighted_dpo.training.telemetry import hardness_bounds
from trl_weighted_dpo.weighting import (
    WeightingConfig,
    WeightStatistics,
    check_loss_columns,
    compute_weights,
    note_on_override,
    resolve_scheme,
    weight_columns,
)
from trl_weighted_dpo.weighting.columns import is_number

logger = get_logger(__name__)

_STREAM_BATCH = 64


@dataclass(frozen=True)
class TrainingSet:
    """What the training set, which is prepared first, fixes for the datasets after it.

    Args:
        loss_columns (`list[str]`):
            Which of `dpo_margin` and `dpo_beta` it has.
        statistics ([`~weighting.WeightStatistics`]):
            The weighting scheme, and what it needs to know of the training set.
        weighting (`dict[str, Any]`):
            Settings, statistics and summary of its weights, as in `weighted_dpo.json`.
        hardness_bounds (`tuple[float, float]`, *optional*):
            Terciles of its hardness; `None` where it tells no pairs apart.
    """

    loss_columns: list[str]
    statistics: WeightStatistics
    weighting: dict[str, Any]
    hardness_bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Prepared:
    """A dataset that is ready for the collator (`Dataset` or `IterableDataset`), and what the training set fixed."""

    dataset: Any
    training: TrainingSet


def prepare(
    dataset: Any,
    source: str,
    tokenize: Callable[[Any], Any],
    config: WeightingConfig,
    objective: Objective,
    keep_reference: bool,
    training: TrainingSet | None,
) -> Prepared:
    """Check pairs, tokenise them and give each its weight, as the column `pair_weight`.

    Args:
        dataset (`Dataset` or `IterableDataset`):
            Pairs as given.
        source (`str`):
            Name of the dataset, for messages.
        tokenize (`Callable`):
            TRL's preparation, which may drop pairs; weights are computed over those that are left.
        config ([`~weighting.WeightingConfig`]), objective ([`~training.objective.Objective`]):
            Settings.
        keep_reference (`bool`):
            Whether reference log-probs that the pairs bring are kept.
        training ([`TrainingSet`], *optional*):
            What the training set fixed; `None` for the training set.

    Raises:
        [`~core.checks.SchemaError`]: Names the row, the column and the value.
        `ValueError`: If the dataset does not go with the settings.
    """
    streaming = isinstance(dataset, IterableDataset)
    support.check_columns(dataset)
    known = None if training is None else training.loss_columns
    loss_columns = support.check_columns_of_the_loss(dataset, objective, known, source)
    if not keep_reference:
        dataset = without_columns(dataset)
    if training is None:
        scheme = resolve_scheme(config, support.column_names(dataset), streaming)
    else:
        scheme = training.statistics.scheme
    if not streaming:
        # Before TRL drops rows: the numbers in messages are those of the dataset that was given.
        support.check_pairs(dataset, source)
        support.check_weights_and_signals(dataset, scheme, source)
    tokens = tokenize(dataset)
    if not streaming:
        return _weigh(tokens, source, config, loss_columns, training)
    if training is None:
        override = note_on_override(config, support.column_names(tokens))
        if override:
            logger.warning(override)
        statistics = WeightStatistics(scheme)
        training = TrainingSet(loss_columns, statistics, record.weighting_record(config, statistics, None))
    return Prepared(_weigh_stream(tokens, source, config, training.statistics), training)


def _weigh(
    dataset: Dataset, source: str, config: WeightingConfig, loss_columns: list[str], training: TrainingSet | None
) -> Prepared:
    columns = {column: dataset[column][:] for column in weight_columns(config, dataset.features)}
    known = None if training is None else training.statistics
    weights, statistics, summary = compute_weights(columns, len(dataset), config, known, source)
    for note in summary.notes:
        logger.warning(note)
    if training is None:
        training = TrainingSet(loss_columns, statistics, record.weighting_record(config, statistics, summary))
        if is_number(dataset.features.get(schema.HARDNESS)):
            training = replace(training, hardness_bounds=hardness_bounds(dataset[schema.HARDNESS][:]))
    if schema.PAIR_WEIGHT in dataset.column_names:
        dataset = dataset.remove_columns(schema.PAIR_WEIGHT)
    return Prepared(dataset.add_column(schema.PAIR_WEIGHT, weights), training)


def _weigh_stream(
    dataset: IterableDataset, source: str, config: WeightingConfig, statistics: WeightStatistics
) -> IterableDataset:
    def weigh(batch: dict[str, list[Any]], rows: list[int]) -> dict[str, list[float]]:
        columns = {name: batch[name] for name in (schema.WEIGHT, *statistics.signals) if name in batch}
        where = f"{source}, rows counted from {rows[0]}"
        check_loss_columns({name: batch[name] for name in schema.LOSS_COLUMNS if name in batch}, where)
        weights, _, _ = compute_weights(columns, len(rows), config, statistics, where)
        return {schema.PAIR_WEIGHT: weights.tolist()}

    return dataset.map(weigh, batched=True, with_indices=True, batch_size=_STREAM_BATCH)
