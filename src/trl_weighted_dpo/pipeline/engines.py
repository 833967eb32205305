"""The two engines that train, each with its own YAML: Axolotl and TRL.

What the pipeline fills into the YAML (model, data, output folder, rendering) replaces what stands there.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from trl_weighted_dpo.pipeline.options import RENDERING
from trl_weighted_dpo.pipeline.recipe import Training
from trl_weighted_dpo.settings import (
    PairingConfig,
    PairsConfig,
    TrainingConfig,
    WeightingConfig,
    setting_of,
    settings_of,
)
from trl_weighted_dpo.settings.setting import plain
from trl_weighted_dpo.settings.training import training_fields

_PLUGIN = "trl_weighted_dpo.axolotl.WeightedDPOPlugin"
_PAIRS = "trl_weighted_dpo.hard_negatives"
_COMPLETIONS = "trl_weighted_dpo.axolotl.completions"
_SFT = "trl_weighted_dpo.pipeline.sft"
_TRAIN = "trl_weighted_dpo.training.run"

Settings = Mapping[str, Any]


class Engine(Protocol):
    """What the stages need to know of what trains; `kind` is `"sft"` or `"train"`."""

    kind: str

    def config(
        self, settings: Settings, model: str, data: Path | None, folder: Path, rendering: Settings
    ) -> dict[str, Any]:
        """The engine's YAML, with model, data and folders filled in; without data, those of the settings stay."""

    def deciding(self, settings: Settings, has_data: bool) -> dict[str, Any]:
        """The settings without what is filled in."""

    def resolved(self, settings: Settings, mines: bool) -> dict[str, Any]:
        """The settings with this package's defaults, those of mining if the engine mines; the engine's own are not."""

    def command(self, config: Path, launch: str | None) -> list[str]:
        """The command line that trains by the YAML."""

    def resuming(self, checkpoint: Path) -> list[str]:
        """What is added to it to go on from a checkpoint."""

    def makes_adapter(self, settings: Settings) -> bool:
        """Whether an adapter is trained, and not the whole model."""

    def quantization(self, settings: Settings) -> list[str]:
        """Flags that say how the base of an adapter is quantised."""

    def scoring(self, settings: Settings) -> dict[str, Any]:
        """Options of `weighted-dpo score` by which its log-probs are those of the reference."""

    def weighting(self, settings: Settings) -> dict[str, Any]:
        """How weights come about, by the names of the options of `weighted-dpo weigh`."""

    def check_command(self, config: Path) -> list[str]:
        """A command that reads the YAML and says what is wrong with it, without training."""


def engine_of(training: Training, kind: str) -> Engine:
    """The engine of SFT (`kind` `"sft"`) or of weighted DPO (`"train"`)."""
    return _Axolotl(kind) if training.engine == "axolotl" else _TRL(kind)


class _TRL:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    _filled = ("model_name_or_path", "output_dir", "resume_from_checkpoint", *RENDERING, "train_on")
    _data = ("dataset_name", "datasets")

    def config(
        self, settings: Settings, model: str, data: Path | None, folder: Path, rendering: Settings
    ) -> dict[str, Any]:
        config = self.deciding(settings, data is not None)
        config |= {"model_name_or_path": model, "output_dir": str(folder / "model")}
        if data is not None:
            config["dataset_name"] = str(data)
        if self.kind == "train":
            config |= {key: value for key, value in rendering.items() if value is not None}
        return config

    def deciding(self, settings: Settings, has_data: bool) -> dict[str, Any]:
        dropped = (*self._filled, *(self._data if has_data else ()))
        return {key: value for key, value in settings.items() if key not in dropped}

    def resolved(self, settings: Settings, mines: bool) -> dict[str, Any]:
        if self.kind != "train":
            return dict(settings)
        known = training_fields() | {"render_pairs": setting_of(PairsConfig, "render_pairs")}
        return {name: plain(setting.default) for name, setting in known.items()} | dict(settings)

    def command(self, config: Path, launch: str | None) -> list[str]:
        if launch is None and self.kind == "train":
            return ["weighted-dpo", "train", "--config", str(config)]
        module = _TRAIN if self.kind == "train" else _SFT
        return [*shlex.split(launch or "accelerate launch"), "-m", module, "--config", str(config)]

    def resuming(self, checkpoint: Path) -> list[str]:
        return ["--resume_from_checkpoint", str(checkpoint)]

    def makes_adapter(self, settings: Settings) -> bool:
        return bool(settings.get("use_peft"))

    def quantization(self, settings: Settings) -> list[str]:
        if not settings.get("load_in_4bit"):
            return []
        double = ["--double-quant"] if settings.get("use_bnb_nested_quant") else []
        return ["--load-in-4bit", *double]

    def scoring(self, settings: Settings) -> dict[str, Any]:
        length = settings.get("max_length", 1024)
        return _precision({"model_name_or_path": "model", **settings}) | {"max_length": length or 0}

    def weighting(self, settings: Settings) -> dict[str, Any]:
        prefix = "weight_"
        return {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}

    def check_command(self, config: Path) -> list[str]:
        return ["python", "-m", "trl_weighted_dpo.pipeline.checks", f"trl-{self.kind}", str(config)]


