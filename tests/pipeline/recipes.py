"""Recipes for tests, and the files that they name."""

from pathlib import Path
from typing import Any

import yaml

from trl_weighted_dpo.pipeline.reading import read_recipe
from trl_weighted_dpo.pipeline.recipe import Recipe


def make_files(folder: Path) -> None:
    """Empty files and a folder for a model: reading a recipe looks only whether they are there."""
    for name in ("train.jsonl", "test.jsonl", "pool.jsonl", "scored.parquet"):
        (folder / name).touch()
    (folder / "model").mkdir()
    (folder / "sft.yaml").write_text("sequence_len: 512\nlearning_rate: 1.0e-4\n")
    (folder / "dpo.yaml").write_text("sequence_len: 768\nrl: weighted_dpo\nweighted_dpo: {lambda: 0.3, nll: 2.0}\n")


def content(**changes: Any) -> dict[str, Any]:
    """A recipe that goes through all stages; `None` leaves a key out."""
    whole: dict[str, Any] = {
        "output_dir": "out",
        "model": "model",
        "problems": {"path": "train.jsonl", "preset": "gsm8k"},
        "evaluation": {"problems": "test.jsonl", "completions": 4},
        "sft": {"engine": "axolotl", "recipe": "sft.yaml"},
        "sample": {"completions": 8, "temperature": 0.8},
        "verify": {},
        "score": {},
        "mine": {},
        "weigh": {},
        "train": {"engine": "trl", "settings": {"bf16": False, "weight_lambda": 0.5}},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def read(folder: Path, **changes: Any) -> Recipe:
    """The recipe, read from `folder`, which is to be the working directory."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(content(**changes), sort_keys=False))
    return read_recipe(path)
