"""Where Axolotl keeps the prepared pairs: in a folder whose name changes with everything that decides them.

Axolotl's own cache key knows neither plugin settings nor file contents: without this, pairs mined with other settings
or from an older file would be trained on silently.
"""

import contextlib
import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trl_weighted_dpo.axolotl.args import MINING_FIELDS, RENDERING_FIELDS, WeightedDPOBlockConfig
from trl_weighted_dpo.core.identity import CONTENTS, digest
from trl_weighted_dpo.mining import MINING_VERSION
from trl_weighted_dpo.verifier import MathVerifier

DEFAULT_FOLDER = "last_run_prepared"
_PREFIX = "weighted-dpo-"
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
    """`dataset_prepared_path` with a subfolder named by a hash of the mining settings, the result versions of mining
    and verifier, the tokenizer's files and the content of local data files. Data on a hub counts by name and revision
    only.

    A path that already names such a subfolder is kept: a config that is registered again must find the same pairs,
    and a person may name the folder to train where the raw files are not.
    """
    base = Path(cfg.get("dataset_prepared_path") or DEFAULT_FOLDER)
    if base.name.startswith(_PREFIX):
        return str(base)
    settings = cfg.get("weighted_dpo") or {}
    apart = [base, *([Path(cfg["output_dir"])] if cfg.get("output_dir") else [])]
    content = {
        "versions": [MINING_VERSION, MathVerifier().identity],
        "mining": _mining(settings),
        "tokenizer": [{name: cfg.get(name) for name in _TOKENIZER_OPTIONS}, *_tokenizer_files(cfg)],
        "data": [
            [split, _plain(dataset), list(_data_files(dataset, apart))]
            for split in ("datasets", "test_datasets")
            for dataset in cfg.get(split) or ()
        ],
    }
    return str(base / f"{_PREFIX}{digest(content)[:16]}")


def _mining(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parsed = WeightedDPOBlockConfig(**settings)
    except ValidationError:
        # Axolotl's own validation comes next and says what is wrong.
        return {name: settings.get(name) for name in MINING_FIELDS}
    return parsed.pairing.to_dict() | {name: getattr(parsed, name) for name in RENDERING_FIELDS}


def _plain(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dataset.items() if value is not None}


def _tokenizer_files(cfg: Mapping[str, Any]) -> Iterator[str | None]:
    yield CONTENTS.tokenizer(Path(str(cfg.get("tokenizer_config") or cfg.get("base_model") or "")))
    template = Path(str(cfg.get("chat_template_jinja") or ""))
    # A template that is given as text is no path, and may be too long for one.
    with contextlib.suppress(OSError):
        if template.is_file():
            yield CONTENTS.file(template)


def _data_files(dataset: Mapping[str, Any], apart: list[Path]) -> Iterator[str]:
    path = Path(str(dataset.get("path") or ""))
    named = dataset.get("data_files") or []
    named = [named] if isinstance(named, str) else list(named)
    if path.is_file():
        yield CONTENTS.file(path)
    elif named:
        patterns = [str(folder / pattern) for pattern in named for folder in (Path(), path)]
        # Not Path.glob, which takes no absolute pattern.
        names = {name for pattern in patterns for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207
        for name in sorted(names):
            if Path(name).is_file():
                yield f"{name}:{CONTENTS.file(Path(name))}"
    elif path.is_dir():
        # What a run itself writes there is no data.
        yield CONTENTS.folder(path, apart)
