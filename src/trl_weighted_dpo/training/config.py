"""`WeightedDPOConfig`, and the fields that it shares with the config class that Axolotl builds.

The fields are written out, so that editors and type checkers know them; defaults and help come from
[`~settings.WeightingConfig`] and [`~settings.TrainingConfig`].
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from trl import DPOConfig

from trl_weighted_dpo.settings import TrainingConfig, WeightingConfig, setting_of
from trl_weighted_dpo.settings.training import training_fields


def declared(config: type, name: str) -> Any:
    """A field of a config class of TRL, with the default and the help of a setting."""
    setting = setting_of(config, name)
    # A list has no default but none: fields of dataclasses take no mutable one.
    return field(default=setting.default, metadata={"help": setting.help.replace("%", "%%")})


@dataclass
class WeightedTrainingConfig:
    """The fields that weighted DPO adds to a training config: the settings of weighting with the prefix `weight_`, and
    those of training."""

    weight_scheme: str = declared(WeightingConfig, "scheme")
    weight_lambda: float = declared(WeightingConfig, "lambda_")
    weight_clip_min: float = declared(WeightingConfig, "clip_min")
    weight_clip_max: float = declared(WeightingConfig, "clip_max")
    weight_severity: float = declared(WeightingConfig, "severity")
    weight_confidence_gap: float = declared(WeightingConfig, "confidence_gap")
    weight_nll: float = declared(WeightingConfig, "nll")
    weight_score_direction: Literal["rising", "falling"] = declared(WeightingConfig, "score_direction")
    weight_normalize_column: bool = declared(WeightingConfig, "normalize_column")
    weight_control_of: str = declared(WeightingConfig, "control_of")
    weight_shuffle_seed: int = declared(WeightingConfig, "shuffle_seed")
    ref_logps: Literal["auto", "columns", "model"] = declared(TrainingConfig, "ref_logps")
    # A command line has text, a YAML and Python have true and false.
    share_prompt: str = declared(TrainingConfig, "share_prompt")
    dpop_lambda: float = declared(TrainingConfig, "dpop_lambda")
    health_check: bool = declared(TrainingConfig, "health_check")
    health_early_stop: bool = declared(TrainingConfig, "health_early_stop")


def weighting_config(arguments: WeightedTrainingConfig) -> WeightingConfig:
    """The checked settings of a config's weighting fields.

    Raises:
        `ValueError`: If a field is out of its range.
    """
    fields = training_fields().items()
    return WeightingConfig(
        **{setting.name: getattr(arguments, field) for field, setting in fields if setting.owner is WeightingConfig}
    )


@dataclass
class WeightedDPOConfig(WeightedTrainingConfig, DPOConfig):
    """Configuration of [`~training.trainer.WeightedDPOTrainer`]: TRL's `DPOConfig` with the fields of
    [`WeightedTrainingConfig`]. Note TRL's defaults: bf16 and gradient checkpointing are on (set `bf16=False` on a CPU).

    Raises:
        `ValueError`: If a weighting field is out of its range.
    """

    def __post_init__(self) -> None:
        weighting_config(self)
        super().__post_init__()
