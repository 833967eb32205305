"""`WeightedDPOTrainer`: TRL's `DPOTrainer` with a weight for each pair."""

import contextlib
import functools
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import is_peft_model

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.seam import last_checkpoint, model_source
from trl_weighted_dpo.training import record, support
from trl_weighted_dpo.training.boundaries import keep_prompt_tokens
from trl_weighted_dpo.training.callbacks import PreferenceHealthCallback, RecordCallback
from trl_weighted_dpo.training.card import extend_card
from trl_weighted_dpo.training.collator import CARRIED, WeightedPreferenceCollator
from trl_weighted_dpo.training.config import WeightedDPOConfig, weighting_config
from trl_weighted_dpo.training.forward import TokenScores, score_tokens
from trl_weighted_dpo.training.layout import row_multiple, with_layout
from trl_weighted_dpo.training.objective import (
    Objective,
    PairLogps,
    completion_logps,
    detach_unweighted,
    pair_beta,
    pair_losses,
    weighted_mean,
)
from trl_weighted_dpo.training.paths import ScoringPaths, share_mode
from trl_weighted_dpo.training.preparation import TrainingSet, prepare
from trl_weighted_dpo.training.reference import (
    check_reference_is_left,
    precomputing,
    uses_columns,
    with_reference,
)
from trl_weighted_dpo.training.resuming import adapter_loading
from trl_weighted_dpo.training.tables import PairTables
from trl_weighted_dpo.training.telemetry import (
    PairOutcome,
    batch_metrics,
    ess_of_run,
    name_after_dataset,
    pair_metrics,
    pair_table,
)
from trl_weighted_dpo.training.trl_seam import (
    HookedDPOTrainer,
    collator_settings,
    described,
    disable_gradient_checkpointing,
    use_adapter,
)

logger = get_logger(__name__)

