"""Attention masks of the shared layout, one for each kind of attention layer that a model has."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trl_weighted_dpo.training.layout import BRANCHES, PREFIX, segment_branch

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class LayerKinds:
    """What a model's attention layers see.

    Args:
        window (`int` or `None`): How far back sliding layers see, the token itself included; `None` if none slides.
        by_kind (`bool`): Whether the model takes one mask for each kind of layer, by name; else it takes one for all.
    """

    window: int | None = None
    by_kind: bool = False


def layer_kinds(config: Any) -> LayerKinds:
    """Read the kinds of attention layers off a model's configuration.

    Args:
        config (`PretrainedConfig`):
            Of the text model.

    Raises:
        `ValueError`: If there are layers that are neither full nor sliding attention; names them.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    others = sorted(kinds - {FULL, SLIDING})
    if others:
        raise ValueError(f"it has {', '.join(others)} layers, in which one completion may see the other")
    window = getattr(config, "sliding_window", None)
    if kinds:
        return LayerKinds(window, True) if SLIDING in kinds else LayerKinds()
    return LayerKinds(window if getattr(config, "use_sliding_window", True) else None)


def attention_masks(segments: Tensor, positions: Tensor, kinds: LayerKinds, dtype: torch.dtype) -> Any:
    """Additive masks that let a token see what it would see in a sequence of its own.

    Args:
        segments, positions (`Tensor`): (R, S), as [`~training.layout.lay_out`] makes them.
        kinds ([`LayerKinds`]): What the layers see.
        dtype (`torch.dtype`): Of the attention scores.

    Returns:
        `Tensor` of shape (R, 1, S, S), 0 where attended and the dtype's lowest number elsewhere, or a dictionary of
        them by the kind of layer.
    """
    pair, branch = segments // BRANCHES, segment_branch(segments)
    key_pair, key_branch = pair.unsqueeze(1), branch.unsqueeze(1)
    order = torch.arange(segments.size(1), device=segments.device)
    seen = (key_pair == pair.unsqueeze(2)) & ((key_branch == PREFIX) | (key_branch == branch.unsqueeze(2)))
    seen &= order.unsqueeze(0) <= order.unsqueeze(1)
    full = _additive(seen, dtype)
    if kinds.window is None:
        return full
    sliding = _additive(seen & (positions.unsqueeze(2) < positions.unsqueeze(1) + kinds.window), dtype)
    return {FULL: full, SLIDING: sliding} if kinds.by_kind else sliding


def _additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    mask = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=seen.device)
    return mask.masked_fill_(seen, 0.0).unsqueeze(1)
