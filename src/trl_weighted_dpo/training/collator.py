"""Batches of pairs: TRL's padding, plus the pairs' weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from trl.trainer.dpo_trainer import DataCollatorForPreference

from trl_weighted_dpo import schema
from trl_weighted_dpo.training.layout import lay_out


@dataclass
class WeightedPreferenceCollator(DataCollatorForPreference):
    """TRL's `DataCollatorForPreference` that carries each pair's weight into the batch, which the stock one drops.

    Examples need `prompt_ids`, `chosen_ids`, `rejected_ids` (lists of token ids) and `pair_weight` (a finite number
    ≥ 0, as the trainer computes it). The batch gains `pair_weight`, a float32 tensor of shape (B,), in the order of
    the pairs, and what [`~training.layout.lay_out`] makes.

    Args:
        share_prompt (`bool`, *optional*, defaults to `False`):
            Whether the batch is laid out for shared prompts. The trainer sets it.

    Raises:
        [`~schema.SchemaError`]: If a weight is missing, not finite or negative.
    """

    share_prompt: bool = False

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        batch[schema.PAIR_WEIGHT] = torch.tensor([_weight(example) for example in examples], dtype=torch.float32)
        return {**batch, **lay_out(batch, self.share_prompt, self.pad_token_id)}


def _weight(example: dict[str, Any]) -> float:
    weight = example.get(schema.PAIR_WEIGHT)
    if weight is None or not math.isfinite(weight) or weight < 0:
        raise schema.SchemaError(
            f"A pair reached the collator with column {schema.PAIR_WEIGHT!r}: {weight!r}. A weight is a finite number "
            ">= 0; let WeightedDPOTrainer prepare the dataset."
        )
    return float(weight)
