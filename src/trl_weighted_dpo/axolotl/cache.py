"""Where Axolotl keeps the prepared pairs: in a folder whose name changes with everything that decides them.

Axolotl's own cache key knows neither plugin settings nor file contents: without this, pairs mined with other settings
or from an older file would be trained on silently.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.axolotl.args import MINING_FIELDS, WeightedDPOSettings
from trl_weighted_dpo.verifier import VERIFIER_VERSION

DEFAULT_FOLDER = "last_run_prepared"
_PREFIX = "weighted-dpo-"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


def prepared_path(cfg: Mapping[str, Any]) -> str:
    """`dataset_prepared_path` with a subfolder named by a hash of the mining settings, the versions, the tokenizer's
    files and the content of local data files. Data on a hub enters by name and revision only. Idempotent."""
    base = Path(cfg.get("dataset_prepared_path") or DEFAULT_FOLDER)
    if base.name.startswith(_PREFIX):
        base = base.parent
    settings = cfg.get("weighted_dpo") or {}
    content = {
        "version": __version__,
        "verifier": VERIFIER_VERSION,
        "mining": {name: settings.get(name, WeightedDPOSettings.model_fields[name].default) for name in MINING_FIELDS},
        "chat_template": [cfg.get("chat_template"), cfg.get("chat_template_jinja")],
        "tokenizer": list(_tokenizer_files(cfg)),
        "data": [
            [split, _plain(dataset), list(_data_files(dataset))]
            for split in ("datasets", "test_datasets")
            for dataset in cfg.get(split) or ()
        ],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return str(base / f"{_PREFIX}{digest[:16]}")


def _plain(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dataset.items() if value is not None}


def _tokenizer_files(cfg: Mapping[str, Any]) -> Iterator[str]:
    folder = Path(str(cfg.get("tokenizer_config") or cfg.get("base_model") or ""))
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            yield _file_digest(folder / name)


def _data_files(dataset: Mapping[str, Any]) -> Iterator[str]:
    names = dataset.get("data_files") or []
    names = [names] if isinstance(names, str) else list(names)
    path = Path(str(dataset.get("path") or ""))
    for candidate in [path, *map(Path, names), *(path / name for name in names)]:
        if candidate.is_file():
            yield _file_digest(candidate)
        elif candidate.is_dir() and str(candidate) != ".":
            for file in sorted(item for item in candidate.rglob("*") if item.is_file()):
                yield f"{file.relative_to(candidate)}:{_file_digest(file)}"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
