"""`WeightedDPOConfig`, and the fields that it shares with the config class that Axolotl builds."""

from dataclasses import dataclass, field, fields

from trl import DPOConfig

from trl_weighted_dpo.weighting import WeightingConfig


@dataclass
class WeightingArguments:
    """The fields that weighted DPO adds to a training config.

    Args:
        weight_scheme (`str`, *optional*, defaults to `"auto"`):
            `"auto"` takes a `weight` column if there is one, else the pairs' signals, else weight 1. A name says which:
            `"uniform"`, `"column"`, `"verifier"` (the signals together), one signal or formula, a control, or a
            plugin's; see [`~weighting.WeightingConfig`].
        weight_lambda (`float`, *optional*, defaults to `0.3`):
            λ in [0, 1], how far the weights go from 1: 0 is uniform DPO.
        weight_clip_min, weight_clip_max (`float`, *optional*, default to `0.2` and `5.0`):
            Bounds of the normalised raw weight.
        weight_wrongness, weight_confidence_gap, weight_nll (`float`, *optional*, default to `1.0`):
            Coefficients of the three signals in the raw weight.
        weight_normalize_column (`bool`, *optional*, defaults to `False`):
            Whether a ready `weight` column is divided by its mean over the training set.
        weight_control_of (`str`, *optional*, defaults to `"verifier"`):
            The scheme whose raw weights the controls `"shuffled"` and `"inverse"` turn around.
        weight_shuffle_seed (`int`, *optional*, defaults to `42`):
            Seed of `"shuffled"`.
        ref_logps (`str`, *optional*, defaults to `"auto"`):
            Where reference log-probs come from: from the pairs' columns if they fit and else from the reference model
            (`"auto"`), from the columns or with an error (`"columns"`), or from the reference model (`"model"`).
        share_prompt (`str` or `bool`, *optional*, defaults to `"auto"`):
            Whether what the two sequences of a pair begin with goes through the model once: where it can (`"auto"`),
            always or with an error (`true`), or never (`false`). The numbers are the same.
        dpop_lambda (`float`, *optional*, defaults to `0.0`):
            λ ≥ 0 of DPO-Positive (arXiv 2402.13228, Eq. 3), against chosen completions that lose probability: λ max(0,
            log π_ref(y_w) − log π_θ(y_w)) is subtracted from Δ, inside β. The paper trains with 50; 0 is none.
        health_check (`bool`, *optional*, defaults to `True`):
            Whether the logs are looked at for signs of training that goes wrong; see [`~training.health`].
        health_early_stop (`bool`, *optional*, defaults to `False`):
            Whether the signs with which each further step makes the model worse stop training.
    """

    weight_scheme: str = field(
        default="auto",
        metadata={
            "help": "Which weights: 'auto' (a `weight` column, else the signals), or a scheme by name, such as "
            "'uniform', 'column' or 'verifier'."
        },
    )
    weight_lambda: float = field(
        default=0.3, metadata={"help": "λ in [0, 1]: how far the weights go from 1; 0 is uniform DPO."}
    )
    weight_clip_min: float = field(default=0.2, metadata={"help": "Lower bound of the normalised raw weight."})
    weight_clip_max: float = field(default=5.0, metadata={"help": "Upper bound of the normalised raw weight."})
    weight_wrongness: float = field(default=1.0, metadata={"help": "Coefficient of the wrongness in the raw weight."})
    weight_confidence_gap: float = field(
        default=1.0, metadata={"help": "Coefficient of the confidence gap in the raw weight."}
    )
    weight_nll: float = field(default=1.0, metadata={"help": "Coefficient of the relative NLL in the raw weight."})
    weight_normalize_column: bool = field(
        default=False, metadata={"help": "Divide a ready `weight` column by its mean over the training set."}
    )
    weight_control_of: str = field(
        default="verifier", metadata={"help": "Scheme that the controls 'shuffled' and 'inverse' turn around."}
    )
    weight_shuffle_seed: int = field(default=42, metadata={"help": "Seed of the scheme 'shuffled'."})
    ref_logps: str = field(
        default="auto",
        metadata={"help": "Reference log-probs: the pairs' 'columns', the 'model', or 'auto' (columns if they fit)."},
    )
    share_prompt: str = field(
        default="auto",
        metadata={
            "help": "Compute what a pair's sequences begin with once: 'auto' (where it can be), 'true' or 'false'."
        },
    )
    dpop_lambda: float = field(
        default=0.0,
        metadata={"help": "λ >= 0 of DPO-Positive, against chosen completions that lose probability; 0 is none."},
    )
    health_check: bool = field(
        default=True, metadata={"help": "Look at the logs for signs of training that goes wrong, and say so once."}
    )
    health_early_stop: bool = field(
        default=False, metadata={"help": "Stop training at signs with which each further step makes the model worse."}
    )


def weighting_config(arguments: WeightingArguments) -> WeightingConfig:
    """The checked settings of a config's weighting fields.

    Raises:
        `ValueError`: If a field is out of its range.
    """
    names = [item.name for item in fields(WeightingArguments) if item.name.startswith("weight_")]
    settings = {name.removeprefix("weight_"): getattr(arguments, name) for name in names}
    settings["lambda_"] = settings.pop("lambda")
    return WeightingConfig(**settings)


@dataclass
class WeightedDPOConfig(WeightingArguments, DPOConfig):
    """Configuration of [`~training.trainer.WeightedDPOTrainer`]: TRL's `DPOConfig` with the fields of
    [`WeightingArguments`]. Note TRL's defaults: bf16 and gradient checkpointing are on (set `bf16=False` on a CPU).

    Raises:
        `ValueError`: If a weighting field is out of its range.
    """

    def __post_init__(self) -> None:
        weighting_config(self)
        super().__post_init__()
