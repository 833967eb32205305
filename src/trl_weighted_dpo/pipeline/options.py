"""Our commands as the pipeline runs them: settings as recipe keys, as command-line words, and with their defaults."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trl_weighted_dpo.settings import (
    BackendConfig,
    EvaluationConfig,
    ModelsConfig,
    PairingConfig,
    PoolConfig,
    PoolRowsConfig,
    RenderingConfig,
    RowsConfig,
    SamplingConfig,
    ScoringConfig,
    ScoringModelConfig,
    Setting,
    SourceConfig,
    VerificationConfig,
    WeighConfig,
    WeightingConfig,
    WorkersConfig,
    setting_of,
    settings_of,
)
from trl_weighted_dpo.settings.setting import items_of, plain


@dataclass(frozen=True)
class Command:
    """One of our commands, as a stage.

    Args:
        name (`str`): Such as `"score"`.
        keys (`tuple[Setting, ...]`): The settings that a recipe may have.
        filled_in (`tuple[Setting, ...]`): Those that the pipeline fills in from the rest of the recipe.
        others (`tuple[str, ...]`): Further options of the command that are no keys: files, models, and what shows
            single rows.
    """

    name: str
    keys: tuple[Setting, ...] = ()
    filled_in: tuple[Setting, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def settings(self) -> Iterator[Setting]:
        """All of its settings, the keys first."""
        yield from self.keys
        yield from self.filled_in

    def is_filled_in(self, name: str) -> bool:
        """Whether an option of the command is no key."""
        return name in self.others or any(setting.key == name for setting in self.filled_in)

    def check(self, name: str, value: Any) -> None:
        """Check a value of a recipe.

        Raises:
            `ValueError`: If it is not what the setting takes; says what that is.
        """
        next(setting for setting in self.keys if setting.key == name).read(value)

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """Options as words of a command line: first those that are no settings, then in the order of the settings."""
        words = [word for name in self.others if values.get(name) is not None for word in (_flag(name), values[name])]
        for setting in self.settings:
            value = values.get(setting.key)
            if value is None:
                continue
            if setting.kind is bool:
                words += [setting.flag] if value else []
            else:
                items = items_of(value) if setting.is_list or setting.is_nested else [value]
                words += [word for item in items for word in (setting.flag, _word(item))]
        return words

    def resolved(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """What decides the command's result: all settings, with the defaults of those that are not given.

        Returns:
            The settings by their keys, in types of JSON, without those that decide speed only; a file that is there by
            its name alone. And these files, by the same keys: they count by their content.
        """
        settings: dict[str, Any] = {}
        files: dict[str, str] = {}
        for setting in self.settings:
            if setting.is_speed_only:
                continue
            value = values.get(setting.key)
            settings[setting.key] = plain(setting.default if value is None else setting.read(value))
            path = existing_file(value) if setting.kind is Path else None
            if path is not None:
                settings[setting.key], files[setting.key] = path.name, str(path)
        return settings, files


def _of(*configs: type, without: Iterable[str] = ()) -> tuple[Setting, ...]:
    settings: dict[str, Setting] = {}
    for setting in (setting for config in configs for setting in settings_of(config)):
        if setting.key not in without:
            settings.setdefault(setting.key, setting)
    return tuple(settings.values())


_RENDERING = _of(RenderingConfig)
RENDERING = tuple(setting.key for setting in _RENDERING)
TRAIN_ON = setting_of(ScoringConfig, "train_on")
_SOURCE = _of(SourceConfig)
_MODEL = ("model", "adapter", "tokenizer")
_WRITTEN = ("output", "json")
_APART = (*RENDERING, *_MODEL)

COMMANDS = {
    "problems": Command("problems", _SOURCE, (), ("completions_for", *RENDERING, *_WRITTEN)),
    "sft-data": Command("problems", (), _RENDERING, ("completions_for", *_WRITTEN)),
    "sample": Command(
        "sample",
        _of(SamplingConfig, BackendConfig, PoolConfig, without=_APART),
        _RENDERING,
        (*_MODEL, *_WRITTEN, *(setting.key for setting in _SOURCE)),
    ),
    "verify": Command(
        "verify",
        _of(VerificationConfig, WorkersConfig, PoolRowsConfig),
        (),
        (
            *_WRITTEN, "explain", "row", "candidate", "problem", "solution", "reference_answer", "reference_solution",
            "limit",
        ),
    ),
    "score": Command(
        "score",
        _of(ScoringModelConfig, ScoringConfig, PoolRowsConfig, without=(*_APART, "train_on")),
        (*_RENDERING, TRAIN_ON),
        (*_MODEL, *_WRITTEN),
    ),
    "mine": Command(
        "mine", _of(PairingConfig, WorkersConfig, PoolRowsConfig, without=("train_on",)), (TRAIN_ON,), _WRITTEN
    ),
    "weigh": Command(
        "weigh",
        # Several schemes are compared.
        tuple(replace(own, is_list=own.name == "scheme") for own in _of(WeightingConfig, WeighConfig, RowsConfig)),
        (),
        _WRITTEN,
    ),
    "evaluation": Command(
        "evaluate",
        _of(ModelsConfig, EvaluationConfig, WorkersConfig, SamplingConfig, BackendConfig, without=_APART),
        (*_SOURCE, *_RENDERING),
        (*_MODEL, *_WRITTEN, "pool", "greedy", "reward_threshold"),
    ),
}  # fmt: skip
"""The stages that our commands do, by the names of their blocks in a recipe. An option of a command that is not among
the settings here is no key of a recipe."""


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def existing_file(value: Any) -> Path | None:
    """The file or folder that a setting names, if it is there."""
    if not isinstance(value, str) or not value or "\n" in value or len(value) > 1000:
        return None
    return Path(value) if Path(value).exists() else None
