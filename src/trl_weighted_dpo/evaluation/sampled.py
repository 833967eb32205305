"""Samples the models of an evaluation into pools, and keeps pools that are still current."""

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_weighted_dpo import plugins
from trl_weighted_dpo.core.files import write_whole
from trl_weighted_dpo.core.identity import CONTENTS, canonical, digest
from trl_weighted_dpo.evaluation.files import ModelFiles, check_name
from trl_weighted_dpo.evaluation.measures import GREEDY, SAMPLES
from trl_weighted_dpo.plugins.hookspecs import Sampler, SamplerFactory
from trl_weighted_dpo.sampling import SAMPLING_VERSION
from trl_weighted_dpo.sampling.files import sample_file
from trl_weighted_dpo.settings.sampling import SamplingConfig

_FOLDERS = ("adapter", "tokenizer")
"""Options of a backend that name folders."""


@dataclass(frozen=True)
class SampledModel:
    """A model that is to be sampled.

    Args:
        name (`str`): Its name in the report and in files.
        path (`str`): Folder, or name on the hub or of a server.
        options (`Mapping[str, Any]`, *optional*): Of the backend, such as `{"adapter": "outputs/dpo"}`.
        backend (`str`, *optional*, defaults to `"transformers"`):
            Name of the backend that samples: noise and rounding are each backend's own.

    Raises:
        `ValueError`: If files cannot be named after it.
    """

    name: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "transformers"

    def __post_init__(self) -> None:
        check_name(self.name)


def sample_model(
    folder: Path,
    model: SampledModel,
    problems: Sequence[Mapping[str, Any]],
    configs: Mapping[str, SamplingConfig],
    make: SamplerFactory,
    source: str = "problems",
    on_load: Callable[[Sampler], None] | None = None,
) -> ModelFiles:
    """Sample a model into `NAME.greedy.jsonl` and `NAME.samples.jsonl`, unless they are there already.

    What a pool was made with lies beside it, in `*.made.json`: identities of the model, backend and problems, options
    and settings (see [`~core.identity`]). If they and the pool are still the same, the model is not even loaded. A name
    on the hub or of a server says nothing of the weights behind it: take another folder once they have changed.

    Args:
        folder (`Path`): Where the pools go.
        model ([`SampledModel`]): The model.
        problems (`Sequence[Mapping[str, Any]]`): As for [`~sampling.files.sample_file`].
        configs (`Mapping[str, SamplingConfig]`): By `"greedy"` or `"samples"`, how.
        make (`Callable`): The backend.
        source (`str`, *optional*, defaults to `"problems"`): Where the problems come from, for messages.
        on_load (`Callable[[Sampler], None]`, *optional*): Called with a sampler once it is there.

    Returns:
        [`~evaluation.files.ModelFiles`]: Where the pools are.

    Raises:
        As [`~sampling.files.sample_file`].
    """
    from accelerate import PartialState

    sampler: Sampler | None = None
    files: dict[str, Path] = {}
    identity = _identity(model)
    for kind, config in configs.items():
        pool = folder / f"{model.name}.{kind}.jsonl"
        files[kind] = pool
        made = {**identity, "sampling": _settings(config), "problems": digest(list(problems))}
        # As JSON has it: what is read from the record is compared with it.
        made = json.loads(canonical(made))
        record = pool.with_name(pool.name.removesuffix(".jsonl") + ".made.json")
        if _is_made(record, pool, made):
            continue
        if sampler is None:
            sampler = make(model.path, model.options)
            if on_load is not None:
                on_load(sampler)
        sample_file(problems, pool, sampler, config, generator=model.name, source=source)
        if PartialState().is_main_process:
            write_whole(record, json.dumps({**made, "sha256": CONTENTS.file(pool)}, indent=2) + "\n")
    if sampler is not None:
        del sampler
        _release()
    return ModelFiles(model.name, files.get(GREEDY), files.get(SAMPLES))


def _identity(model: SampledModel) -> dict[str, Any]:
    return {
        "model": CONTENTS.named(model.path),
        "adapter_of": _base(Path(model.path)),
        "backend": plugins.identity("samplers", model.backend),
        "options": {
            name: CONTENTS.named(value) if name in _FOLDERS else value for name, value in model.options.items()
        },
    }


def _base(folder: Path) -> str | None:
    """The model that an adapter was made for, which is loaded with it."""
    path = folder / "adapter_config.json"
    base = json.loads(path.read_bytes()).get("base_model_name_or_path") if path.is_file() else None
    return None if base is None else CONTENTS.named(base)


def _settings(config: SamplingConfig) -> dict[str, Any]:
    """What decides the samples; how they are batched changes them by rounding only."""
    return {
        "version": SAMPLING_VERSION,
        "completions": config.completions,
        "distribution": config.distribution,
        "prompt": [
            config.prompt_template,
            config.system_prompt,
            [list(shot) for shot in config.few_shot],
            dict(config.chat_template_kwargs or {}),
        ],
    }


def _is_made(record: Path, pool: Path, made: Mapping[str, Any]) -> bool:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return pool.is_file() and found == {**made, "sha256": CONTENTS.file(pool)}


def _release() -> None:
    """Gives back an accelerator's memory, for the next model."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
