"""`weighted_dpo.json`: what a model was trained with, beside the model and in every checkpoint."""

import hashlib
import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.core.schema import LOSS_COLUMNS, PAIR_WEIGHT
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.weighting import FORMULA_VERSION, WeightingConfig, WeightStatistics, WeightSummary

logger = logging.getLogger(__name__)

RECORD_FILE = "weighted_dpo.json"
_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "axolotl", "deepspeed", "bitsandbytes")
TOKEN_COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")


def weighting_record(
    config: WeightingConfig, statistics: WeightStatistics, summary: WeightSummary | None
) -> dict[str, Any]:
    """Settings, statistics and summary of the training set's weights; no summary for a streaming dataset."""
    return {
        "formula_version": FORMULA_VERSION,
        "settings": asdict(config),
        "statistics": asdict(statistics),
        "summary": None if summary is None else asdict(summary),
    }


def run_record(
    objective: Objective, args: Any, weighting: Mapping[str, Any] | None, reference: str, train_dataset: Any
) -> dict[str, Any]:
    """The whole record, as plain JSON types; `reference` says where the training set's reference log-probs come from:
    `"columns"`, `"computed"` (once, before training), `"computed: "` and why not the columns, or `"model"`."""
    return {
        "version": __version__,
        "versions": {"python": platform.python_version(), **_installed()},
        "objective": {**asdict(objective), "ld_alpha": args.ld_alpha, "use_weighting": args.use_weighting},
        "weighting": weighting,
        "reference": reference,
        "data": {
            "max_length": args.max_length,
            "truncation_mode": args.truncation_mode,
            "loss_columns": [
                name for name in LOSS_COLUMNS if name in (getattr(train_dataset, "column_names", None) or ())
            ],
            "pairs": len(train_dataset) if isinstance(train_dataset, Dataset) else None,
            "fingerprint": fingerprint(train_dataset) if isinstance(train_dataset, Dataset) else None,
        },
    }


def _installed() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over the token ids of the pairs, in order, and over their weights, `dpo_margin` and `dpo_beta` if they
    have them."""
    digest = hashlib.sha256()
    numbers = [name for name in (PAIR_WEIGHT, *LOSS_COLUMNS) if name in dataset.column_names]
    for batch in dataset.select_columns([*TOKEN_COLUMNS, *numbers]).with_format("arrow").iter(batch_size=1000):
        for name in TOKEN_COLUMNS:
            digest.update(_bytes(pc.list_value_length(batch[name]), "<i8"))
            digest.update(_bytes(pc.list_flatten(batch[name]), "<i8"))
        for name in numbers:
            digest.update(_bytes(batch[name], "<f8"))
    return digest.hexdigest()


def _bytes(values: pa.ChunkedArray, dtype: str) -> bytes:
    return bytes(values.to_numpy().astype(dtype).tobytes())


def write_record(directory: str | Path, content: Mapping[str, Any]) -> None:
    """Write `weighted_dpo.json` into a directory, which is made if need be."""
    path = Path(directory) / RECORD_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def warn_if_changed(checkpoint: str | Path, current: Mapping[str, Any]) -> None:
    """Warn if a checkpoint was trained with another objective, other weights or other pairs."""
    path = Path(checkpoint) / RECORD_FILE
    if not path.is_file():
        logger.warning(
            "%s has no %s, so its settings cannot be compared with the present ones.", checkpoint, RECORD_FILE
        )
        return
    before = _flatten(json.loads(path.read_text(encoding="utf-8")))
    now = _flatten(json.loads(json.dumps(current)))
    changed = [
        f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if not name.startswith("version") and before.get(name) != now.get(name)
    ]
    if changed:
        logger.warning(
            "Resuming from %s with other settings than it was trained with: %s. Restore them, or start a new run.",
            checkpoint,
            "; ".join(changed),
        )


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
