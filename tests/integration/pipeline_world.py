"""A world small enough to run the whole pipeline in: sums of single digits, a tiny model, and a recipe."""

import random
from pathlib import Path
from typing import Any

import yaml
from benchmarks.byte_tokenizer import train_tokenizer

from tests.tiny import NAMES, THINGS, tiny_model
from trl_weighted_dpo.core.files import write_rows

MODEL = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}
SFT = {
    "max_steps": 60, "per_device_train_batch_size": 8, "learning_rate": 5e-3, "save_steps": 20, "logging_steps": 20,
    "bf16": False, "use_cpu": True, "gradient_checkpointing": False, "report_to": "none", "max_length": 256,
}  # fmt: skip
TRAIN = {
    "max_steps": 12, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "save_steps": 2, "logging_steps": 2,
    "bf16": False, "use_cpu": True, "gradient_checkpointing": False, "report_to": "none", "max_length": 256,
}  # fmt: skip


def sums(count: int, seed: int) -> list[dict[str, Any]]:
    """Problems with solutions; few answers, so that a model that knows only their form is right now and then."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 4), rng.randint(2, 4)
        rows.append(
            {
                "id": f"sum-{seed}-{index}",
                "problem": f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?",
                "reference_answer": str(a + b),
                "reference_solution": f"{name} has {a} + {b} = {a + b} {thing}.\n#### {a + b}",
            }
        )
    return rows


def make_world(folder: Path) -> None:
    """`train.jsonl`, `test.jsonl` and `base`, an untrained model."""
    train, test = sums(400, 0), sums(24, 1)
    write_rows(folder / "train.jsonl", train)
    write_rows(folder / "test.jsonl", test)
    texts = [row["problem"] + "\n" + row["reference_solution"] for row in [*train, *test]]
    tiny_model(**MODEL).save_pretrained(folder / "base")
    train_tokenizer(texts, 400, 512).save_pretrained(folder / "base")


def recipe(**changes: Any) -> dict[str, Any]:
    """A recipe that goes through all stages, with paths from the world's folder; `None` leaves a key out."""
    content: dict[str, Any] = {
        "output_dir": "out",
        "seed": 3,
        "model": "base",
        "problems": {"path": "train.jsonl"},
        "evaluation": {"problems": {"path": "test.jsonl"}, "completions": 2, "max_new_tokens": 40, "batch_tokens": 512},
        "sft": {"engine": "trl", "launch": "python", "settings": SFT},
        "sample": {"completions": 4, "temperature": 1.0, "max_new_tokens": 40, "batch_tokens": 2048},
        "verify": {},
        "score": {},
        "mine": {"allow_weak_answers": True, "pairs_per_problem": 2},
        "weigh": {},
        "train": {"engine": "trl", "launch": "python", "settings": {**TRAIN, "weight_lambda": 0.8}},
        **changes,
    }
    return {key: value for key, value in content.items() if value is not None}


def write_recipe(folder: Path, name: str = "run.yaml", **changes: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(recipe(**changes), sort_keys=False))
    return path
