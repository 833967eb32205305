"""`WeightedDPOTrainer`: TRL's `DPOTrainer` with a weight for each pair."""

import contextlib
import functools
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import is_peft_model
from datasets import Dataset, IterableDataset
from transformers.trainer_utils import get_last_checkpoint
from trl import DPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import get_config_model_id, use_adapter

from trl_weighted_dpo import schema
from trl_weighted_dpo.training import record, support
from trl_weighted_dpo.training.collator import WeightedPreferenceCollator
from trl_weighted_dpo.training.config import WeightedDPOConfig, weighting_config
from trl_weighted_dpo.training.forward import TokenScores, score_tokens
from trl_weighted_dpo.training.objective import (
    Objective,
    PairLogps,
    completion_logps,
    detach_unweighted,
    pair_losses,
    weighted_mean,
)
from trl_weighted_dpo.training.telemetry import PairOutcome, batch_metrics, pair_table, reduce_extremes
from trl_weighted_dpo.weighting import WeightStatistics, compute_weights, resolve_scheme

logger = get_logger(__name__)

_WEIGHT_COLUMNS = (schema.WEIGHT, *schema.SIGNALS)


class WeightedDPOTrainer(DPOTrainer):
    """Trainer for weighted DPO: the loss of a batch of B pairs is (1/B) Σ w_i ℓ_i, with ℓ_i the pair's own DPO loss.

    The weights come from the training set as `args` says: from a ready `weight` column, or from the signals that mined
    pairs carry. They are computed once, over the whole training set, when the trainer is made; evaluation pairs use the
    training set's statistics. All else (tokenisation, reference model, metrics, checkpoints) is `DPOTrainer`'s. With
    all weights 1 its loss and gradients are TRL's, but for the loss type `"sft"`, which is averaged within each pair.

    Args:
        model, ref_model, train_dataset, eval_dataset, processing_class, compute_metrics, callbacks, optimizers,
        quantization_config, peft_config:
            As for [`~trl.DPOTrainer`]. A model given as an object and without a name needs a `ref_model` (or an
            adapter): TRL loads the reference again from disk, by the model's name.
        args ([`~training.config.WeightedDPOConfig`], *optional*):
            Configuration. A config class of another library works if it carries the fields of
            [`~training.config.WeightingArguments`].
        data_collator ([`~training.collator.WeightedPreferenceCollator`], *optional*):
            Made from `args` by default.

    Raises:
        `ValueError`: If an option is not supported; the message says what to do instead.
        [`~schema.SchemaError`]: If a weight or a signal is not a finite number ≥ 0; names the row and value.

    Example:

    ```python
    >>> from datasets import Dataset
    >>> from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

    >>> pairs = Dataset.from_list([{"prompt": "2+2=", "chosen": "4", "rejected": "5", "weight": 1.5}])
    >>> args = WeightedDPOConfig(output_dir="out", use_cpu=True, bf16=False)
    >>> trainer = WeightedDPOTrainer(model="path/to/model", args=args, train_dataset=pairs)
    >>> trainer.train()
    ```
    """

    _tag_names = ["trl", "dpo", "weighted-dpo"]  # noqa: RUF012
    _name = "Weighted DPO"
    _paper = {  # noqa: RUF012
        "title": "Hard Negative Sample-Augmented DPO Post-Training for Small Language Models",
        "id": "2512.19728",
        # docstyle-ignore
        "citation": textwrap.dedent("""\
            @article{hardnegativedpo2025,
                title  = {{Hard Negative Sample-Augmented DPO Post-Training for Small Language Models}},
                year   = 2025,
                eprint = {arXiv:2512.19728},
            }"""),
    }

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: WeightedDPOConfig | None = None,
        data_collator: WeightedPreferenceCollator | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = WeightedDPOConfig(f"{name.split('/')[-1]}-WeightedDPO")
        support.warn_if_trl_is_newer_than_tested()
        support.check_arguments(args, model, ref_model, data_collator, processing_class, kwargs.get("peft_config"))
        support.check_datasets(train_dataset, eval_dataset)
        self.weighting = weighting_config(args)
        self.objective = Objective(
            loss_types=tuple(args.loss_type),
            loss_weights=None if args.loss_weights is None else tuple(args.loss_weights),
            beta=args.beta,
            label_smoothing=args.label_smoothing,
            f_divergence=args.f_divergence_type,
            f_alpha=args.f_alpha_divergence_coef,
            discopop_tau=args.discopop_tau,
        )
        self._weight_statistics: WeightStatistics | None = None
        self._weighting_record: dict[str, Any] | None = None
        super().__init__(
            model,
            ref_model,
            args,
            data_collator,
            train_dataset,
            eval_dataset,
            processing_class,
            **kwargs,
        )
        if data_collator is None:
            self.data_collator: Any = WeightedPreferenceCollator(**vars(self.data_collator))
        support.warn_about_doubled_bos(self.train_dataset, self._tokenizer)
        self.add_callback(record.RecordCallback(lambda: self.run_record))

    @functools.cached_property
    def run_record(self) -> dict[str, Any]:
        """What was trained with (versions, objective, weights, fingerprint of the data), as plain JSON types."""
        return record.run_record(self.objective, self.args, self._weighting_record, self.train_dataset)

    # Dataset

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        support.check_text_only(processing_class)
        already_weighed = "prompt_ids" in (dataset.column_names or ()) and schema.WEIGHT in dataset.column_names
        support.check_pairs(dataset, f"the {dataset_name} dataset")
        dataset = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        if already_weighed:
            return dataset
        training = self._weight_statistics is None
        if isinstance(dataset, IterableDataset):
            return self._weigh_stream(dataset, training)
        return self._weigh(dataset, dataset_name, training)

    def _weigh(self, dataset: Dataset, name: str, training: bool) -> Dataset:
        columns = {column: dataset[column][:] for column in _WEIGHT_COLUMNS if column in dataset.column_names}
        weights, statistics, summary = compute_weights(
            columns, len(dataset), self.weighting, self._weight_statistics, f"the {name} dataset"
        )
        if training:
            self._weight_statistics = statistics
            self._weighting_record = record.weighting_record(self.weighting, statistics, summary)
            logger.info(
                "Weights of %d pairs, scheme %r: mean %.3f, min %.3f, max %.3f, effective sample size %.1f %%.",
                summary.pairs,
                summary.scheme,
                summary.mean,
                summary.min,
                summary.max,
                100 * summary.ess,
            )
        if schema.WEIGHT in dataset.column_names:
            dataset = dataset.remove_columns(schema.WEIGHT)
        return dataset.add_column(schema.WEIGHT, weights)

    def _weigh_stream(self, dataset: IterableDataset, training: bool) -> IterableDataset:
        names = dataset.column_names or list(next(iter(dataset)))
        if training:
            self._weight_statistics = WeightStatistics(resolve_scheme(self.weighting, names, streaming=True))
            self._weighting_record = record.weighting_record(self.weighting, self._weight_statistics, None)
        assert self._weight_statistics is not None
        if self._weight_statistics.scheme == "column" and schema.WEIGHT in names:
            return dataset
        return dataset.map(lambda _: {schema.WEIGHT: 1.0})

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if schema.WEIGHT not in self._signature_columns:
            self._signature_columns.append(schema.WEIGHT)

    # Loss

    def compute_ref_log_probs(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Reference log-probs of a collated batch: two tensors (B,), for the chosen and the rejected completions."""
        adapter: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self.ref_model is None and is_peft_model(self.model):
            unwrapped = self.accelerator.unwrap_model(self.model)
            adapter = use_adapter(unwrapped, adapter_name="ref" if "ref" in unwrapped.peft_config else None)
        checkpointing = disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs)
        with torch.no_grad(), checkpointing, adapter, self.accelerator.autocast():
            scores = score_tokens(model, inputs)
        return completion_logps(scores.logps, scores.mask, self.ld_alpha)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        mode = "train" if self.model.training else "eval"
        model_kwargs = {"output_router_logits": True} if self.aux_loss_enabled else None
        scores = score_tokens(model, inputs, statistics=True, wpo=self.use_weighting, model_kwargs=model_kwargs)
        if self.precompute_ref_logps:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            reference = self.compute_ref_log_probs(model if self.ref_model is None else self.ref_model, inputs)

        logps = self._pair_logps(scores, inputs["completion_mask"], reference)
        weights = inputs[schema.WEIGHT].to(logps.chosen.dtype)
        losses = pair_losses(detach_unweighted(logps, weights), self.objective)
        factors = _wpo_factors(scores) if self.use_weighting else torch.ones_like(losses)
        loss = weighted_mean(losses * factors, weights)
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * scores.outputs.aux_loss
            auxiliary = self.accelerator.gather_for_metrics(scores.outputs.aux_loss.detach()).mean().item()
            self._metrics[mode]["aux_loss"].append(auxiliary)

        self._record_metrics(mode, inputs, scores, logps, weights, factors)
        return (loss, scores.outputs) if return_outputs else loss

    def _pair_logps(
        self, scores: TokenScores, completion_mask: torch.Tensor, reference: tuple[torch.Tensor, torch.Tensor]
    ) -> PairLogps:
        chosen, rejected = completion_logps(scores.logps, scores.mask, self.ld_alpha)
        chosen_lengths, rejected_lengths = completion_mask.sum(dim=1).chunk(2)
        chosen_scored = scores.mask.sum(dim=1).chunk(2)[0].clamp(min=1)
        chosen_nll = -scores.logps.sum(dim=1).chunk(2)[0] / chosen_scored
        ref_chosen, ref_rejected = (values.to(chosen.dtype) for values in reference)
        return PairLogps(chosen, rejected, ref_chosen, ref_rejected, chosen_lengths, rejected_lengths, chosen_nll)

    def _record_metrics(
        self,
        mode: str,
        inputs: Mapping[str, Any],
        scores: TokenScores,
        logps: PairLogps,
        weights: torch.Tensor,
        factors: torch.Tensor,
    ) -> None:
        with torch.no_grad():
            outcome = PairOutcome(
                weights=weights,
                losses=pair_losses(logps, self.objective) * factors,
                chosen_logps=logps.chosen,
                rejected_logps=logps.rejected,
                chosen_rewards=self.beta * (logps.chosen - logps.ref_chosen),
                rejected_rewards=self.beta * (logps.rejected - logps.ref_rejected),
                tokens=sum(inputs["attention_mask"].sum(dim=1).chunk(2)),
            )
            metrics, tokens = batch_metrics(self.accelerator.gather_for_metrics(pair_table(outcome, scores)))
        if mode == "train":
            self._total_train_tokens += tokens // getattr(self, "_tp_size", 1)
        for name, value in metrics.items():
            self._metrics[mode][name].append(value)
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        reduce_extremes(self._metrics["train" if self.model.training else "eval"])
        super().log(logs, start_time)

    # Checkpoints

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        checkpoint = resume_from_checkpoint
        if checkpoint is True:
            checkpoint = get_last_checkpoint(self.args.output_dir)
        if isinstance(checkpoint, str | Path):
            record.warn_if_changed(checkpoint, self.run_record)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict=state_dict)
        record.write_record(output_dir or self.args.output_dir, self.run_record)


def _wpo_factors(scores: TokenScores) -> torch.Tensor:
    """WPO's weight of each pair (arXiv 2406.11827, Eq. 2): the product over both completions of exp of the mean token
    log-prob, each aligned by log Σ_v π(v)²; shape (B,), without gradient."""
    assert scores.wpo is not None
    aligned = scores.logps.detach() - scores.wpo
    means = aligned.sum(dim=1) / scores.mask.sum(dim=1).clamp(min=1)
    chosen, rejected = means.exp().chunk(2)
    return chosen * rejected
