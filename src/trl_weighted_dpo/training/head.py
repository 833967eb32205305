"""Log-probs of labels from hidden states, in chunks: the (positions, vocabulary) logits never exist as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor

CHUNK_BYTES = {"cpu": 30 * 2**20}
"""Bytes of the float32 logits of a chunk, by type of device. On a CPU glibc asks the kernel for each block of 32 MiB
or more, and gives it back, page by page."""
DEFAULT_CHUNK_BYTES = 256 * 2**20
LEAST_ROWS = 128
"""Positions of a chunk at least: with fewer, adding to the weight's gradient costs more than the product that is
added."""
_HAS_OUT_DTYPE = Version(torch.__version__) >= Version("2.8")
KEPT_BYTES = 256 * 2**20
"""Where the float32 logits of all positions together take no more than this, their exponentials are kept for the
gradient instead of being computed again, which saves a quarter of the head's products."""


@dataclass(frozen=True)
class LogitTransform:
    """What a model does to the output of its LM head: z → cap · tanh(scale · z / cap), or scale · z without a cap."""

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def slope_(self, gradient: Tensor, transformed: Tensor | None) -> Tensor:
        """Gradient with respect to the head's output, in place, from the one with respect to the transformed logits
        (which only a cap needs)."""
        if self.cap is not None:
            assert transformed is not None
            gradient.mul_(1 - (transformed / self.cap) ** 2)
        return gradient if self.scale == 1.0 else gradient.mul_(self.scale)


def logit_transform(config: Any) -> LogitTransform:
    """The transform of the Transformers models that have one: soft-capping (Gemma), a multiplier (Cohere, HyperCLOVA X
    and others) or a divisor (Granite, MiniCPM).

    Args:
        config (`PretrainedConfig`):
            Of the text model.
    """
    scale = 1.0
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            scale = float(getattr(config, name))
    scaling = getattr(config, "logits_scaling", None)
    if scaling is not None:
        scale = float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)
    return LogitTransform(scale, getattr(config, "final_logit_softcapping", None))


@dataclass(frozen=True)
class HeadOutput:
    """Of N positions; every tensor is (N,), in float32, or float64 where the model is.

    Args:
        logps: log π(label); carries the gradient.
        entropy, mean_logit, top1: Entropy of the distribution in nats, mean of the logits, and 1 where the label is the
            most likely token; `None` unless asked for.
        squares: log Σ_v π(v)²; `None` unless asked for.
    """

    logps: Tensor
    entropy: Tensor | None = None
    mean_logit: Tensor | None = None
    top1: Tensor | None = None
    squares: Tensor | None = None

    @classmethod
    def of(cls, logps: Tensor, others: Sequence[Tensor], statistics: bool, wpo: bool) -> "HeadOutput":
        """From what [`reduce_logits`] gives after the first two columns."""
        entropy, mean_logit, top1 = others[:3] if statistics else (None, None, None)
        return cls(logps, entropy, mean_logit, top1, others[-1] if wpo else None)


