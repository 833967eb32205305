"""The `weighted_dpo:` block of an Axolotl YAML."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trl_weighted_dpo.mining.pairing import PairingConfig
from trl_weighted_dpo.mining.rendering import DEFAULT_PROMPT_TEMPLATE

MINING_FIELDS = (
    "pairs_per_problem",
    "chosen_fallback",
    "seed",
    "allow_weak_answers",
    "prompt_template",
    "system_prompt",
)
"""Settings that decide which pairs there are and how they read; the others only weigh them."""


class WeightedDPOSettings(BaseModel):
    """Nested configuration available under the `weighted_dpo` key."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    # Weights
    scheme: Literal["auto", "uniform", "verifier", "column"] = Field(
        default="auto",
        description="Which weights: a `weight` column if there is one, else the pairs' signals (`auto`); 1 (`uniform`);"
        " the signals (`verifier`); the `weight` column (`column`)",
    )
    lambda_: float = Field(
        default=0.3, ge=0.0, le=1.0, alias="lambda", description="How far weights go from 1; 0 is uniform DPO"
    )
    clip_min: float = Field(default=0.2, ge=0.0, le=1.0, description="Lower bound of the normalised raw weight")
    clip_max: float = Field(default=5.0, ge=1.0, description="Upper bound of the normalised raw weight")
    wrongness: float = Field(default=1.0, ge=0.0, description="Coefficient of the rejected completion's wrongness")
    confidence_gap: float = Field(default=1.0, ge=0.0, description="Coefficient of the confidence gap")
    nll: float = Field(default=1.0, ge=0.0, description="Coefficient of the rejected completion's relative NLL")
    normalize_column: bool = Field(default=False, description="Divide a `weight` column by its mean")

    # Mining, for `type: trl_weighted_dpo.hard_negatives`
    pairs_per_problem: int = Field(default=1, ge=1, description="Pairs made of one problem, at most")
    chosen_fallback: Literal["none", "reference_solution"] = Field(
        default="none", description="What is chosen where no candidate is correct"
    )
    seed: int = Field(default=PairingConfig.seed, description="Seed of the choice among candidates")
    allow_weak_answers: bool = Field(
        default=False, description="Reject also by wrong answers that were guessed, because no answer line gives them"
    )
    prompt_template: str = Field(
        default=DEFAULT_PROMPT_TEMPLATE,
        description="How a problem becomes a prompt where the tokenizer has no chat template; holds {problem}",
    )
    system_prompt: str | None = Field(
        default=None, description="System message where the tokenizer has a chat template"
    )


class WeightedDPOArgs(BaseModel):
    """Plugin entry that exposes the nested `weighted_dpo` block to the core config."""

    weighted_dpo: WeightedDPOSettings | None = Field(
        default=None, description="Weighted DPO: weights of the pairs, and mining of pairs from a pool"
    )
