"""Batches of pairs: TRL's padding, plus the pairs' weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from trl.trainer.dpo_trainer import DataCollatorForPreference

from trl_weighted_dpo import schema


@dataclass
class WeightedPreferenceCollator(DataCollatorForPreference):
    """TRL's `DataCollatorForPreference` that carries each pair's weight into the batch, which the stock one drops.

    Examples need `prompt_ids`, `chosen_ids`, `rejected_ids` (lists of token ids) and `pair_weight` (a finite number
    ≥ 0, as the trainer computes it). The batch gains `pair_weight`, a float32 tensor of shape (B,), in the order of
    the pairs.

    Raises:
        [`~schema.SchemaError`]: If a weight is missing, not finite or negative.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        batch[schema.PAIR_WEIGHT] = torch.tensor([_weight(example) for example in examples], dtype=torch.float32)
        return batch


def _weight(example: dict[str, Any]) -> float:
    weight = example.get(schema.PAIR_WEIGHT)
    if weight is None or not math.isfinite(weight) or weight < 0:
        raise schema.SchemaError(
            f"A pair reached the collator with column {schema.PAIR_WEIGHT!r}: {weight!r}. A weight is a finite number "
            ">= 0; let WeightedDPOTrainer prepare the dataset."
        )
    return float(weight)
