"""Builders of TRL's trainer and ours over the same models and pairs, and what compares them."""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from tests.tiny import perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer


class Arena:
    """One policy, one different reference, the same pairs; makes trainers and measures a batch."""

    def __init__(self, folder: Any, pairs: list[dict[str, Any]], reference: Any = None) -> None:
        self.folder, self.pairs = folder, pairs
        self.tokenizer = tiny_tokenizer()
        self.reference = tiny_model() if reference is None else reference
        self.policy = perturbed(self.reference)

    def make(self, trainer: type, config: type, eval_dataset: Any = None, **settings: Any) -> Any:
        arguments = config(
            output_dir=str(self.folder),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            per_device_train_batch_size=len(self.pairs),
            **settings,
        )
        return trainer(
            model=perturbed(self.reference),
            ref_model=perturbed(self.reference, scale=0.0),
            args=arguments,
            train_dataset=Dataset.from_list(self.pairs),
            eval_dataset=eval_dataset,
            processing_class=self.tokenizer,
        )

    def trl(self, **settings: Any) -> Any:
        return self.make(DPOTrainer, DPOConfig, **settings)

    def ours(self, **settings: Any) -> Any:
        return self.make(WeightedDPOTrainer, WeightedDPOConfig, **settings)


def batch_of(trainer: Any, rows: list[int] | None = None) -> dict[str, Any]:
    """The collated batch of these training rows, in order."""
    trainer._set_signature_columns_if_needed()
    keep = [name for name in trainer.train_dataset.column_names if name in trainer._signature_columns]
    dataset = trainer.train_dataset.select_columns(keep)
    return trainer.data_collator([dataset[row] for row in rows or range(len(dataset))])


def loss_and_gradients(trainer: Any, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def assert_same(
    ours: tuple[float, dict[str, torch.Tensor]], theirs: tuple[float, dict[str, torch.Tensor]], tolerance: float
) -> None:
    """Loss and every gradient tensor agree: |Δ|/|loss| and ‖Δg‖/‖g‖ within the tolerance."""
    assert ours[0] == pytest.approx(theirs[0], rel=tolerance)
    assert ours[1].keys() == theirs[1].keys()
    for name, expected in theirs[1].items():
        error = (ours[1][name] - expected).norm() / expected.norm()
        assert error <= tolerance, f"{name}: relative error {error:.2e}"


class _Float64Torch:
    """The torch module, but for `float32`."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextlib.contextmanager
def trl_in(dtype: torch.dtype) -> Iterator[None]:
    """Let TRL compute in the model's dtype throughout, for a comparison to float64 precision.

    TRL makes some constants in the default dtype, and newer versions hard-code float32 in their fused LM head.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if dtype is torch.float64 and importlib.util.find_spec("trl.kernels"):
                patch.setattr("trl.kernels.chunked_logprob.torch", _Float64Torch())
                patch.setattr(torch.Tensor, "float", torch.Tensor.double)
            yield
    finally:
        torch.set_default_dtype(before)


WEIGHTS = [0.5, 2.0, 1.25, 0.25]


def weighted(weights: list[float] = WEIGHTS) -> list[dict[str, Any]]:
    """Pairs with these ready weights."""
    return [{**row, "weight": weight} for row, weight in zip(tiny_pairs(len(weights)), weights, strict=True)]


def make(folder: Any, pairs: list[dict[str, Any]] | None = None, model: Any = None, **settings: Any) -> Any:
    """Our trainer over these pairs."""
    return Arena(folder, pairs or weighted(), model).ours(**settings)
