"""What the sharded and the whole model share: cases, and the loss of a batch."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.tiny import perturbed, tiny_model
from trl_weighted_dpo.training.forward import score_tokens
from trl_weighted_dpo.training.layout import with_layout
from trl_weighted_dpo.training.objective import Objective, PairLogps, completion_logps, pair_losses, weighted_mean


@dataclass(frozen=True)
class Case:
    tied: bool = False
    checkpointing: bool = False
    path: str = "shared"


CASES = {
    "untied": Case(),
    "tied": Case(tied=True),
    "checkpointing": Case(checkpointing=True),
    "tied-checkpointing": Case(tied=True, checkpointing=True),
    "chunked": Case(path="chunked"),
    "chunked-tied-checkpointing": Case(tied=True, checkpointing=True, path="chunked"),
    "model": Case(path="model"),
}


def model_of(case: Case) -> nn.Module:
    model = perturbed(tiny_model(tie_word_embeddings=case.tied)).train()
    if case.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def loss_of(model: nn.Module, batch: dict[str, Any], path: str) -> Tensor:
    """(1/B) Σ w ℓ with reference log-probs of −30 and −40, as from columns."""
    scores = score_tokens(model, with_layout(batch, path, 0), path, statistics=True)
    chosen, rejected = completion_logps(scores.logps, scores.mask, None)
    lengths = batch["completion_mask"].sum(dim=1).chunk(2)
    logps = PairLogps(
        chosen, rejected, torch.full_like(chosen, -30.0), torch.full_like(chosen, -40.0), *lengths, -chosen
    )
    return weighted_mean(pair_losses(logps, Objective()), batch["pair_weight"])
