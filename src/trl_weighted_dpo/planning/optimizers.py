"""State that optimizers keep for each parameter."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trl_weighted_dpo.planning.model import ParameterGroup, dtype_bytes

_BLOCK = 256
_SMALLEST = 4096
"""Numbers of an 8-bit state that share one float32 constant, and parameters with fewer numbers, whose state stays in
float32: bitsandbytes' `Optimizer2State` and `min_8bit_size`; torchao follows it."""


@dataclass(frozen=True)
class OptimizerKind:
    """What an optimizer keeps.

    Args:
        states (`int`): Numbers for each parameter.
        bits (`int` or `None`): Bits of such a number; `None` is the parameter's own precision.
        paged (`bool`): Whether they move to the host's memory when the GPU's is full.
        spares_embeddings (`bool`): Whether the state of embeddings stays in float32, as transformers asks
            bitsandbytes to.
        foreach (`bool`): Whether a step makes one more copy of a state, for all parameters at once.
        factored (`bool`): Whether a matrix has one number for each row and column (Adafactor, arXiv 1804.04235).
    """

    states: int
    bits: int | None = None
    paged: bool = False
    spares_embeddings: bool = False
    foreach: bool = False
    factored: bool = False


_BNB = {
    "adamw_8bit": OptimizerKind(2, 8, spares_embeddings=True),
    "lion_8bit": OptimizerKind(1, 8, spares_embeddings=True),
    "ademamix_8bit": OptimizerKind(3, 8, spares_embeddings=True),
    "lion_32bit": OptimizerKind(1, 32),
}
OPTIMIZERS: dict[str, OptimizerKind] = {
    # Without `fused`, torch works on all parameters at once and holds the roots of all second moments.
    "adamw_torch": OptimizerKind(2, foreach=True),
    "adamw_torch_fused": OptimizerKind(2),
    "adamw_torch_8bit": OptimizerKind(2, 8),
    "adagrad": OptimizerKind(1, foreach=True),
    "rmsprop": OptimizerKind(1, foreach=True),
    "sgd": OptimizerKind(0),
    "adafactor": OptimizerKind(1, 32, factored=True),
    "ademamix": OptimizerKind(3, 32),
    **_BNB,
    "adamw_bnb_8bit": _BNB["adamw_8bit"],
    **{f"paged_{name}": replace(kind, paged=True) for name, kind in _BNB.items()},
    "paged_adamw_32bit": OptimizerKind(2, 32, paged=True),
    "paged_ademamix_32bit": OptimizerKind(3, 32, paged=True),
}
"""By the names that Transformers and Axolotl have."""


def optimizer_kind(name: str) -> OptimizerKind:
    """What an optimizer keeps, by its name.

    Raises:
        `ValueError`: If it is not known; lists those that are.
    """
    if name not in OPTIMIZERS:
        raise ValueError(
            f"The optimizer {name!r} is not among those that can be planned: {', '.join(sorted(OPTIMIZERS))}. Plan "
            "with one that keeps as much, such as adamw_torch_fused (two numbers for each parameter)."
        )
    return OPTIMIZERS[name]


def state_bytes(kind: OptimizerKind, groups: Iterable[ParameterGroup], dtype: str | None = None) -> int:
    """Memory of the optimizer's state.

    Args:
        kind ([`OptimizerKind`]): The optimizer.
        groups (`Iterable[ParameterGroup]`): What it trains.
        dtype (`str`, *optional*): Precision of the parameters that it is given, if not their own.
    """
    total = 0
    for group in groups:
        own = dtype_bytes(dtype or group.dtype)
        for size in group.sizes:
            count = math.prod(size)
            if kind.factored and len(size) > 1:
                total += 4 * (count // size[-1] + count // size[-2])
            elif kind.bits == 8 and count >= _SMALLEST and not (kind.spares_embeddings and group.in_embedding):
                total += kind.states * (count + 4 * -(-count // _BLOCK))
            else:
                total += kind.states * count * (own if kind.bits is None else 4)
    return total
