"""The `weighted_dpo:` block of an Axolotl YAML."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE, read_chat_template_kwargs
from trl_weighted_dpo.mining.config import PairingConfig
from trl_weighted_dpo.mining.hardness import HardnessConfig
from trl_weighted_dpo.weighting import check_control_of, check_scheme

PAIRING_FIELDS = tuple(PairingConfig.__dataclass_fields__)
MINING_FIELDS = (*PAIRING_FIELDS, "prompt_template", "system_prompt", "chat_template_kwargs")
"""Settings that decide which pairs there are and how they read."""

TRAINING_FIELDS = {
    "scheme": "weight_scheme",
    "lambda_": "weight_lambda",
    "clip_min": "weight_clip_min",
    "clip_max": "weight_clip_max",
    "wrongness": "weight_wrongness",
    "confidence_gap": "weight_confidence_gap",
    "nll": "weight_nll",
    "normalize_column": "weight_normalize_column",
    "control_of": "weight_control_of",
    "shuffle_seed": "weight_shuffle_seed",
    "ref_logps": "ref_logps",
    "share_prompt": "share_prompt",
    "dpop_lambda": "dpop_lambda",
    "health_check": "health_check",
    "health_early_stop": "health_early_stop",
}
"""The other settings, and the field of the training config ([`~training.config.WeightingArguments`]) that each is."""


class HardnessSettings(BaseModel):
    """What hardness is made of: `hardness:` in the `weighted_dpo:` block."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    confidence_floor: float = Field(default=0.1, ge=0.0, le=1.0, description="Least confidence")
    steps: float = Field(default=0.3, ge=0.0, description="Weight of similar steps in proximity")
    equations: float = Field(default=0.3, ge=0.0, description="Weight of similar equations in proximity")
    prefix: float = Field(default=0.2, ge=0.0, description="Weight of a shared beginning in proximity")
    answer: float = Field(default=0.2, ge=0.0, description="Weight of near answers in proximity")
    wrongness: float = Field(default=1.0, ge=0.0, description="Weight of wrongness in the flaw")
    severity: float = Field(default=1.0, ge=0.0, description="Weight of severity in the flaw")
    absurdity: float = Field(default=1.0, ge=0.0, description="Weight of absurdity in the flaw")
    confidence_power: float = Field(default=1.0, ge=0.0, description="Exponent of confidence; 0 leaves it out")
    proximity_power: float = Field(default=1.0, ge=0.0, description="Exponent of proximity; 0 leaves it out")
    flaw_power: float = Field(default=1.0, ge=0.0, description="Exponent of the flaw; 0 leaves it out")
    function: str = Field(default="product", description="Name of the hardness function; plugins may bring others")


class WeightedDPOSettings(BaseModel):
    """Nested configuration available under the `weighted_dpo` key."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, allow_inf_nan=False)

    # Weights
    scheme: Annotated[str, AfterValidator(check_scheme)] = Field(
        default="auto",
        description="Which weights: a `weight` column if there is one, else the pairs' signals (`auto`); 1 (`uniform`);"
        " the `weight` column (`column`); the signals together (`verifier`); one of them; a control; a plugin's",
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
    control_of: Annotated[str, AfterValidator(check_control_of)] = Field(
        default="verifier", description="Scheme that the controls `shuffled` and `inverse` turn around"
    )
    shuffle_seed: int = Field(default=42, ge=0, lt=2**32, description="Seed of the scheme `shuffled`")

    # Reference
    ref_logps: Literal["auto", "columns", "model"] = Field(
        default="auto",
        description="Reference log-probs: the pairs' columns if they fit, else the model's (`auto`); the columns or an"
        " error (`columns`); the model's (`model`)",
    )

    # Objective
    dpop_lambda: float = Field(
        default=0.0,
        ge=0.0,
        description="λ of DPO-Positive, against chosen completions that lose probability; 0 is none",
    )

    # Health
    health_check: bool = Field(
        default=True, description="Look at the logs for signs of training that goes wrong, and say so once"
    )
    health_early_stop: bool = Field(
        default=False, description="Stop training at signs with which each further step makes the model worse"
    )

    # Speed
    share_prompt: Literal["auto"] | bool = Field(
        default="auto",
        description="Whether what a pair's sequences begin with is computed once: where it can be (`auto`), always or"
        " with an error (`true`), or never (`false`)",
    )

    # Mining, for `type: trl_weighted_dpo.hard_negatives`
    pairs_per_problem: int = Field(default=1, ge=0, description="Pairs made of one problem, at most")
    strategy: Literal["hard", "random", "easiest", "hard+random"] = Field(
        default="hard", description="Which negatives come first"
    )
    random_share: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of random negatives of `hard+random`")
    chosen: Literal["cleanest", "nearest", "most_confident", "reference_solution", "random"] = Field(
        default="cleanest", description="Which correct candidate is chosen"
    )
    flawed_per_problem: int = Field(
        default=0, ge=0, description="Besides, pairs that reject a right answer reached by flawed reasoning"
    )
    min_quantile: float = Field(default=0.0, ge=0.0, lt=1.0, description="Least hardness, as a quantile of the pool")
    max_quantile: float = Field(default=1.0, gt=0.0, le=1.0, description="Greatest hardness, as a quantile")
    match_lengths: bool = Field(default=False, description="Drop pairs until length does not tell the chosen one")
    max_candidates: int = Field(default=64, ge=2, description="Candidates of a problem that are looked at")
    hardness: HardnessSettings = Field(default_factory=HardnessSettings, description="What hardness is made of")
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
    chat_template_kwargs: Annotated[dict[str, Any], BeforeValidator(read_chat_template_kwargs)] = Field(
        default_factory=dict,
        description="Variables of the chat template, such as `enable_thinking: false`; a mapping, or JSON",
    )

    @model_validator(mode="after")
    def _check_pairing(self) -> "WeightedDPOSettings":
        self.pairing  # noqa: B018  (checks what depends on several fields)
        return self

    @property
    def pairing(self) -> PairingConfig:
        """The mining settings."""
        values = {name: getattr(self, name) for name in PAIRING_FIELDS}
        return PairingConfig(**values | {"hardness": HardnessConfig(**self.hardness.model_dump())})


class WeightedDPOArgs(BaseModel):
    """Plugin entry that exposes the nested `weighted_dpo` block to the core config."""

    weighted_dpo: WeightedDPOSettings | None = Field(
        default=None, description="Weighted DPO: weights of the pairs, and mining of pairs from a pool"
    )
