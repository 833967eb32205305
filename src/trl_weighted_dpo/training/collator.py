"""Batches of pairs: TRL's padding, plus what the pairs bring for their loss and its metrics."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.training.layout import LEAST_ROW_MULTIPLE, lay_out
from trl_weighted_dpo.training.trl_seam import DataCollatorForPreference
from trl_weighted_dpo.weighting.columns import read_column

CARRIED = (schema.PAIR_WEIGHT, *schema.LOSS_COLUMNS, schema.HARDNESS)
"""Columns of numbers that a batch has beside the tokens."""


@dataclass
class WeightedPreferenceCollator(DataCollatorForPreference):
    """TRL's `DataCollatorForPreference` that carries each pair's weight into the batch, which the stock one drops.

    Examples need `prompt_ids`, `chosen_ids`, `rejected_ids` (lists of token ids) and `pair_weight` (a finite number
    ≥ 0, as the trainer computes it); they may have `dpo_margin` (finite), `dpo_beta` (> 0) and `hardness`. The batch
    gains those that there are as float32 tensors of shape (B,), in the order of the pairs (a hardness that is no number
    is NaN), and what [`~training.layout.lay_out`] makes.

    Args:
        share_prompt (`bool`, *optional*, defaults to `False`):
            Whether the batch is laid out for shared prompts. The trainer sets it.
        row_multiple (`int`, *optional*, defaults to `8`):
            What the length of shared rows is a multiple of. The trainer sets it.

    Raises:
        [`~core.checks.SchemaError`]: If a weight is missing, not finite or negative, or a `dpo_margin` or `dpo_beta` is
            missing in some of the pairs or out of its range.
    """

    share_prompt: bool = False
    row_multiple: int = LEAST_ROW_MULTIPLE

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        columns: dict[str, Any] = {schema.PAIR_WEIGHT: [_weight(example) for example in examples]}
        for name in (*schema.LOSS_COLUMNS, schema.HARDNESS):
            if not any(name in example for example in examples):
                continue
            values = [example.get(name) for example in examples]
            if name == schema.HARDNESS:
                columns[name] = [value if isinstance(value, int | float) else math.nan for value in values]
            else:
                columns[name] = read_column(values, name, "a batch")
        tensors = {name: torch.tensor(values, dtype=torch.float32) for name, values in columns.items()}
        return {**batch, **tensors, **lay_out(batch, self.share_prompt, self.pad_token_id, self.row_multiple)}


def _weight(example: dict[str, Any]) -> float:
    weight = example.get(schema.PAIR_WEIGHT)
    if weight is None or not math.isfinite(weight) or weight < 0:
        raise SchemaError(
            f"A pair reached the collator with column {schema.PAIR_WEIGHT!r}: {weight!r}. A weight is a finite number "
            ">= 0; let WeightedDPOTrainer prepare the dataset."
        )
    return float(weight)
