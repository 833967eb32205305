"""The recipes, by Axolotl's own validation."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

SFT = "qwen2.5-1.5b/sft"
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
    if path.endswith("sft.yaml"):
        assert validated.rl is None and validated.trainer_cls is None, validated
    else:
        assert validated.rl == "dpo" and validated.trainer_cls.endswith("AxolotlWeightedDPOTrainer"), validated
    print("VALID", path)
"""


@pytest.mark.long
def test_axolotl_takes_every_recipe():
    """As on GPUs with bfloat16, which is told to it."""
    paths = [REPOSITORY / "recipes" / f"{name}.yaml" for name in (*RECIPES, SFT)]
    arguments = [str(part) for path, gpus in zip(paths, (1, 1, 8, 64, 1), strict=True) for part in (path, gpus)]
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


def test_weighted_dpo_starts_where_the_set_has_left_off():
    """What the documented commands write is what the next recipe reads."""
    sft, dpo = (
        yaml.safe_load((REPOSITORY / "recipes" / "qwen2.5-1.5b" / f"{name}.yaml").read_text())
        for name in ("sft", "weighted_dpo")
    )
    docs = (REPOSITORY / "docs" / "recipes.md").read_text()
    docs = docs.replace(" \\\n   ", "")
    merge, settings = "python -m trl_weighted_dpo.pipeline.merge", "--load-in-4bit --double-quant"
    assert f"{merge} {sft['output_dir']} --base {sft['base_model']} {settings} --output {dpo['base_model']}\n" in docs
    assert f"{merge} {dpo['output_dir']} --base {dpo['base_model']} {settings} --output " in docs
    (pool,) = dpo["datasets"]
    assert f"-o {pool['path']}" in docs


def test_the_lm_eval_script_passes_on_what_it_is_told(tmp_path):
    """With a stand-in that prints its arguments: lm-eval itself pins a world of its own."""
    program = tmp_path / "lm_eval"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    script = REPOSITORY / "recipes" / "lm_eval" / "run.sh"

    def run(*arguments, **environment):
        path = {"PATH": f"{tmp_path}:/usr/bin:/bin", **environment}
        return subprocess.run(["sh", str(script), *arguments], capture_output=True, text=True, env=path)

    assert run("a b/model", "out").stdout.splitlines() == [
        "--model", "hf", "--model_args", "pretrained=a b/model,dtype=bfloat16",
        "--tasks", "gsm8k,gsm8k_cot,minerva_math", "--apply_chat_template", "--fewshot_as_multiturn",
        "--gen_kwargs", "max_gen_toks=1024,do_sample=False", "--batch_size", "auto",
        "--output_path", "out", "--log_samples",
    ]  # fmt: skip
    changed = run("m", "o", TASKS="gsm8k", CHAT="", MODEL_ARGS="peft=x").stdout.splitlines()
    assert changed[3:7] == ["pretrained=m,dtype=bfloat16,peft=x", "--tasks", "gsm8k", "--gen_kwargs"]
    refused = run("m")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Usage:")
