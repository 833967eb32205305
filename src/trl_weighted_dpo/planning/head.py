"""The LM head on completion positions, in chunks whose logits are computed again in the backward pass."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

HEAD_CHUNK = 1024
"""Positions of a chunk."""


def chunked_scores(head: Any, hidden: Tensor, labels: Tensor, chunk: int = HEAD_CHUNK) -> Tensor:
    """Log-probs of labels, as the trainer's forward computes them, for what memory they take.

    Args:
        head (`nn.Module`): The model's output embedding.
        hidden (`Tensor`): (positions, width) last hidden states.
        labels (`Tensor`): (positions,) token ids.
        chunk (`int`, *optional*, defaults to `HEAD_CHUNK`): Positions whose logits are there at a time.
    """
    parts = zip(hidden.split(chunk), labels.split(chunk), strict=True)
    return torch.cat(
        [checkpoint(_scores, head, states, ids, use_reentrant=False, preserve_rng_state=False) for states, ids in parts]
    )


def _scores(head: Any, hidden: Tensor, labels: Tensor) -> Tensor:
    logits = head(hidden).float()
    _statistics(logits.detach())
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)


@torch.no_grad()
def _statistics(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_probs = logits.log_softmax(dim=1)
    return -(log_probs.exp() * log_probs).sum(dim=1), logits.mean(dim=1), logits.argmax(dim=1)
