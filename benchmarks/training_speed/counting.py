"""How many positions a step sends through the backbone and through the LM head, padding included."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.training_speed.contestants import Racer
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "addmm_", "_addmm_activation")


@dataclass(frozen=True)
class Positions:
    """Of the policy's and of the reference's forward, 0 without a reference in memory."""

    backbone: int
    backbone_reference: int
    head: int
    head_reference: int


def count_positions(racer: Racer) -> Positions:
    """Count in the forward of the first micro-batch. What the backward computes again does not count."""
    trainer = racer.trainer
    models = [trainer.model, trainer.ref_model]
    backbones = [0, 0]
    hooks = []

    def counter(index: int) -> Any:
        def count(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            tokens = named.get("input_ids", arguments[0] if arguments else None)
            tokens = named["inputs_embeds"] if tokens is None else tokens
            backbones[index] += math.prod(tokens.shape[:2])

        return count

    for index, model in enumerate(models):
        if model is not None:
            hooks.append(model.base_model.register_forward_pre_hook(counter(index), with_kwargs=True))
    heads = [None if model is None else model.get_output_embeddings().weight for model in models]
    trainer.model.train()
    with HeadProducts(heads) as products, trainer.compute_loss_context_manager():
        trainer.compute_loss(trainer.model, trainer._prepare_inputs(dict(racer.batches[0])))
    for hook in hooks:
        hook.remove()
    return Positions(*backbones, *products.positions())


class HeadProducts(TorchDispatchMode):
    """Counts the multiplications of matrix products in which a head's weight, whole or in tiles, is a factor.

    A product with a copy of the weight, such as autocast makes of one in another dtype, is not seen.

    Args:
        weights (`list[Tensor | None]`): Of each head, (V, H).
    """

    def __init__(self, weights: list[torch.Tensor | None]) -> None:
        super().__init__()
        self._weights = weights
        self._multiplications = [0] * len(weights)

    def positions(self) -> list[int]:
        """Hidden states that each head was applied to as a whole."""
        counted = zip(self._multiplications, self._weights, strict=True)
        return [0 if weight is None else round(number / weight.numel()) for number, weight in counted]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in _PRODUCTS:
            factors = [item for item in args if isinstance(item, torch.Tensor)][-2:]
            for index, weight in enumerate(self._weights):
                if weight is not None and any(_shares_storage(factor, weight) for factor in factors):
                    # (.., m, k) times (.., k, n)
                    self._multiplications[index] += factors[0].numel() * factors[1].shape[-1]
        return result


def _shares_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
