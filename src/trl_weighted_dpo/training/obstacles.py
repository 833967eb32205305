"""What is known of a model that rules a way of scoring out: see [`~training.paths`]."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from accelerate.utils import extract_model_from_parallel, is_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import nn

from trl_weighted_dpo.training.forward import causal_lm
from trl_weighted_dpo.training.masks import layer_kinds

MASKED_ATTENTION = ("sdpa", "eager", "flex_attention")
"""Attention implementations that take a mask of any form."""

WINDOWED_FAMILIES = frozenset(
    ("cohere2", "gemma2", "gemma3_text", "ministral", "mistral", "mixtral", "olmo3", "phi3", "qwen2", "qwen3",
    "smollm3",
     "starcoder2")
)  # fmt: skip
"""Model types whose sliding-window layers are tested with shared prompts and a window shorter than the text."""

ROW_BOUND_FAMILIES = frozenset(("doge", "gpt_neo"))
"""Model types whose attention counts places in the row, whatever mask and positions say."""

LENGTH_BOUND_ROPE = ("dynamic", "longrope")
"""Rotary embeddings that depend on how long the whole row is."""


def head_obstacle(model: nn.Module) -> str | None:
    """Why the LM head cannot be made to read completion positions only, or `None`."""
    if isinstance(model, nn.DataParallel):
        return "nn.DataParallel copies the model for each batch"
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    if hasattr(inner, "_orig_mod") or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in (model, inner, causal_lm(model))
    ):
        return "the model is compiled"
    if is_peft_model(inner) and inner.active_peft_config.is_prompt_learning:
        return "the adapter learns a prompt, whose virtual tokens move all positions"
    base = causal_lm(model)
    head = base.get_output_embeddings()
    if head is None or base.base_model is base:
        return f"{type(base).__name__} does not name its backbone and its LM head"
    if getattr(base, "tp_size", None) or getattr(base, "_tp_size", None):
        return "the LM head is split over devices by tensor parallelism"
    saved = isinstance(head, ModulesToSaveWrapper)
    linears = [head.original_module, *head.modules_to_save.values()] if saved else [head]
    if not all(isinstance(linear, nn.Linear) and linear.weight.is_floating_point() for linear in linears):
        return f"the LM head is a {type(linears[0]).__name__}, not a plain linear layer"
    if any(linear.weight.is_meta for linear in linears):
        return "the LM head is offloaded"
    return None


def sharing_obstacle(model: nn.Module, longest: int | None) -> str | None:
    """Why chosen and rejected cannot share what they begin with, or `None`.

    Args:
        model (`nn.Module`):
            Causal language model, wrapped or not, whose head has no obstacle.
        longest (`int` or `None`):
            Tokens of a sequence with its padding, at most; `None` if there is no limit.
    """
    base = causal_lm(model)
    config = base.config.get_text_config()
    try:
        window = layer_kinds(config).window
    except ValueError as error:
        return str(error)
    if getattr(base, "_is_stateful", False) or any(isinstance(module, nn.Conv1d) for module in base.modules()):
        return "it has recurrent or convolution layers, in which one completion would leak into the other"
    if config._attn_implementation not in MASKED_ATTENTION:
        return (
            f"attention implementation {config._attn_implementation!r} takes no 4-D mask "
            f"({', '.join(MASKED_ATTENTION)} do)"
        )
    if "position_ids" not in inspect.signature(base.base_model.forward).parameters:
        return f"{type(base).__name__} takes no positions"
    if config.model_type in ROW_BOUND_FAMILIES:
        return f"attention of {config.model_type!r} counts places in the row"
    if window is not None and config.model_type not in WINDOWED_FAMILIES:
        return f"{config.model_type!r} has sliding-window layers, and is not among the model types tested with them"
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    if is_peft_model(inner) and any(
        getattr(adapter, "alora_invocation_tokens", None) for adapter in inner.peft_config.values()
    ):
        return "an activated LoRA looks for its invocation tokens in each row"
    return _rope_obstacle(config, longest)


def _rope_obstacle(config: Any, longest: int | None) -> str | None:
    for rope in _ropes(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}):
        kind = rope.get("rope_type", rope.get("type"))
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", config.max_position_embeddings
        )
        if kind in LENGTH_BOUND_ROPE and (longest is None or longest > original):
            return (
                f"its {kind} rotary embedding depends on the length of the row above {original} tokens, and sequences "
                f"have up to {longest or 'any number'}"
            )
    return None


def _ropes(parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of all layers, or of each kind of layer."""
    nested = [value for value in parameters.values() if isinstance(value, Mapping)]
    yield from nested or [parameters]
