"""One forward pass over a batch of pairs → log-probs of the completion tokens, and what the metrics need of the logits.

The model is called as the trainer holds it (wrapped by DDP, DeepSpeed or FSDP), head included, so that the wrapper's
hooks fire; what follows touches no parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

STATISTICS_CHUNK = 1024
"""Completion tokens whose (chunk, vocabulary) statistics are computed at a time, to bound their memory."""


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
            `input_ids`, `attention_mask` and `completion_mask`, each (2B, T), as the collator makes them.
        statistics (`bool`, *optional*, defaults to `False`):
            Whether to compute entropy, mean logit and top-1 hits.
        wpo (`bool`, *optional*, defaults to `False`):
            Whether to compute the sum of squared probabilities that WPO needs.
        keep_outputs (`bool`, *optional*, defaults to `False`):
            Whether to return the model's own output too.
        model_kwargs (`Mapping[str, Any]`, *optional*):
            More arguments for the model's forward.
    """
    outputs = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False, **(model_kwargs or {})
    )
    labels = batch["input_ids"][:, 1:]
    mask = batch["completion_mask"][:, 1:].bool()
    # Prompt-learning adapters prepend virtual tokens: the last T − 1 scoring positions are those of the real tokens.
    logits = outputs.logits[:, -labels.size(1) - 1 : -1][mask]
    kept = outputs if keep_outputs else None
    del outputs
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    selected = logits.gather(1, labels[mask].unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    entropy = mean_logit = top1 = squares = None
    if statistics or wpo:
        parts = [_statistics(chunk, statistics, wpo) for chunk in logits.detach().split(STATISTICS_CHUNK)]
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        if wpo:
            squares = spread(columns.pop())
        if statistics:
            predicted, entropy, mean_logit = columns[0], spread(columns[1]), spread(columns[2])
            top1 = spread((predicted == labels[mask]).to(logits.dtype))
    return TokenScores(spread(selected), mask, entropy, mean_logit, top1, squares, kept)


@torch.no_grad()
def _statistics(logits: Tensor, statistics: bool, wpo: bool) -> tuple[Tensor, ...]:
    log_probs = logits.log_softmax(dim=1)
    columns: tuple[Tensor, ...] = ()
    if statistics:
        entropy = -(log_probs.exp() * log_probs).sum(dim=1)
        columns = (logits.argmax(dim=1), entropy, logits.mean(dim=1))
    return (*columns, (2 * log_probs).logsumexp(dim=1)) if wpo else columns
