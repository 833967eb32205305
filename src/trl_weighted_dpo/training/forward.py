"""One forward pass over a batch of pairs → log-probs of the completion tokens, and what the metrics need of the logits.

Three ways lead to the same numbers (see [`~training.paths`] for which is taken):

* `"shared"`: what the two sequences of a pair begin with is computed once, and the LM head reads completion positions
  only.
* `"chunked"`: a row for each sequence; the LM head reads completion positions only.
* `"model"`: the model's own forward, with all logits.

In the first two the model is called as the trainer holds it (wrapped by DDP, DeepSpeed, FSDP or PEFT), so that the
wrapper's hooks fire, and within that call the causal LM's `forward` and that of its head are replaced for the time of
the call.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel, is_peft_model
from torch import Tensor, nn

from trl_weighted_dpo.training import layout
from trl_weighted_dpo.training.head import HeadOutput, LogitTransform, logit_transform, reduce_logits, score_labels
from trl_weighted_dpo.training.masks import attention_masks, layer_kinds

STATISTICS_CHUNK = 1024
"""Completion tokens whose (chunk, vocabulary) statistics are computed at a time where the model makes all logits, to
bound their memory."""


@dataclass(frozen=True)
class TokenScores:
    """Scores of a batch that stacks B chosen over B rejected sequences of T tokens; position t scores token t + 1.

    Args:
        logps (`Tensor`): (2B, T−1) log π(token | before), 0 outside the completions; carries the gradient.
        mask (`Tensor`): (2B, T−1) boolean, true where the scored token belongs to the completion.
        entropy, mean_logit, top1 (`Tensor` or `None`): (2B, T−1) entropy of the next-token distribution in nats, mean
            of the logits, and 1 where the token is the most likely one; 0 outside the completions, without gradient.
            `None` unless asked for.
        wpo (`Tensor` or `None`): (2B, T−1) log Σ_v π(v)², for WPO's weights; `None` unless asked for.
        outputs: The model's own output; `None` unless asked for, since its logits are the largest thing in memory.
    """

    logps: Tensor
    mask: Tensor
    entropy: Tensor | None
    mean_logit: Tensor | None
    top1: Tensor | None
    wpo: Tensor | None
    outputs: Any


def score_tokens(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    path: str = "model",
    *,
    statistics: bool = False,
    wpo: bool = False,
    keep_outputs: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
) -> TokenScores:
    """Run the model over a batch and score its completion tokens.

    Args:
        model (`nn.Module`):
            Causal language model, wrapped or not.
        batch (`Mapping[str, Tensor]`):
            `input_ids`, `attention_mask` and `completion_mask`, each (2B, T), and, unless `path` is `"model"`, what
            [`~training.layout.lay_out`] makes of them.
        path (`str`, *optional*, defaults to `"model"`):
            `"shared"`, `"chunked"` or `"model"`.
        statistics (`bool`, *optional*, defaults to `False`):
            Whether to compute entropy, mean logit and top-1 hits.
        wpo (`bool`, *optional*, defaults to `False`):
            Whether to compute the sum of squared probabilities that WPO needs.
        keep_outputs (`bool`, *optional*, defaults to `False`):
            Whether to return the model's own output too; with `"model"` only.
        model_kwargs (`Mapping[str, Any]`, *optional*):
            More arguments for the model's forward; with `"model"` only.
    """
    mask = batch["completion_mask"][:, 1:].bool()
    if path != "model":
        found = _run_replaced(model, batch, path, statistics, wpo)
        index = batch[layout.score_names(path)[2]]

        def spread(values: Tensor) -> Tensor:
            return torch.cat([values, values.new_zeros(1)]).to(index.device)[index]

        kept = None
    else:
        outputs = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
            **(model_kwargs or {}),
        )
        labels = batch["input_ids"][:, 1:]
        # Prompt-learning adapters prepend virtual tokens: the last T − 1 scoring positions are those of the real
        # tokens.
        logits = outputs.logits[:, -labels.size(1) - 1 : -1][mask]
        kept = outputs if keep_outputs else None
        del outputs
        found = _score_logits(logits, labels[mask], statistics, wpo)

        def spread(values: Tensor) -> Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

    entropy, mean_logit, top1, squares = (
        None if values is None else spread(values)
        for values in (found.entropy, found.mean_logit, found.top1, found.squares)
    )
    return TokenScores(spread(found.logps), mask, entropy, mean_logit, top1, squares, kept)


def causal_lm(model: nn.Module) -> Any:
    """The language model inside what DDP, DeepSpeed, FSDP and PEFT wrap around it."""
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    return inner.get_base_model() if is_peft_model(inner) else inner


def _run_replaced(model: nn.Module, batch: Mapping[str, Tensor], path: str, statistics: bool, wpo: bool) -> HeadOutput:
    base = causal_lm(model)
    config = base.config.get_text_config()
    transform = logit_transform(config)
    places, labels = (batch[name] for name in layout.score_names(path)[:2])

    def forward(*args: Any, **kwargs: Any) -> tuple[Tensor | None, ...]:
        given = {name: value for name, value in kwargs.items() if value is not None}
        hidden = base.base_model(*args, **given)[0]
        head = base.get_output_embeddings()
        picked = hidden.reshape(-1, hidden.size(-1)).index_select(0, places.to(hidden.device))
        with contextlib.ExitStack() as stack:
            # An adapter may keep a trained copy beside the original head; the one that is active is called.
            for linear in (module for module in head.modules() if isinstance(module, nn.Linear)):
                scored = _labels_scorer(linear, labels, transform, statistics, wpo)
                stack.enter_context(_replaced(linear, scored))
            return head(picked)

    if path == "shared":
        positions = batch[layout.SHARED_POSITIONS]
        device = positions.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else base.dtype
        inputs = {
            "input_ids": batch[layout.SHARED_IDS],
            "attention_mask": attention_masks(batch[layout.SHARED_SEGMENTS], positions, layer_kinds(config), dtype),
            "position_ids": positions,
        }
    else:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with _replaced(base, forward):
        return HeadOutput(*model(**inputs, use_cache=False))


def _labels_scorer(
    linear: nn.Linear, labels: Tensor, transform: LogitTransform, statistics: bool, wpo: bool
) -> Callable[[Tensor], tuple[Tensor | None, ...]]:
    def forward(hidden: Tensor) -> tuple[Tensor | None, ...]:
        # With the model split over devices, the backbone may end on another one than the head.
        device = linear.weight.device
        found = score_labels(
            hidden.to(device), linear.weight, linear.bias, labels.to(device), transform, statistics, wpo
        )
        return found.logps, found.entropy, found.mean_logit, found.top1, found.squares

    return forward


@contextlib.contextmanager
def _replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """The module with another `forward` for a while. What stands in the instance (accelerate's wrapper for autocast,
    hooks for devices) is put back."""
    absent = object()
    before = vars(module).get("forward", absent)
    module.forward = forward
    try:
        yield
    finally:
        if before is absent:
            del module.forward
        else:
            module.forward = before


def _score_logits(logits: Tensor, labels: Tensor, statistics: bool, wpo: bool) -> HeadOutput:
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    logps = logits.gather(1, labels.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)
    if not statistics and not wpo:
        return HeadOutput(logps)
    with torch.no_grad():
        parts = [
            reduce_logits(*part, statistics, wpo)[0]
            for part in zip(logits.detach().split(STATISTICS_CHUNK), labels.split(STATISTICS_CHUNK), strict=True)
        ]
        _, _, *others = (torch.cat(column) for column in zip(*parts, strict=True))
    return HeadOutput.of(logps, others, statistics, wpo)
