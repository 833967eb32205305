"""One training step of the model's own code on tensors without contents, to see what memory its activations take.

A formula for activations, such as Korthikanti et al.'s (arXiv 2205.05198, Eq. 1: s·b·h·(34 + 5·a·s/h) bytes a
layer), holds for one way to write one kind of layer. Torch's `FakeTensorMode` runs any model's code, and the trainer's
own forward, with all shapes and no numbers, in seconds for 70 billion parameters; `docs/plan.md` gives the formula that
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

from trl_weighted_dpo.core import seam
from trl_weighted_dpo.planning.config import RunConfig
from trl_weighted_dpo.planning.live_bytes import LiveBytes
from trl_weighted_dpo.planning.model import ModelSummary, build_model
from trl_weighted_dpo.planning.pairs import PairLength
from trl_weighted_dpo.training import head as lm_head
from trl_weighted_dpo.training.forward import causal_lm, score_tokens
from trl_weighted_dpo.training.layout import SHARED_IDS, lay_out, row_multiple, score_names

_ATTENTION = "weighted_dpo_rehearsal"


@dataclass(frozen=True)
class Rehearsal:
    """Memory in bytes, beside parameters, buffers and gradients that wait for the optimizer.

    Args:
        kept (`int`):
            What is alive when the layers' backward pass begins: their activations. A tied head's gradient, which waits
            for the embedding's, is there too and counts in `backward` only.
        forward (`int`): Most at once while the layers work forward.
        head_forward, head_backward (`int`): Most at once while the head works, the layers' activations included.
        backward (`int`): Most at once while the layers work backward.
        embedding (`int`): Most at once while the embedding's gradient is made.
    """

    kept: int
    forward: int
    head_forward: int
    head_backward: int
    backward: int
    embedding: int

    @property
    def layers(self) -> int:
        """Most at once while the layers work."""
        return max(self.forward, self.backward)

    @property
    def head(self) -> int:
        """Most at once while the head works."""
        return max(self.head_forward, self.head_backward)


@dataclass(frozen=True)
class BatchShape:
    """The shape of a micro-batch: rows, tokens of a row, and positions that go through the head."""

    rows: int
    tokens: int
    positions: int


def make_batch(pair: PairLength, micro_batch: int, shared: bool, device: str = "cpu") -> dict[str, Tensor]:
    """A collated micro-batch of pairs of one length, laid out as for training.

    Args:
        pair ([`~planning.pairs.PairLength`]): Tokens of each; rounded.
        micro_batch (`int`): How many.
        shared (`bool`): Whether the prompt is computed once.
        device (`str`, *optional*, defaults to `"cpu"`): Type of device that it is laid out for.
    """
    prompt, chosen, rejected = (max(round(length), 1) for length in (pair.prompt, pair.chosen, pair.rejected))
    ids = torch.zeros(2 * micro_batch, prompt + max(chosen, rejected), dtype=torch.long)
    attended, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for side, (rows, length) in enumerate(((slice(micro_batch), chosen), (slice(micro_batch, None), rejected))):
        ids[rows, :prompt], ids[rows, prompt : prompt + length] = 1, 2 + side
        attended[rows, : prompt + length] = 1
        completion[rows, prompt : prompt + length] = 1
    batch = {"input_ids": ids, "attention_mask": attended, "completion_mask": completion}
    return {**batch, **lay_out(batch, shared, 0, row_multiple(device))}


def batch_shape(pair: PairLength, micro_batch: int, shared: bool, device: str = "cpu") -> BatchShape:
    """Shape of what [`make_batch`] makes."""
    batch = make_batch(pair, micro_batch, shared, device)
    rows, tokens = batch[SHARED_IDS if shared else "input_ids"].shape
    positions, _, _ = score_names("shared" if shared else "chunked")
    return BatchShape(rows, tokens, len(batch[positions]))


_FEW = 3
"""Layers that are rehearsed, and one more, where all layers are alike."""


def rehearse(
    config: Any, settings: RunConfig, summary: ModelSummary, pair: PairLength, device: str = "cuda"
) -> Rehearsal:
    """Run one step of a model without weights.

    Where all layers have parameters of the same shapes, three and four of them are run, and the difference stands for
    each of the others.

    Args:
        config (`PretrainedConfig`): The model's.
        settings ([`~planning.config.RunConfig`]): The run's.
        summary ([`~planning.model.ModelSummary`]): Of the whole model.
        pair ([`~planning.pairs.PairLength`]): Tokens of each pair of the micro-batch.
        device (`str`, *optional*, defaults to `"cuda"`): Whose chunks the LM head works in.

    Raises:
        `ValueError`: If the model's code cannot run without numbers.
    """
    if summary.layers <= _FEW + 1 or not summary.layers_are_alike():
        return _rehearse(config, settings, pair, device)
    few, more = (_rehearse(with_layers(config, count), settings, pair, device) for count in (_FEW, _FEW + 1))
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


def _rehearse(config: Any, settings: RunConfig, pair: PairLength, device: str) -> Rehearsal:
    model = build_model(config, settings)
    if settings.sharding.engine != "ddp":
        # DeepSpeed converts the model; FSDP computes with converted copies.
        model.to(getattr(torch, settings.compute_dtype))
    model.train()
    _set_attention(model, settings.attention)
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
        if settings.lora is not None:
            model.enable_input_require_grads()
    batch = make_batch(pair, settings.micro_batch, settings.share_prompt, device)
    fake = FakeTensorMode()
    try:
        with fake, _chunks_as_on(device):
            _give_shapes(model)
            return _step(model, {name: fake.from_tensor(values) for name, values in batch.items()}, settings)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        kind = model.config.model_type
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"Models of type {kind!r} cannot be planned: their code needs numbers, or an operation that has no form "
            f"without them ({type(error).__name__}: {reason})."
        ) from error


def _step(model: Any, batch: dict[str, Any], settings: RunConfig) -> Rehearsal:
    for parameter in model.parameters():
        if parameter.requires_grad:
            # As from the second micro-batch on, so that gradients in the making count and those that wait do not.
            parameter.grad = torch.empty_like(parameter)
    if not settings.share_prompt:
        rows, tokens = batch["input_ids"].shape
        # A mask is made from the row of each, if the attention takes one.
        fused = settings.attention.startswith("flash")
        batch["attention_mask"] = None if fused else torch.zeros(rows, 1, tokens, tokens, dtype=torch.bool)
    known = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    precision: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if settings.autocast is not None:
        precision = torch.autocast("cpu", dtype=getattr(torch, settings.autocast))
    peaks: dict[str, int] = {}
    alive: list[int] = []
    with LiveBytes(known) as memory:

        def ends(part: str) -> None:
            peaks[part] = memory.peak
            memory.restart()

        def head_is_done(gradient: Tensor) -> None:
            ends("head_backward")
            alive.append(memory.live)

        def layers_are_done(module: Any, inputs: Any, output: Any) -> None:
            ends("forward")
            output[0].register_hook(head_is_done)

        def embedded(module: Any, inputs: Any, output: Any) -> None:
            if output.requires_grad:
                output.register_hook(lambda gradient: ends("backward"))

        base = causal_lm(model)
        base.base_model.register_forward_hook(layers_are_done)
        base.get_input_embeddings().register_forward_hook(embedded)
        for values in batch.values():
            if values is not None:
                memory.add(values)
        path = "shared" if settings.share_prompt else "chunked"
        with precision:
            scores = score_tokens(model, batch, path, statistics=True)
        ends("head_forward")
        scores.logps.backward(torch.empty_like(scores.logps))
        ends("embedding" if "backward" in peaks else "backward")
    head = base.get_output_embeddings().weight
    is_tied = head is base.get_input_embeddings().weight
    kept = alive[0] - (head.nbytes if is_tied and head.requires_grad else 0)
    return Rehearsal(kept, **{"embedding": memory.live, **peaks})


@contextlib.contextmanager
def _chunks_as_on(device: str) -> Iterator[None]:
    """Fake tensors are on the CPU, where the head would work in smaller chunks."""
    before = lm_head.CHUNK_BYTES
    lm_head.CHUNK_BYTES = {"cpu": before.get(device, lm_head.DEFAULT_CHUNK_BYTES)}
    try:
        yield
    finally:
        lm_head.CHUNK_BYTES = before


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
        seam.set_attention_implementation(config, "eager" if attention == "eager" else _ATTENTION)


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
    query head and the mask in the queries' precision; queries, keys, values, output and one sum a row are kept for the
    backward pass. Without tensors on a GPU torch would choose the kernel that keeps all scores."""
    groups = getattr(module, "num_key_value_groups", 1)
    if attention_mask is not None and groups > 1:
        key, value = seam.repeat_key_values(key, groups), seam.repeat_key_values(value, groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    bias = attention_mask
    if bias is not None and bias.dtype != query.dtype:
        bias = torch.zeros_like(bias, dtype=query.dtype)
    output = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, attention_mask is None, attn_mask=bias, scale=scaling
    )[0]
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attention)
