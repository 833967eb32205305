"""The recipes, by Axolotl's own validation."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

RECIPES = ("qwen2.5-1.5b/weighted_dpo", "7b-lora", "7b-zero3", "70b-fsdp2")

VALIDATE = """
import sys, yaml
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
for path, gpus in zip(sys.argv[1::2], sys.argv[2::2]):
    cfg = DictDefault(yaml.safe_load(open(path)))
    prepare_plugins(cfg)
    capabilities = {"bf16": True, "fp8": True, "tf32": True, "n_gpu": int(gpus), "compute_capability": "sm_90"}
    validated = validate_config(cfg, capabilities, {"torch_version": "2.13.0"})
    assert validated.rl == "dpo" and validated.trainer_cls.endswith("AxolotlWeightedDPOTrainer"), validated
    print("VALID", path)
"""


@pytest.mark.long
def test_axolotl_takes_every_recipe():
    """As on GPUs with bfloat16, which is told to it."""
    paths = [REPOSITORY / "recipes" / f"{name}.yaml" for name in RECIPES]
    arguments = [str(part) for path, gpus in zip(paths, (1, 1, 8, 64), strict=True) for part in (path, gpus)]
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, *arguments], capture_output=True, text=True, cwd=REPOSITORY
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("VALID")] == [
        f"VALID {path}" for path in paths
    ]
    unknown = [line for line in done.stderr.splitlines() if "unrecognized" in line.lower()]
    assert unknown == []


@pytest.mark.parametrize("name", RECIPES)
def test_files_that_recipes_name_are_there(name):
    recipe = yaml.safe_load((REPOSITORY / "recipes" / f"{name}.yaml").read_text())
    if "deepspeed" in recipe:
        assert Path(REPOSITORY / recipe["deepspeed"]).is_file()
