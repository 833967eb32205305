"""TRL's trainer and collator, with the private names that weighted DPO changes or reads under names of our own.

The rest of the package uses no private name of TRL or of transformers' Trainer. See also [`~core.seam`].
"""

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import trl

from trl_weighted_dpo.core.seam import trl_requirement, untested_trl

_untested = untested_trl(trl.__version__)
if _untested:
    warnings.warn(_untested, stacklevel=2)

try:
    from trl import DPOTrainer
    from trl.models.utils import disable_gradient_checkpointing, prepare_deepspeed
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.utils import use_adapter
except ImportError as error:
    hint = _untested or f"Reinstall trl: pip install '{trl_requirement()}'."
    raise ImportError(f"{error}. {hint}") from error

__all__ = [
    "DataCollatorForPreference",
    "HookedDPOTrainer",
    "collator_settings",
    "described",
    "disable_gradient_checkpointing",
    "use_adapter",
]

_Trainer = TypeVar("_Trainer", bound=type)


def described(name: str, tags: Iterable[str], paper: Mapping[str, str] | None = None) -> Callable[[_Trainer], _Trainer]:
    """Class decorator: what TRL's model cards say about a trainer.

    Args:
        name (`str`): Name of the method.
        tags (`Iterable[str]`): Tags of the models.
        paper (`Mapping[str, str]`, *optional*): `title`, `id` on arXiv and `citation` in BibTeX; TRL's by default.
    """

    def describe(trainer: _Trainer) -> _Trainer:
        described: Any = trainer
        described._name, described._tag_names = name, list(tags)
        if paper is not None:
            described._paper = dict(paper)
        return trainer

    return describe


def collator_settings(collator: DataCollatorForPreference) -> dict[str, Any]:
    """The arguments that a collator was made with, for one of a class derived from `DataCollatorForPreference`."""
    return {field.name: getattr(collator, field.name) for field in dataclasses.fields(DataCollatorForPreference)}


class HookedDPOTrainer(DPOTrainer):
    """`DPOTrainer` whose private methods call hooks, for a subclass to override. A hook that stands in for work of TRL
    gets this work as a function. TRL calls `prepare_pairs` and `add_reference` inside `__init__` and `evaluate`."""

    carried_columns: tuple[str, ...] = ()
    """Columns that reach the collator beside TRL's, whatever `remove_unused_columns` says."""
    _precompute_engine: Any

    # Hooks

    def prepare_pairs(
        self, dataset: Any, processing_class: Any, args: Any, name: str, tokenize: Callable[[Any], Any]
    ) -> Any:
        """Make a dataset ready for the collator.

        Args:
            dataset (`Dataset` or `IterableDataset`): Pairs as given.
            processing_class (`PreTrainedTokenizerBase`), args (`DPOConfig`): The trainer's, which has neither as an
                attribute yet when it prepares the datasets that it is made with.
            name (`str`): `"train"`, `"eval"` or the evaluation dataset's name.
            tokenize (`Callable`): TRL's preparation: dataset → dataset with token columns; it may drop pairs.
        """
        return tokenize(dataset)

    def add_reference(self, dataset: Any, name: str, batch_size: int, compute: Callable[[Any], Any]) -> Any:
        """Add reference log-probs to a prepared dataset.

        Args:
            dataset (`Dataset`): Prepared pairs.
            name (`str`): As above.
            batch_size (`int`): Pairs that fit into a batch.
            compute (`Callable`): TRL's pass over the reference: dataset → dataset with two more columns, cached under
                the dataset's fingerprint.
        """
        return compute(dataset)

    def batch_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """Loss of a collated batch, a scalar; with `return_outputs` a pair of it and the model's output."""
        raise NotImplementedError

    def loading_checkpoint(self, model: Any, checkpoint: str) -> AbstractContextManager[Any]:
        """A context in which transformers loads a checkpoint's weights into a model."""
        return contextlib.nullcontext()

    def on_save_model(self, folder: str) -> None:
        """Called when a model has been saved in a folder, by the process that saved it."""

    # What a subclass reads

    @property
    def reference_is_precomputed(self) -> bool:
        """Whether batches bring reference log-probs, so that no reference is run in training."""
        return bool(self.precompute_ref_logps)

    @property
    def auxiliary_loss_weight(self) -> float:
        """Coefficient of the router's auxiliary loss; 0 if the model is no mixture of experts or the loss is off."""
        return float(self.router_aux_loss_coef) if self.aux_loss_enabled else 0.0

    def placed_reference(self) -> Any:
        """The model that acts as the reference, ready for a forward pass before training has begun."""
        if self.ref_model is not None or not self.is_deepspeed_enabled:
            return self.ref_model or self.model
        # As TRL does to precompute: DeepSpeed has the parameters on the CPU, or in parts, until it wraps the model.
        if self._precompute_engine is None:
            self._precompute_engine = prepare_deepspeed(self.model, self.accelerator)
        return self._precompute_engine

    def pending_metrics(self, mode: str) -> MutableMapping[str, list[Any]]:
        """Values since the last log, by metric, whose means are logged next; `mode` is `"train"` or `"eval"`."""
        pending: MutableMapping[str, list[Any]] = self._metrics[mode]
        return pending

    def count_tokens(self, tokens: int) -> int:
        """Add to the tokens trained on, and return them; `tokens` is a sum over all processes. Those of a group for
        tensor parallelism have the same ones."""
        self._total_train_tokens += tokens // getattr(self, "_tp_size", 1)
        return int(self._total_train_tokens)

    # Where TRL and transformers call the hooks

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        tokenize = functools.partial(
            super()._prepare_dataset, processing_class=processing_class, args=args, dataset_name=dataset_name
        )
        return self.prepare_pairs(dataset, processing_class, args, dataset_name, tokenize)

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        compute = functools.partial(super()._precompute_ref_logps, name=name, batch_size=batch_size)
        return self.add_reference(dataset, name, batch_size, compute)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in self.carried_columns if name not in self._signature_columns]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        return self.batch_loss(model, inputs, return_outputs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with self.loading_checkpoint(self.model if model is None else model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict=state_dict)
        self.on_save_model(output_dir or self.args.output_dir)
