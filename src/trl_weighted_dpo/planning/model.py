"""A model without weights: built from its config on the meta device, with the adapter, and counted."""

import copy
import math
import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trl_weighted_dpo.planning.config import Lora, RunConfig

_ABSMAX_BLOCK = 64
_NESTED_BLOCK = 256
"""Weights that share one constant in NF4, and constants that share one with double quantisation: bitsandbytes'
defaults, and those of the paper (arXiv 2305.14314, section 3)."""
_CODES = 16 * 4
_NESTED_CODES = 256 * 4 + 4
"""Bytes of the table of the 16 NF4 values, and of the 256 values and the offset for nested constants; for each
weight."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of a model that are alike.

    Args:
        kind (`str`): `"embedding"`, `"head"`, `"layers"`, `"other"` (such as the last norm), or `"adapter"`.
        layer (`int` or `None`): Which layer they belong to.
        dtype (`str`): Such as `"bfloat16"`, or `"nf4"`.
        trainable (`bool`): Whether they are trained.
        sizes (`tuple[tuple[int, ...], ...]`): Shape of each.
        constants (`int`): Bytes of quantisation constants beside them.
        in_embedding (`bool`): Whether they belong to a module that looks rows up.
    """

    kind: str
    layer: int | None
    dtype: str
    trainable: bool
    sizes: tuple[tuple[int, ...], ...]
    constants: int = 0
    in_embedding: bool = False

    @property
    def count(self) -> int:
        """Number of parameters; of quantised ones, before they were."""
        return sum(math.prod(size) for size in self.sizes)

    @property
    def bytes(self) -> int:
        """Memory that they take, constants included."""
        if self.dtype == "nf4":
            return sum((math.prod(size) + 1) // 2 for size in self.sizes) + self.constants
        return self.count * dtype_bytes(self.dtype)


@dataclass(frozen=True)
class ModelSummary:
    """What a plan needs to know of a model.

    Args:
        groups (`tuple[ParameterGroup, ...]`): Its parameters, each once, tied ones too.
        tied (`bool`): Whether the head is the embedding.
        hidden_size, vocabulary, layers (`int`): Width, size of the vocabulary, number of layers.
        attention_width (`int`): Query heads times the dimension of a head.
        active_share (`float`): Share of the experts' parameters that a token meets; 1 without experts.
        expert_parameters (`int`): Parameters in experts.
    """

    groups: tuple[ParameterGroup, ...]
    tied: bool
    hidden_size: int
    vocabulary: int
    layers: int
    attention_width: int
    active_share: float = 1.0
    expert_parameters: int = 0

    def count(self, kind: str | None = None, trainable: bool | None = None) -> int:
        """Number of parameters, of a kind and of those trained or frozen, if these are given."""
        return sum(
            group.count for group in self.groups if kind in (None, group.kind) and trainable in (None, group.trainable)
        )

    def layer_counts(self) -> dict[int, int]:
        """Number of parameters of each layer, the adapter's in it included."""
        counts: dict[int, int] = {}
        for group in self.groups:
            if group.layer is not None:
                counts[group.layer] = counts.get(group.layer, 0) + group.count
        return counts

    def layers_are_alike(self) -> bool:
        """Whether all layers have parameters of the same shapes, types and number."""
        layers: dict[int, set[ParameterGroup]] = {}
        for group in self.groups:
            if group.layer is not None:
                layers.setdefault(group.layer, set()).add(replace(group, layer=None))
        first, *others = layers.values()
        return all(layer == first for layer in others)


def dtype_bytes(dtype: str) -> int:
    """Bytes of a number of this type, by its torch name."""
    return int(getattr(torch, dtype).itemsize)


def nf4_constants(count: int, double_quant: bool) -> int:
    """Bytes of the constants of one NF4 weight, as bitsandbytes keeps them.

    Each 64 weights share a float32 (4/64 bytes a weight). With double quantisation it is one byte, and 256 of them
    share a float32 (1/64 + 4/(64·256) bytes a weight): arXiv 2305.14314, section 3.

    Args:
        count (`int`): Number of weights.
        double_quant (`bool`): Whether the constants are quantised.
    """
    blocks = -(-count // _ABSMAX_BLOCK)
    if not double_quant:
        return 4 * blocks + _CODES
    return blocks + 4 * -(-blocks // _NESTED_BLOCK) + _CODES + _NESTED_CODES


class FourBitLinear(nn.Linear):
    """Stands in for bitsandbytes' `Linear4bit`: allocates what that does, and computes nothing of worth.

    Like `MatMul4Bit`, it makes the whole weight in the precision of the computation, forward and backward, and keeps
    its packed form only, not its input.
    """

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_autocast_enabled(input.device.type):
            input = input.to(torch.get_autocast_dtype(input.device.type))
        output: Tensor = _Dequantized.apply(input, self.weight, self.out_features)
        return output if self.bias is None else output + self.bias.to(output.dtype)


class _Dequantized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, packed: Tensor, out_features: int) -> Tensor:
        ctx.save_for_backward(packed)
        ctx.shape = (out_features, input.shape[-1])
        return nn.functional.linear(input, input.new_empty(ctx.shape))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] @ gradients[0].new_empty(ctx.shape), None, None


def load_config(name: str) -> Any:
    """The config of a model, from a folder or the hub.

    Raises:
        `ValueError`: If there is none.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name)
    # Without a network, the hub's client fails with a RuntimeError.
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{name}: no model config could be read there ({type(error).__name__}: {reason}). Give a folder with a "
            "config.json, or a name on the hub."
        ) from error


def build_model(config: Any, settings: RunConfig) -> Any:
    """The model that a run trains, on the meta device: no weights, and 4-bit layers as [`FourBitLinear`].

    Args:
        config (`PretrainedConfig`): The model's.
        settings ([`RunConfig`]): Precision, quantisation and adapter.

    Raises:
        `ValueError`: If the model cannot be built, or the adapter does not fit it.
    """
    from transformers import AutoModelForCausalLM

    # A model keeps its config and changes it.
    config = copy.deepcopy(config)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, settings.dtype))
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"No causal language model can be built from the config of {settings.model}: {error}"
        ) from error
    _set_precision(model, settings)
    if settings.load_in_4bit:
        _quantize(model, settings.double_quant)
    if settings.lora is not None:
        model = _with_adapter(model, settings.lora)
    return model


def _set_precision(model: Any, settings: RunConfig) -> None:
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    for name, module in model.named_modules():
        if settings.upcast_embeddings_and_norms and ("norm" in name or module in ends):
            module.to(torch.float32)
        elif settings.upcast_rest and "norm" not in name and module not in ends:
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(torch.float32)


def _quantize(model: Any, double_quant: bool) -> None:
    # Its head stays as it is, as with transformers, and experts that are one tensor.
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child is not head:
                packed = nn.Linear.__new__(FourBitLinear)
                packed.__dict__.update(child.__dict__)
                packed._parameters = dict(child._parameters)
                shape = tuple(child.weight.shape)
                size = math.prod(shape)
                weight: Any = nn.Parameter(
                    torch.empty((size + 1) // 2, dtype=torch.uint8, device="meta"), requires_grad=False
                )
                weight.quantized = (shape, nf4_constants(size, double_quant))
                packed.weight = weight
                setattr(parent, name, packed)
    for parameter in model.parameters():
        parameter.requires_grad = False


def _with_adapter(model: Any, lora: Lora) -> Any:
    from peft import LoraConfig, get_peft_model

    targets = list(lora.target_modules) if isinstance(lora.target_modules, tuple) else lora.target_modules
    config = LoraConfig(
        r=lora.r,
        target_modules=targets,
        modules_to_save=list(lora.modules_to_save) or None,
        use_dora=lora.use_dora,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(model, config)
    except ValueError as error:
        raise ValueError(f"The adapter does not fit the model: {error}") from error
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(getattr(torch, lora.dtype))
    return model


def summarize(model: Any) -> ModelSummary:
    """Count the parameters of a model, each once.

    Args:
        model (`PreTrainedModel` or `PeftModel`): On any device; quantised ones as [`build_model`] makes them.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ends = {"embedding": base.get_input_embeddings(), "head": base.get_output_embeddings()}
    owners = {
        id(parameter): kind
        for kind, module in reversed(ends.items())
        if module is not None
        for parameter in module.parameters()
    }
    looked_up = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    found: dict[tuple[Any, ...], list[tuple[tuple[int, ...], int]]] = {}
    for name, parameter in model.named_parameters():
        shape, constants = getattr(parameter, "quantized", (tuple(parameter.shape), 0))
        dtype = "nf4" if constants else str(parameter.dtype).removeprefix("torch.")
        layer = _layer(name)
        if re.search(r"\.(lora_|modules_to_save\.)", name):
            kind = "adapter"
        else:
            kind = owners.get(id(parameter), "other" if layer is None else "layers")
        key = (kind, layer, dtype, parameter.requires_grad, id(parameter) in looked_up)
        found.setdefault(key, []).append((shape, constants))
    groups = tuple(
        ParameterGroup(
            kind, layer, dtype, trainable, tuple(shape for shape, _ in sizes), sum(c for _, c in sizes), in_embedding
        )
        for (kind, layer, dtype, trainable, in_embedding), sizes in found.items()
    )
    text = base.config.get_text_config()
    heads = text.num_attention_heads
    head_width = getattr(text, "head_dim", None) or text.hidden_size // heads
    share, experts = _experts(model, text)
    embedding, head = (None if module is None else module.weight for module in ends.values())
    return ModelSummary(
        groups, embedding is head, text.hidden_size, text.vocab_size, text.num_hidden_layers, heads * head_width, share,
        experts,
    )  # fmt: skip


def _layer(name: str) -> int | None:
    match = re.search(r"\.(\d+)\.", name)
    return None if match is None else int(match[1])


def _experts(model: Any, text: Any) -> tuple[float, int]:
    """Share of the experts that a token meets, and their parameters."""
    total = getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None)
    active = getattr(text, "num_experts_per_tok", None)
    if not total or not active:
        return 1.0, 0
    inside = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name and ".lora_" not in name)
    return active / total, inside