def score_labels(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    transform: LogitTransform,
    statistics: bool = False,
    wpo: bool = False,
) -> HeadOutput:
    """Score labels from hidden states, with exact gradients for hidden states, weight and bias.

    A chunk's logits are computed, reduced and dropped, and computed again for the gradient.

    Args:
        hidden (`Tensor`): (N, H) hidden states that predict the labels.
        weight (`Tensor`), bias (`Tensor` or `None`): (V, H) and (V,) of the LM head.
        labels (`Tensor`): (N,) token ids.
        transform ([`LogitTransform`]): What the model does to its logits.
        statistics (`bool`, *optional*, defaults to `False`): Whether to compute entropy, mean logit and top-1 hits.
        wpo (`bool`, *optional*, defaults to `False`): Whether to compute log Σ π².
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    with torch.autocast(device, enabled=False):
        logps, *others = _ChunkedLogProbs.apply(
            hidden.to(dtype), weight, bias, labels, transform, statistics, wpo, torch.is_grad_enabled()
        )
    return HeadOutput.of(logps, others, statistics, wpo)


class _ChunkedLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        transform: LogitTransform,
        statistics: bool,
        wpo: bool,
        has_gradient: bool,
    ) -> tuple[Tensor, ...]:
        dtype = hidden.dtype
        matrix, offset = weight.to(dtype), None if bias is None else bias.to(dtype)
        precise = torch.promote_types(dtype, torch.float32)
        keeps = has_gradient and transform.cap is None and 4 * len(labels) * len(weight) <= KEPT_BYTES
        ctx.kept = []
        columns: list[list[Tensor]] = []
        for part, target in _chunks(hidden, labels, len(weight)):
            logits = transform(_product(part, matrix.T, precise, offset))
            reduced, exponentials, total = reduce_logits(logits, target, statistics, wpo)
            columns.append(reduced)
            if keeps:
                ctx.kept.append((exponentials, total))
        if not columns:
            columns = [[hidden.new_empty(0, dtype=precise) for _ in range(2 + 3 * statistics + wpo)]]
        logps, normaliser, *others = (torch.cat(column) for column in zip(*columns, strict=True))
        ctx.save_for_backward(hidden, labels, normaliser)
        # As attributes: DeepSpeed ZeRO-3 empties parameters between forward and backward, and fills the same objects
        # again.
        ctx.weight, ctx.bias, ctx.transform = weight, bias, transform
        ctx.mark_non_differentiable(*others)
        ctx.set_materialize_grads(False)
        return (logps, *others)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Any, ...]:
        hidden, labels, normaliser = ctx.saved_tensors
        weight, bias, transform = ctx.weight, ctx.bias, ctx.transform
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        if gradient is None:
            return (None,) * 8
        matrix, offset = weight.to(hidden.dtype), None if bias is None else bias.to(hidden.dtype)
        hidden_gradient = torch.empty_like(hidden) if needs_hidden else None
        sums = normaliser.dtype
        start_at = torch.empty if len(labels) else torch.zeros
        weight_gradient = start_at(weight.shape, dtype=sums, device=weight.device) if needs_weight else None
        bias_gradient = torch.zeros(bias.shape, dtype=sums, device=bias.device) if needs_bias else None
        start = 0
        for number, (part, target) in enumerate(_chunks(hidden, labels, len(weight))):
            rows = slice(start, start + len(part))
            start = rows.stop
            inflow = gradient[rows].unsqueeze(1)
            logits = None
            if ctx.kept:
                exponentials, total = ctx.kept[number]
                slope = exponentials * (-inflow / total.unsqueeze(1))
            else:
                logits = transform(_product(part, matrix.T, sums, offset))
                slope = logits.sub(normaliser[rows].unsqueeze(1)).exp_().mul_(-inflow)
            slope.scatter_add_(1, target.unsqueeze(1), inflow)
            slope = transform.slope_(slope, logits)
            del logits
            if bias_gradient is not None:
                bias_gradient += slope.sum(dim=0)
            slope = slope.to(hidden.dtype)
            if hidden_gradient is not None:
                torch.mm(slope, matrix, out=hidden_gradient[rows])
            if weight_gradient is not None:
                _add_product(weight_gradient, slope.T, part, is_first=number == 0)
        if weight_gradient is not None:
            weight_gradient = weight_gradient.to(weight.dtype)
        if bias_gradient is not None:
            bias_gradient = bias_gradient.to(bias.dtype)
        return hidden_gradient, weight_gradient, bias_gradient, None, None, None, None, None


def _chunks(hidden: Tensor, labels: Tensor, vocabulary: int) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(CHUNK_BYTES.get(hidden.device.type, DEFAULT_CHUNK_BYTES) // (4 * vocabulary), LEAST_ROWS)
    if len(labels):
        yield from zip(hidden.split(size), labels.split(size), strict=True)


def reduce_logits(logits: Tensor, labels: Tensor, statistics: bool, wpo: bool) -> tuple[list[Tensor], Tensor, Tensor]:
    """Reduce a chunk of (n, V) logits.

    Returns:
        Columns, each (n,): log-prob of the label, log-normaliser, then, if asked for, entropy, mean logit and top-1
        hits, and log Σ π². Besides, exp(logits − their maximum), (n, V), and its sums, (n,).
    """
    peak = logits.amax(dim=1)
    exponentials = (logits - peak.unsqueeze(1)).exp_()
    total = exponentials.sum(dim=1)
    normaliser = peak + total.log()
    chosen = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    columns = [chosen - normaliser, normaliser]
    if statistics:
        # H = log Z − Σ p z
        entropy = normaliser - torch.linalg.vecdot(exponentials, logits) / total
        columns += [entropy, logits.mean(dim=1), (chosen >= peak).to(logits.dtype)]
    if wpo:
        columns.append(torch.linalg.vecdot(exponentials, exponentials).log() - 2 * total.log())
    return columns, exponentials, total


def _product(left: Tensor, right: Tensor, dtype: torch.dtype, offset: Tensor | None) -> Tensor:
    """left @ right (+ offset) in a dtype; of factors in half precision it is not rounded in between on a GPU."""
    if dtype != left.dtype and left.is_cuda and _HAS_OUT_DTYPE:
        product = torch.mm(left, right, out_dtype=dtype)
        return product if offset is None else product.add_(offset)
    product = left @ right if offset is None else torch.addmm(offset, left, right)
    return product.to(dtype)


def _add_product(total: Tensor, left: Tensor, right: Tensor, is_first: bool) -> None:
    """total += left @ right, or = for the first; a sum in float32 of products of half precision is not rounded in
    between on a GPU."""
    beta = 0 if is_first else 1
    if total.dtype == right.dtype:
        total.addmm_(left, right, beta=beta)
    elif total.is_cuda and _HAS_OUT_DTYPE:
        torch.addmm(total, left, right, beta=beta, out_dtype=total.dtype, out=total)
    else:
        product = left @ right
        total.copy_(product) if is_first else total.add_(product)
