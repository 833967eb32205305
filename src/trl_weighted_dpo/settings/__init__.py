"""Every setting, once: a dataclass for each subject, whose fields have type, bounds, default and meaning.

Light: only the standard library, annotated-types and typing-extensions are imported. What follows from it: the options
of the commands (`cli/options.py`), the `weighted_dpo:` block (`axolotl/args.py`), the fields of the training config
(`training/config.py`), the keys of a recipe (`pipeline/options.py`) and the tables of the documentation
(`tools/docs_tables.py`).
"""

from trl_weighted_dpo.settings.audit import AuditConfig
from trl_weighted_dpo.settings.common import (
    DEFAULT_PROMPT_TEMPLATE,
    PoolRowsConfig,
    ReadingConfig,
    RenderingConfig,
    RowsConfig,
    WorkersConfig,
)
from trl_weighted_dpo.settings.evaluation import EvaluationConfig, ModelsConfig
from trl_weighted_dpo.settings.mining import AssessmentConfig, HardnessConfig, PairingConfig
from trl_weighted_dpo.settings.planning import PlanConfig
from trl_weighted_dpo.settings.problems import SourceConfig
from trl_weighted_dpo.settings.sampling import (
    BackendConfig,
    PoolConfig,
    SamplingConfig,
    ServerBackendConfig,
    TransformersBackendConfig,
    VLLMBackendConfig,
)
from trl_weighted_dpo.settings.scoring import ScoringConfig, ScoringModelConfig
from trl_weighted_dpo.settings.setting import Setting, setting_of, settings_of
from trl_weighted_dpo.settings.training import PairsConfig, TrainingConfig
from trl_weighted_dpo.settings.verification import CalibrationConfig, VerificationConfig
from trl_weighted_dpo.settings.weighting import WeighConfig, WeightingConfig

AXOLOTL_BLOCK = (WeightingConfig, TrainingConfig, PairingConfig, RenderingConfig, ReadingConfig)
"""Whose settings the `weighted_dpo:` block of an Axolotl YAML has."""

__all__ = [
    "AXOLOTL_BLOCK",
    "DEFAULT_PROMPT_TEMPLATE",
    "AssessmentConfig",
    "AuditConfig",
    "BackendConfig",
    "CalibrationConfig",
    "EvaluationConfig",
    "HardnessConfig",
    "ModelsConfig",
    "PairingConfig",
    "PairsConfig",
    "PlanConfig",
    "PoolConfig",
    "PoolRowsConfig",
    "ReadingConfig",
    "RenderingConfig",
    "RowsConfig",
    "SamplingConfig",
    "ScoringConfig",
    "ScoringModelConfig",
    "ServerBackendConfig",
    "Setting",
    "SourceConfig",
    "TrainingConfig",
    "TransformersBackendConfig",
    "VLLMBackendConfig",
    "VerificationConfig",
    "WeighConfig",
    "WeightingConfig",
    "WorkersConfig",
    "setting_of",
    "settings_of",
]
