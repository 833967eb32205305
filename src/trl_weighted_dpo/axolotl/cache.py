"""Where Axolotl keeps the prepared pairs: in a folder whose name changes with everything that decides them.

Axolotl's own cache key knows neither plugin settings nor file contents: without this, pairs mined with other settings
or from an older file would be trained on silently.
"""

import contextlib
import glob
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.axolotl.args import MINING_FIELDS, WeightedDPOSettings
from trl_weighted_dpo.core.journal import file_digest
from trl_weighted_dpo.verifier import VERIFIER_VERSION

DEFAULT_FOLDER = "last_run_prepared"
_PREFIX = "weighted-dpo-"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
_TOKENIZER_OPTIONS = (
    "chat_template",
    "chat_template_jinja",
    "chat_template_kwargs",
    "special_tokens",
    "added_tokens_overrides",
    "tokenizer_config",
    "tokens",
)


def prepared_path(cfg: Mapping[str, Any]) -> str:
    """`dataset_prepared_path` with a subfolder named by a hash of the mining settings, the versions, the tokenizer's
    files and the content of local data files. Data on a hub enters by name and revision only.

    A path that already names such a subfolder is kept: a config that is registered again must find the same pairs,
    and a person may name the folder to train where the raw files are not.
    """
    base = Path(cfg.get("dataset_prepared_path") or DEFAULT_FOLDER)
    if base.name.startswith(_PREFIX):
        return str(base)
    settings = cfg.get("weighted_dpo") or {}
    apart = [base, *([Path(cfg["output_dir"])] if cfg.get("output_dir") else [])]
    content = {
        "version": __version__,
        "verifier": VERIFIER_VERSION,
        "mining": _mining(settings),
        "tokenizer": [{name: cfg.get(name) for name in _TOKENIZER_OPTIONS}, *_tokenizer_files(cfg)],
        "data": [
            [split, _plain(dataset), list(_data_files(dataset, apart))]
            for split in ("datasets", "test_datasets")
            for dataset in cfg.get(split) or ()
        ],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return str(base / f"{_PREFIX}{digest[:16]}")


def _mining(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parsed = WeightedDPOSettings(**settings)
    except ValidationError:
        # Axolotl's own validation comes next and says what is wrong.
        return {name: settings.get(name) for name in MINING_FIELDS}
    rendering = {
        "prompt_template": parsed.prompt_template,
        "system_prompt": parsed.system_prompt,
        "chat_template_kwargs": parsed.chat_template_kwargs,
    }
    return parsed.pairing.to_dict() | rendering


def _plain(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dataset.items() if value is not None}


def _tokenizer_files(cfg: Mapping[str, Any]) -> Iterator[str]:
    folder = Path(str(cfg.get("tokenizer_config") or cfg.get("base_model") or ""))
    template = Path(str(cfg.get("chat_template_jinja") or ""))
    # A template that is given as text is no path, and may be too long for one.
    names = [folder / name for name in _TOKENIZER_FILES] + ([template] if "\n" not in str(template) else [])
    for path in names:
        with contextlib.suppress(OSError):
            if path.is_file():
                yield file_digest(path)


def _data_files(dataset: Mapping[str, Any], apart: list[Path]) -> Iterator[str]:
    path = Path(str(dataset.get("path") or ""))
    named = dataset.get("data_files") or []
    named = [named] if isinstance(named, str) else list(named)
    if path.is_file():
        yield file_digest(path)
    elif named:
        patterns = [str(folder / pattern) for pattern in named for folder in (Path(), path)]
        # Not Path.glob, which takes no absolute pattern.
        names = {name for pattern in patterns for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207
        for name in sorted(names):
            if Path(name).is_file():
                yield f"{name}:{file_digest(Path(name))}"
    elif path.is_dir():
        yield from _folder_digests(path, [folder.resolve() for folder in apart])


def _folder_digests(folder: Path, apart: list[Path]) -> Iterator[str]:
    """Files of a data folder, but for hidden ones and for what a run itself writes there."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if file.is_file() and not hidden and not any(file.resolve().is_relative_to(path) for path in apart):
            yield f"{name}:{file_digest(file)}"
