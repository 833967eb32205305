"""What the README shows runs: the quickstart as it is and on real candidates, the YAML and the Python script."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.integration.conftest import run_axolotl
from tests.tiny import save_tiny_model, tiny_pool

pytestmark = pytest.mark.long


def quickstart(folder, *arguments):
    command = [sys.executable, str(REPOSITORY / "examples" / "quickstart.py"), "--output-dir", str(folder), *arguments]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    record = json.loads((folder / "round-1" / "model" / "weighted_dpo.json").read_text())
    return done.stdout, record


def cell(output, name):
    """Of the last table that has such a row: verifying has one, then mining."""
    return re.findall(rf"│ +{re.escape(name)} +│ (\d.*?) +│", output)[-1]


def test_the_embedded_world(tmp_path):
    output, record = quickstart(tmp_path)
    report = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    before, after = (report["models"][name]["measures"]["greedy"] for name in ("sft", "round-1"))
    assert before["problems"] == after["problems"] == 1000
    assert 0.45 < before["value"] < 0.60
    (greedy,) = (one for one in report["comparisons"] if one["measure"] == "greedy")
    assert greedy["difference"] == pytest.approx(after["value"] - before["value"])
    assert greedy["interval"][0] > 0.1
    assert cell(output, "problems") == "1000"
    assert int(cell(output, "pairs")) == record["weighting"]["summary"]["pairs"] > 400
    assert record["weighting"]["summary"]["max"] > 1.0 > record["weighting"]["summary"]["min"]
    assert record["reference"] == "columns"
    assert "evaluation.json" in output
    assert "nothing about real models" in output.replace("\n", " ")


def test_real_candidates(tmp_path, shared_data):
    output, record = quickstart(tmp_path, "--datasets", str(shared_data / "gsm8k_solutions_pool.jsonl"))
    assert cell(output, "problems") == "338"
    assert cell(output, "correct") == "598 (44.2%)"
    assert cell(output, "incorrect") == "751 (55.5%)"
    assert cell(output, "not used: repeated") == "3 (0.2%)"
    assert cell(output, "pairs") == "188"
    assert record["weighting"]["summary"]["pairs"] == 188
    assert record["weighting"]["summary"]["mean"] == pytest.approx(1.0)


@pytest.fixture
def world(tmp_path):
    save_tiny_model(tmp_path / "sft-model")
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(20)))
    return tmp_path


def readme_block(language):
    return re.search(rf"```{language}\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)[1]


def test_readme_yaml(world):
    recipe = yaml.safe_load(readme_block("yaml"))
    assert recipe["datasets"][0]["path"] == "pool.jsonl"
    on_a_cpu = {"use_cpu": True, "bf16": False, "fp16": False, "tf32": False, "max_steps": 2}
    (world / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **on_a_cpu}))
    run_axolotl("train", world / "recipe.yaml", "--launcher", "python")
    assert (world / recipe["output_dir"] / "weighted_dpo.json").is_file()


def test_readme_python(world):
    script = readme_block("python").replace("WeightedDPOConfig(", "WeightedDPOConfig(use_cpu=True, bf16=False, ", 1)
    script = re.sub(r"max_steps=\d+", "max_steps=2", script)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=world, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads((world / "dpo-model" / "weighted_dpo.json").read_text())["data"]["pairs"] == 15
