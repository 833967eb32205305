"""The plugin: turns `rl: weighted_dpo` into what Axolotl's own DPO path runs.

Only `register` comes before Axolotl checks the YAML, and its `rl` is a closed list, so that is where the mode is
switched on. This module stays light: Axolotl freezes its training-argument mixins when `axolotl.core.training_args` is
first imported, and that must not happen before every plugin is registered.
"""

from collections.abc import Mapping
from typing import Any

from axolotl.integrations.base import BasePlugin
from axolotl.utils.logging import get_logger

from trl_weighted_dpo.axolotl.cache import prepared_path
from trl_weighted_dpo.axolotl.support import LORA_KERNELS, check_config
from trl_weighted_dpo.settings import PairingConfig

LOG = get_logger(__name__)

MODE = "weighted_dpo"
PLUGIN = "WeightedDPOPlugin"
TRAINER = "trl_weighted_dpo.axolotl.trainer.AxolotlWeightedDPOTrainer"


def is_active(cfg: Mapping[str, Any]) -> bool:
    """Whether a registered config is in weighted-DPO mode."""
    return cfg.get("trainer_cls") == TRAINER


class WeightedDPOPlugin(BasePlugin):
    """Weighted DPO for Axolotl. Does nothing unless the YAML lists it and says `rl: weighted_dpo`."""

    def register(self, cfg: dict[str, Any]) -> None:
        """Switch the mode on in the raw YAML. May run more than once for the same config.

        Raises:
            `ValueError`: If the YAML asks for something that does not go with weighted DPO; says what to do instead.
        """
        if not any(str(name).endswith(PLUGIN) for name in cfg.get("plugins") or ()):
            return
        if cfg.get("rl") != MODE and not is_active(cfg):
            if cfg.get(MODE):
                raise ValueError(
                    f"The YAML has a `{MODE}:` block but `rl: {cfg.get('rl')}`. Set `rl: {MODE}`, or remove the block."
                )
            return
        if cfg.get("trainer_cls") not in (None, TRAINER):
            raise ValueError(
                f"The YAML sets `trainer_cls: {cfg['trainer_cls']}`, but `rl: {MODE}` brings its own trainer. Remove "
                f"`trainer_cls`, or derive your trainer from {TRAINER} and use it in a Python script."
            )
        check_config(cfg)
        if (
            cfg.get("val_set_size")
            and (cfg.get(MODE) or {}).get("pairs_per_problem", PairingConfig.pairs_per_problem) > 1
        ):
            LOG.warning(
                "`val_set_size` splits pairs, not problems: with `pairs_per_problem` above 1, problems of the "
                "validation pairs are trained on too. Use `test_datasets` with problems of their own."
            )
        cfg["rl"] = "dpo"
        cfg["trainer_cls"] = TRAINER
        cfg[MODE] = dict(cfg.get(MODE) or {})
        for kernel in LORA_KERNELS:
            cfg[kernel] = False
        cfg["dataset_prepared_path"] = prepared_path(cfg)

    def get_input_args(self) -> str:
        return "trl_weighted_dpo.axolotl.args.WeightedDPOArgs"

    def get_training_args_mixin(self) -> str:
        return "trl_weighted_dpo.training.config.WeightedTrainingConfig"

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        """Check the rows of local data before Axolotl shuffles and maps them, so that messages name file and row.

        Returns nothing: Axolotl then loads the data as ever.

        Raises:
            [`~core.checks.SchemaError`]: If a row is not a pool row or a pair; names file, row, column and value.
        """
        if is_active(cfg):
            from trl_weighted_dpo.axolotl.datasets import check_local_data

            check_local_data(cfg)

    def pre_model_load(self, cfg: Any) -> None:
        """Check again what Axolotl's own validation may have switched on."""
        if is_active(cfg):
            check_config(cfg)

    def get_training_args(self, cfg: Any) -> dict[str, Any] | None:
        """The `weighted_dpo:` block's training settings, as fields of the training config.

        Raises:
            `RuntimeError`: If Axolotl froze its training arguments before this plugin was registered.
        """
        if not is_active(cfg):
            return None
        from axolotl.core.trainers.dpo.args import AxolotlDPOConfig

        from trl_weighted_dpo.axolotl.args import WeightedDPOBlockConfig
        from trl_weighted_dpo.settings.training import training_fields
        from trl_weighted_dpo.training.config import WeightedTrainingConfig

        if not issubclass(AxolotlDPOConfig, WeightedTrainingConfig):
            raise RuntimeError(
                "Axolotl's training arguments were imported before the weighted-DPO plugin was registered, so they "
                "lack its fields. Load the config (which registers the plugins) before importing axolotl.core, and "
                "train configs with different plugins in separate processes."
            )
        settings = WeightedDPOBlockConfig(**cfg[MODE])
        return {field: getattr(settings, setting.name) for field, setting in training_fields().items()}
