"""One training step of the model's own code on tensors without contents, to see what memory its activations take.

A formula for activations, such as Korthikanti et al.'s (arXiv 2205.05198, Eq. 1 and 2: s·b·h·(34 + 5·a·s/h) bytes a
layer), holds for one way to write one kind of layer. Torch's `FakeTensorMode` runs any model's code, forward and
backward, with all shapes and no numbers, in seconds for 70 billion parameters; `docs/plan.md` gives the formula that
comes out for a Llama layer, and a test holds it to that.
"""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv

from trl_weighted_dpo.planning.head import chunked_scores
from trl_weighted_dpo.planning.live_bytes import LiveBytes
from trl_weighted_dpo.planning.model import ModelSummary, build_model
from trl_weighted_dpo.planning.settings import RunSettings

_ATTENTION = "weighted_dpo_rehearsal"


@dataclass(frozen=True)
class Batch:
    """The shape of a micro-batch.

    Args:
        rows (`int`): Rows of tokens.
        tokens (`int`): Tokens of a row.
        positions (`int`): Positions that go through the head, over all rows.
    """

    rows: int
    tokens: int
    positions: int


@dataclass(frozen=True)
class Rehearsal:
    """Memory in bytes, beside parameters, buffers and gradients that wait for the optimizer.

    Args:
        kept (`int`): Activations that the forward pass through the layers leaves for the backward pass.
        head (`int`): Most at once while the head works, the kept activations included.
        layers (`int`): Most at once while the layers work, forward or backward, the kept activations included.
        embedding (`int`): Most at once while the embedding's gradient is made.
    """

    kept: int
    head: int
    layers: int
    embedding: int


_FEW = 3
"""Layers that are rehearsed, and one more, where all layers are alike."""


def rehearse(config: Any, settings: RunSettings, summary: ModelSummary, batch: Batch) -> Rehearsal:
    """Run one step of a model without weights.

    Where all layers have parameters of the same shapes, three and four of them are run, and the difference stands for
    each of the others.

    Args:
        config (`PretrainedConfig`): The model's.
        settings ([`~planning.settings.RunSettings`]): The run's.
        summary ([`~planning.model.ModelSummary`]): Of the whole model.
        batch ([`Batch`]): Shape of the micro-batch.

    Raises:
        `ValueError`: If the model's code cannot run without numbers.
    """
    if summary.layers <= _FEW + 1 or not summary.layers_are_alike():
        return _rehearse(config, settings, batch)
    few, more = (_rehearse(with_layers(config, count), settings, batch) for count in (_FEW, _FEW + 1))
    others = summary.layers - _FEW
    return Rehearsal(*(a + others * (b - a) for a, b in zip(astuple(few), astuple(more), strict=True)))


def with_layers(config: Any, count: int) -> Any:
    """A copy of a model's config with fewer layers."""
    config = copy.deepcopy(config)
    text = config.get_text_config()
    # First, since configs check that the two agree.
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:count]
    text.num_hidden_layers = count
    return config


def _rehearse(config: Any, settings: RunSettings, batch: Batch) -> Rehearsal:
    model = build_model(config, settings)
    if settings.sharding.engine != "ddp":
        # DeepSpeed converts the model; FSDP computes with converted copies.
        model.to(getattr(torch, settings.compute_dtype))
    model.train()
    _set_attention(model, settings.attention)
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    try:
        with FakeTensorMode():
            _give_shapes(model)
            return _step(model, batch, settings)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        kind = model.config.model_type
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"Models of type {kind!r} cannot be planned: their code needs numbers, or an operation that has no form "
            f"without them ({type(error).__name__}: {reason})."
        ) from error


def _step(model: Any, batch: Batch, settings: RunSettings) -> Rehearsal:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    embedding = base.get_input_embeddings()
    for parameter in model.parameters():
        if parameter.requires_grad:
            # As from the second micro-batch on, so that gradients in the making count and those that wait do not.
            parameter.grad = torch.empty_like(parameter)
    known = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    precision: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if settings.autocast is not None:
        precision = torch.autocast("cpu", dtype=getattr(torch, settings.autocast))
    ids = torch.zeros(batch.rows, batch.tokens, dtype=torch.long)
    inputs = {"position_ids": ids.clone()}
    if not settings.attention.startswith(("flash", "flex")):
        inputs["attention_mask"] = torch.zeros(batch.rows, 1, batch.tokens, batch.tokens, dtype=torch.bool)
    rows = torch.zeros(batch.positions, dtype=torch.long)
    with LiveBytes(known) as memory:
        for tensor in (ids, *inputs.values()):
            memory.add(tensor)
        # The graph is cut at both ends of the layers, so that each part has a peak of its own. Autocast keeps converted
        # weights until it ends, which in training is after the head too.
        with precision:
            embedded = embedding(ids)
            entered = embedded.detach()
            entered.requires_grad = embedded.requires_grad or (settings.checkpointing and settings.lora is not None)
            hidden = base.base_model(inputs_embeds=entered, **inputs, use_cache=False)[0]
            forward = memory.peak
            memory.restart()
            left = hidden.detach().requires_grad_()
            scores = chunked_scores(base.get_output_embeddings(), left[rows, rows], rows)
        kept = memory.live
        scores.backward(torch.empty_like(scores))
        del scores
        head = memory.peak
        memory.restart()
        hidden.backward(left.grad)
        layers = max(forward, memory.peak)
        del hidden, left
        memory.restart()
        if embedded.requires_grad:
            embedded.backward(entered.grad)
        return Rehearsal(kept, head, layers, memory.peak)


def _give_shapes(model: Any) -> None:
    """Put fake tensors, on the CPU, where those of the meta device are; tied ones stay tied."""
    made: dict[int, Tensor] = {}
    kept = []
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    kept.append(tensor)
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
                    if isinstance(tensor, nn.Parameter):
                        empty = nn.Parameter(empty, requires_grad=tensor.requires_grad)
                    made[id(tensor)] = empty
                tensors[name] = made[id(tensor)]


def _set_attention(model: Any, attention: str) -> None:
    for config in _configs(model.config):
        config._attn_implementation = "eager" if attention == "eager" else _ATTENTION


def _configs(config: Any) -> Iterator[Any]:
    yield config
    text = config.get_text_config()
    if text is not config:
        yield text


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers' SDPA attention and torch's fused kernels allocate: with a mask, keys and values once for each
    query head and the mask as numbers; queries, keys, values, output and one sum a row are kept for the backward pass.
    Without tensors on a GPU torch would choose the kernel that keeps all scores."""
    groups = getattr(module, "num_key_value_groups", 1)
    if attention_mask is not None and groups > 1:
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    bias = None if attention_mask is None else torch.zeros_like(attention_mask, dtype=query.dtype)
    output = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, attention_mask is None, attn_mask=bias, scale=scaling
    )[0]
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attention)
