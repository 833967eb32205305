"""Pairs for training: tokenised by TRL, checked, weighed, and with reference log-probs where they are precomputed."""

from typing import Any

from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset
from datasets.fingerprint import Hasher
from trl import DPOTrainer

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.training import record, support
from trl_weighted_dpo.training.boundaries import keep_prompt_tokens
from trl_weighted_dpo.training.collator import CARRIED
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.training.reference import checked_columns, without_columns
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


class PairPreparation(DPOTrainer):
    """The part of [`~training.trainer.WeightedDPOTrainer`] that prepares its datasets. The training set comes first,
    and fixes the weighting scheme, the statistics and the buckets of hardness for all that follow."""

    weighting: WeightingConfig
    objective: Objective
    _loss_columns: list[str] | None = None
    _weight_statistics: WeightStatistics | None = None
    _weighting_record: dict[str, Any] | None = None
    _hardness_bounds: tuple[float, float] | None = None
    _reference_source: str | None = None

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        source = f"the {dataset_name} dataset"
        streaming = isinstance(dataset, IterableDataset)
        support.check_text_only(processing_class)
        support.check_columns(dataset)
        there = support.check_columns_of_the_loss(dataset, self.objective, self._loss_columns, source)
        self._loss_columns = there if self._loss_columns is None else self._loss_columns
        if not self.precompute_ref_logps or args.ref_logps == "model":
            dataset = without_columns(dataset)
        # The training set comes first, and fixes the scheme and the statistics for all that follow.
        if self._weight_statistics is None:
            scheme = resolve_scheme(self.weighting, support.column_names(dataset), streaming)
        else:
            scheme = self._weight_statistics.scheme
        if not streaming:
            # Before TRL drops rows: the numbers in messages are those of the dataset that was given.
            support.check_pairs(dataset, source)
            support.check_weights_and_signals(dataset, scheme, source)
        dataset = support.check_conversations(dataset, processing_class, source)
        prepared = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        prepared = keep_prompt_tokens(prepared, processing_class, args, dataset_name)
        if streaming:
            return self._weigh_stream(prepared, scheme, source)
        return self._weigh(prepared, source)

    def _weigh(self, dataset: Dataset, source: str) -> Dataset:
        columns = {column: dataset[column][:] for column in weight_columns(self.weighting, dataset.features)}
        training = self._weight_statistics is None
        weights, statistics, summary = compute_weights(
            columns, len(dataset), self.weighting, self._weight_statistics, source
        )
        for note in summary.notes:
            logger.warning(note)
        if training:
            self._weight_statistics = statistics
            self._weighting_record = record.weighting_record(self.weighting, statistics, summary)
            if is_number(dataset.features.get(schema.HARDNESS)):
                self._hardness_bounds = hardness_bounds(dataset[schema.HARDNESS][:])
        if schema.PAIR_WEIGHT in dataset.column_names:
            dataset = dataset.remove_columns(schema.PAIR_WEIGHT)
        return dataset.add_column(schema.PAIR_WEIGHT, weights)

    def _weigh_stream(self, dataset: IterableDataset, scheme: str, source: str) -> IterableDataset:
        if self._weight_statistics is None:
            override = note_on_override(self.weighting, support.column_names(dataset))
            if override:
                logger.warning(override)
            self._weight_statistics = WeightStatistics(scheme)
            self._weighting_record = record.weighting_record(self.weighting, self._weight_statistics, None)
        statistics = self._weight_statistics

        def weigh(batch: dict[str, list[Any]], rows: list[int]) -> dict[str, list[float]]:
            columns = {name: batch[name] for name in (schema.WEIGHT, *statistics.signals) if name in batch}
            where = f"{source}, rows counted from {rows[0]}"
            check_loss_columns({name: batch[name] for name in schema.LOSS_COLUMNS if name in batch}, where)
            weights, _, _ = compute_weights(columns, len(rows), self.weighting, statistics, where)
            return {schema.PAIR_WEIGHT: weights.tolist()}

        return dataset.map(weigh, batched=True, with_indices=True, batch_size=_STREAM_BATCH)

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        dataset, source = checked_columns(self, dataset, name, batch_size)
        # The training set comes first.
        self._reference_source = self._reference_source or source
        if source == "columns":
            return dataset
        # TRL keeps reference log-probs under a fingerprint into which every training argument enters, so that another λ
        # would compute them again. What they depend on, besides the model, is this.
        plain = dataset.remove_columns(schema.PAIR_WEIGHT)
        settings = (self.args.max_length, self.args.truncation_mode, self.ld_alpha, self.args.bf16, self.args.fp16)
        ones = plain.add_column(schema.PAIR_WEIGHT, [1.0] * len(plain))
        tokens = plain.select_columns(list(record.TOKEN_COLUMNS))
        ones._fingerprint = Hasher.hash((record.fingerprint(tokens), settings))
        scored = super()._precompute_ref_logps(ones, name, batch_size).remove_columns(schema.PAIR_WEIGHT)
        return scored.add_column(schema.PAIR_WEIGHT, dataset[schema.PAIR_WEIGHT][:])

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in CARRIED if name not in self._signature_columns]
