"""Eight weighted pairs as a batch, and their log-probs under a model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from tests.tiny import tiny_pairs, tiny_tokenizer
from trl_weighted_dpo.training.collator import WeightedPreferenceCollator
from trl_weighted_dpo.training.forward import score_tokens
from trl_weighted_dpo.training.objective import completion_logps

PAIRS = 8
WEIGHTS = [0.5, 2.0, 1.25, 0.25, 1.0, 0.0, 1.5, 0.75]


def collated(rows: slice) -> dict[str, Any]:
    """The batch of these pairs, as the trainer's collator makes it."""
    tokenizer = tiny_tokenizer()
    examples = [
        {
            "prompt_ids": tokenizer(pair["prompt"])["input_ids"],
            "chosen_ids": tokenizer(pair["chosen"])["input_ids"],
            "rejected_ids": tokenizer(pair["rejected"])["input_ids"],
            "pair_weight": weight,
        }
        for pair, weight in zip(tiny_pairs(PAIRS)[rows], WEIGHTS[rows], strict=True)
    ]
    return WeightedPreferenceCollator(pad_token_id=0)(examples)


def in_float32(folder: Path) -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def without_dropout(model: nn.Module) -> nn.Module:
    """In training mode: for evaluation on a CPU bitsandbytes packs the weights for a kernel that rounds to bfloat16."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return model


@torch.no_grad()
def logps(model: nn.Module) -> Tensor:
    """Of the completions of the pairs: (16,), the chosen ones first."""
    scores = score_tokens(without_dropout(model), collated(slice(0, PAIRS)))
    return torch.cat(completion_logps(scores.logps, scores.mask, None))