class _Axolotl:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    _filled = (
        "base_model", "output_dir", "dataset_prepared_path", "resume_from_checkpoint", "auto_resume_from_checkpoints",
    )  # fmt: skip

    def config(
        self, settings: Settings, model: str, data: Path | None, folder: Path, rendering: Settings
    ) -> dict[str, Any]:
        config = self.deciding(settings, data is not None)
        config |= {
            "base_model": model,
            "output_dir": str(folder / "model"),
            "dataset_prepared_path": str(folder / "prepared"),
            "auto_resume_from_checkpoints": True,
        }
        if data is not None:
            kind = "parquet" if data.suffix == ".parquet" else "json"
            dataset = {"path": str(data), "ds_type": kind, "split": "train"}
            config["datasets"] = [{**dataset, "type": _PAIRS if self.kind == "train" else _COMPLETIONS}]
        if self.kind == "train":
            plugins = list(config.get("plugins") or [])
            config["plugins"] = plugins if _PLUGIN in plugins else [*plugins, _PLUGIN]
            config["rl"] = "weighted_dpo"
            given = {key: value for key, value in rendering.items() if value is not None}
            config["weighted_dpo"] = {**(config.get("weighted_dpo") or {}), **given}
        return config

    def deciding(self, settings: Settings, has_data: bool) -> dict[str, Any]:
        dropped = (*self._filled, *(("datasets",) if has_data else ()))
        return {key: value for key, value in settings.items() if key not in dropped}

    def resolved(self, settings: Settings, mines: bool) -> dict[str, Any]:
        if self.kind != "train":
            return dict(settings)
        configs = (WeightingConfig, TrainingConfig, *((PairingConfig,) if mines else ()))
        block = {own.key: plain(own.default) for config in configs for own in settings_of(config)}
        given = dict(settings.get("weighted_dpo") or {})
        if mines:
            given["hardness"] = block["hardness"] | (given.get("hardness") or {})
        return {**settings, "weighted_dpo": block | given}

    def command(self, config: Path, launch: str | None) -> list[str]:
        words = ["axolotl", "train", str(config)]
        if launch is None:
            return words
        # Axolotl launches by itself: `accelerate launch FLAGS` is its `--launcher accelerate -- FLAGS`.
        launcher, *flags = shlex.split(launch)
        flags = flags[1:] if launcher == "accelerate" and flags[:1] == ["launch"] else flags
        return [*words, "--launcher", launcher, *(["--", *flags] if flags else [])]

    def resuming(self, checkpoint: Path) -> list[str]:
        # It looks for the last checkpoint itself.
        return []

    def makes_adapter(self, settings: Settings) -> bool:
        return bool(settings.get("adapter"))

    def quantization(self, settings: Settings) -> list[str]:
        if not settings.get("load_in_4bit"):
            return []
        options = settings.get("bnb_config_kwargs") or {}
        return ["--load-in-4bit", *(["--double-quant"] if options.get("bnb_4bit_use_double_quant", True) else [])]

    def scoring(self, settings: Settings) -> dict[str, Any]:
        length = settings.get("sequence_len", 512)
        return _precision({**settings, "base_model": "model", "rl": "weighted_dpo"}) | {"max_length": length}

    def weighting(self, settings: Settings) -> dict[str, Any]:
        return dict(settings.get("weighted_dpo") or {})

    def check_command(self, config: Path) -> list[str]:
        return ["python", "-m", "trl_weighted_dpo.pipeline.checks", "axolotl", str(config)]


def _precision(content: dict[str, Any]) -> dict[str, Any]:
    """How the model computes in training, as options of `weighted-dpo score`; none where it cannot be told."""
    from trl_weighted_dpo.planning.recipe import run_settings

    try:
        run = run_settings(content, Path())
    except (ValueError, OSError):
        return {}
    if run.load_in_4bit:
        return {"dtype": run.autocast or run.dtype, "load_in_4bit": True, "double_quant": run.double_quant}
    return {"dtype": run.dtype, "autocast": None if run.autocast == run.dtype else run.autocast}