TAGS = ("trl", "dpo", "weighted-dpo")
_PAPER = {
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


@described("Weighted DPO", TAGS, _PAPER)
class WeightedDPOTrainer(HookedDPOTrainer):
    """Trainer for weighted DPO: the loss of a batch of B pairs is (1/B) Σ w_i ℓ_i, with ℓ_i the pair's own DPO loss.

    The weights come from the training set as `args` says: from a ready `weight` column, or from the signals that mined
    pairs carry. They are computed once, over the whole training set, when the trainer is made; evaluation pairs use the
    training set's statistics. Reference log-probs that the pairs bring as columns are used if they fit
    (`ref_logps`), and no reference model is loaded then. All else (tokenisation, reference model, metrics, checkpoints)
    is `DPOTrainer`'s. With all weights 1 its loss and gradients are TRL's, but for the loss type `"sft"`, which is
    averaged within each pair.

    Args:
        model, ref_model, train_dataset, eval_dataset, processing_class, compute_metrics, callbacks, optimizers,
        quantization_config, peft_config:
            As for [`~trl.DPOTrainer`]. A model given as an object and without a name needs a `ref_model` (or an
            adapter): TRL loads the reference again from disk, by the model's name.
        args ([`~training.config.WeightedDPOConfig`], *optional*):
            Configuration. A config class of another library works if it carries the fields of
            [`~training.config.WeightedTrainingConfig`].
        data_collator ([`~training.collator.WeightedPreferenceCollator`], *optional*):
            Made from `args` by default.

    Raises:
        `ValueError`: If an option is not supported; the message says what to do instead.
        [`~core.checks.SchemaError`]: If a weight or a signal is not a finite number ≥ 0; names the row and value.

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

    carried_columns = CARRIED

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: WeightedDPOConfig | None = None,
        data_collator: WeightedPreferenceCollator | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        compute_metrics: Any = None,
        callbacks: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else model_source(model.config)
            args = WeightedDPOConfig(f"{(name or 'model').split('/')[-1]}-WeightedDPO")
        support.check_config_class(args)
        support.check_columns(train_dataset)
        support.keep_batches_whole(args)
        # TRL prepares the datasets, and precomputes the reference, inside its `__init__`. The hooks that it calls there
        # (`prepare_pairs`, `add_reference`, `compute_ref_log_probs`) read what is set from here on.
        self.weighting = weighting_config(args)
        self.objective = Objective(
            loss_types=tuple(args.loss_type),
            loss_weights=None if args.loss_weights is None else tuple(args.loss_weights),
            beta=args.beta,
            label_smoothing=args.label_smoothing,
            f_divergence=args.f_divergence_type,
            f_alpha=args.f_alpha_divergence_coef,
            discopop_tau=args.discopop_tau,
            dpop_lambda=args.dpop_lambda,
        )
        self._share = share_mode(args.share_prompt)
        self._training_set: TrainingSet | None = None
        self._reference_source: str | None = None
        with precomputing(args, uses_columns(args, train_dataset, eval_dataset)):
            support.check_arguments(args, model, ref_model, data_collator, processing_class, peft_config)
            super().__init__(
                model=model,
                ref_model=ref_model,
                args=args,
                data_collator=data_collator,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                processing_class=processing_class,
                compute_metrics=compute_metrics,
                callbacks=callbacks,
                optimizers=optimizers,
                quantization_config=quantization_config,
                peft_config=peft_config,
            )
        if data_collator is None:
            self.data_collator: Any = WeightedPreferenceCollator(**collator_settings(self.data_collator))
        support.check_sharing(self._share, self.auxiliary_loss_weight != 0)
        self.data_collator.share_prompt = "shared" in self._paths.open_paths(self.model)
        self.data_collator.row_multiple = row_multiple(self.accelerator.device.type)
        support.warn_about_doubled_bos(self.train_dataset, self.processing_class)
        if ref_model is None and self.ref_model is not None and not isinstance(model, str):
            support.warn_if_reference_differs(self.model, self.ref_model)
        self.add_callback(RecordCallback(lambda: self.run_record))
        if args.health_check:
            health = PreferenceHealthCallback(self.objective, self._training.weighting, args.health_early_stop)
            self.add_callback(health)

    @property
    def _training(self) -> TrainingSet:
        assert self._training_set is not None, "TRL has not prepared the training set."
        return self._training_set

    @functools.cached_property
    def _paths(self) -> ScoringPaths:
        longest, multiple = self.args.max_length, self.args.pad_to_multiple_of or 1
        if longest is not None:
            longest = -(-longest // multiple) * multiple
        return ScoringPaths(self._share, longest, self.data_collator.pad_token_id, self.accelerator)

    @functools.cached_property
    def _tables(self) -> dict[str, PairTables]:
        accelerator = self.accelerator
        return {mode: PairTables(accelerator.gather, accelerator.num_processes) for mode in ("train", "eval")}

    @functools.cached_property
    def run_record(self) -> dict[str, Any]:
        """What was trained with (versions, objective, weights, fingerprint of the data), as plain JSON types."""
        source = self._reference_source or "model"
        return record.run_record(self.objective, self.args, self._training.weighting, source, self.train_dataset)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        if eval_dataset is not None and not isinstance(eval_dataset, str):
            check_reference_is_left(self)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    # Data

    def prepare_pairs(
        self, dataset: Any, processing_class: Any, args: Any, name: str, tokenize: Callable[[Any], Any]
    ) -> Any:
        support.check_text_only(processing_class)
        keep_reference = self.reference_is_precomputed and args.ref_logps != "model"
        settings = self.weighting, self.objective, keep_reference, self._training_set
        source = f"the {name} dataset"

        def rendered(pairs: Any) -> Any:
            pairs = support.check_conversations(pairs, processing_class, source)
            return keep_prompt_tokens(tokenize(pairs), processing_class, args, name)

        prepared = prepare(dataset, source, rendered, *settings)
        self._training_set = prepared.training
        return prepared.dataset

    def add_reference(self, dataset: Any, name: str, batch_size: int, compute: Callable[[Any], Any]) -> Any:
        dataset, source = with_reference(self, dataset, name, batch_size, compute)
        # The training set comes first.
        self._reference_source = self._reference_source or source
        return dataset

    # Loss

    def compute_ref_log_probs(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Reference log-probs of a collated batch: two tensors (B,), for the chosen and the rejected completions."""
        adapter: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self.ref_model is None and is_peft_model(self.model):
            unwrapped = self.accelerator.unwrap_model(self.model)
            adapter = use_adapter(unwrapped, adapter_name="ref" if "ref" in unwrapped.peft_config else None)
        checkpointing = disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs)
        with torch.no_grad(), checkpointing, adapter, self.accelerator.autocast():
            path = self._paths.of(model, inputs, as_reference=True)
            scores = score_tokens(model, with_layout(inputs, path, self._paths.pad_token_id), path)
        return completion_logps(scores.logps, scores.mask, self.args.ld_alpha)

    def batch_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        mode = "train" if self.model.training else "eval"
        # The reference goes first, so that its logits are gone before the policy's are there.
        if self.reference_is_precomputed:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            reference = self.compute_ref_log_probs(model if self.ref_model is None else self.ref_model, inputs)
        scores = self._score(model, inputs, return_outputs or self.auxiliary_loss_weight != 0)
        logps = self._pair_logps(scores, inputs, reference)
        weights = inputs[schema.PAIR_WEIGHT].to(logps.chosen.dtype)
        losses = pair_losses(detach_unweighted(logps, weights), self.objective)
        factors = _wpo_factors(scores) if self.args.use_weighting else torch.ones_like(losses)
        loss = weighted_mean(losses * factors, weights)
        if self.auxiliary_loss_weight != 0:
            loss = loss + self.auxiliary_loss_weight * scores.outputs.aux_loss
            auxiliary = self.accelerator.gather(scores.outputs.aux_loss.detach()).mean()
            self.pending_metrics(mode)["aux_loss"].append(auxiliary)

        self._record_metrics(mode, inputs, scores, logps, weights, factors)
        return (loss, scores.outputs) if return_outputs else loss

    def _score(self, model: Any, inputs: Mapping[str, Any], keep_outputs: bool) -> TokenScores:
        if keep_outputs:
            router = {"output_router_logits": True} if self.auxiliary_loss_weight != 0 else None
            return score_tokens(
                model, inputs, statistics=True, wpo=self.args.use_weighting, keep_outputs=True, model_kwargs=router
            )
        path = self._paths.of(model, inputs)
        # The wrapper for autocast that accelerate puts around the model's own forward is not there in the other paths.
        autocast = contextlib.nullcontext() if path == "model" else self.accelerator.autocast()
        with autocast:
            inputs = with_layout(inputs, path, self._paths.pad_token_id)
            return score_tokens(model, inputs, path, statistics=True, wpo=self.args.use_weighting)

    def _pair_logps(
        self, scores: TokenScores, inputs: Mapping[str, Any], reference: tuple[torch.Tensor, torch.Tensor]
    ) -> PairLogps:
        chosen, rejected = completion_logps(scores.logps, scores.mask, self.args.ld_alpha)
        chosen_lengths, rejected_lengths = inputs["completion_mask"].sum(dim=1).chunk(2)
        chosen_scored = scores.mask.sum(dim=1).chunk(2)[0].clamp(min=1)
        chosen_nll = -scores.logps.sum(dim=1).chunk(2)[0] / chosen_scored
        ref_chosen, ref_rejected = (values.to(chosen.dtype) for values in reference)
        beta, offsets = (
            inputs[name].to(chosen.dtype) if name in inputs else None for name in (schema.DPO_BETA, schema.DPO_MARGIN)
        )
        return PairLogps(
            chosen, rejected, ref_chosen, ref_rejected, chosen_lengths, rejected_lengths, chosen_nll, beta, offsets
        )

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
                logps=logps,
                beta=pair_beta(logps, self.objective),
                tokens=sum(inputs["attention_mask"].sum(dim=1).chunk(2)),
                hardness=inputs.get(schema.HARDNESS),
            )
            rows = pair_table(outcome, scores)
        if mode == "train":
            # In training the Trainer fetches batches ahead, and `gather_for_metrics` would take each of the last ones
            # for the ragged end.
            self._tables[mode].add(rows, self.accelerator.sync_gradients)
        else:
            self._tables[mode].add_gathered(self.accelerator.gather_for_metrics(rows))

    def _take_metrics(self, mode: str) -> dict[str, float]:
        """Bring the metrics of all batches since the last call to the host: TRL's into its lists, ours as returned."""
        pending, batches = self.pending_metrics(mode), self._tables[mode].take()
        for rows in batches:
            metrics, tokens = batch_metrics(rows)
            for name, value in metrics.items():
                pending[name].append(value)
            pending["num_tokens"] = [self.count_tokens(tokens if mode == "train" else 0)]
        if "aux_loss" in pending:
            pending["aux_loss"] = [float(value) for value in pending["aux_loss"]]
        return pair_metrics(torch.cat(batches), self._training.hardness_bounds) if batches else {}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        mode = "train" if self.model.training else "eval"
        metrics = self._take_metrics(mode)
        if mode == "train" and metrics:
            metrics["weights/ess_run"] = ess_of_run(self.state.log_history, metrics, self.state.global_step)
        self.pending_metrics(mode).update({name: [value] for name, value in metrics.items()})
        if mode == "eval":
            name_after_dataset(self.pending_metrics(mode), logs)
        super().log(logs, start_time)

    # Checkpoints

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        checkpoint = resume_from_checkpoint
        if checkpoint is True:
            checkpoint = last_checkpoint(self.args.output_dir)
        if isinstance(checkpoint, str | Path):
            record.warn_if_changed(checkpoint, self.run_record)
        return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def loading_checkpoint(self, model: Any, checkpoint: str) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext() if self.is_fsdp_enabled else adapter_loading(model, checkpoint)

    def on_save_model(self, folder: str) -> None:
        record.write_record(folder, self.run_record)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL's model card, with a part about the weights; arguments as TRL's."""
        super().create_model_card(*args, **kwargs)
        if self.is_world_process_zero():
            extend_card(self.args.output_dir, self.run_record)


def _wpo_factors(scores: TokenScores) -> torch.Tensor:
    """WPO's weight of each pair (arXiv 2406.11827, Eq. 2): the product over both completions of exp of the mean token
    log-prob, each aligned by log Σ_v π(v)²; shape (B,), without gradient."""
    assert scores.wpo is not None
    aligned = scores.logps.detach() - scores.wpo
    means = aligned.sum(dim=1) / scores.mask.sum(dim=1).clamp(min=1)
    chosen, rejected = means.exp().chunk(2)
    return chosen * rejected
