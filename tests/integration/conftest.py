"""Runs the real `axolotl` command in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.launching import ENVIRONMENT

BASE: dict[str, Any] = {
    "plugins": ["trl_weighted_dpo.axolotl.WeightedDPOPlugin"],
    "rl": "weighted_dpo",
    "sequence_len": 512,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "max_steps": 5,
    "save_steps": 5,
    "logging_steps": 1,
    "learning_rate": 1e-3,
    "lr_scheduler": "constant",
    "optimizer": "adamw_torch",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "seed": 42,
    "use_cpu": True,
    "bf16": False,
    "fp16": False,
    "tf32": False,
}


def run_axolotl(command: str, config: Path, *arguments: str, check: bool = True) -> str:
    """Output of `axolotl COMMAND config.yaml …`; fails with it unless the command succeeds (or `check` is false)."""
    program = Path(sys.executable).with_name("axolotl")
    done = subprocess.run(
        [str(program), command, str(config), *arguments],
        cwd=config.parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, output[-6000:]
    assert check or done.returncode != 0
    return output


def write_config(folder: Path, model: Path, dataset: dict[str, Any], **changes: Any) -> Path:
    """An Axolotl YAML in the folder; a value `None` leaves the key out."""
    config = {
        **BASE,
        "base_model": str(model),
        "datasets": [dataset],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))
    return path


def log_history(folder: Path, step: int = 5) -> list[dict[str, Any]]:
    state = json.loads((folder / "out" / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [entry for entry in state["log_history"] if "loss" in entry]


@pytest.fixture
def jsonl(tmp_path: Path) -> Any:
    def write(rows: list[dict[str, Any]], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write
