"""Two processes write the pool that one writes, and what two killed ones left is taken up by one."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.integration.launching import ENVIRONMENT, kill_when_begun
from tests.tiny import tiny_pool
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.core.models import load_model, load_tokenizer
from trl_weighted_dpo.sampling import SamplingConfig
from trl_weighted_dpo.sampling.files import sample_file
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

pytestmark = pytest.mark.long

PROBLEMS = [{name: value for name, value in row.items() if name != "candidates"} for row in tiny_pool(41)]
LAUNCHERS = {
    "one": [sys.executable],
    "two": [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file",
        str(REPOSITORY / "recipes" / "accelerate" / "ddp.yaml"), "--num_processes", "2", "--main_process_port", "0",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model_dir):
    folder = tmp_path_factory.mktemp("sample")
    write_rows(folder / "problems.jsonl", PROBLEMS)
    sampler = TransformersSampler(load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir)))
    sample_file(PROBLEMS, folder / "whole.jsonl", sampler, SamplingConfig(4, max_new_tokens=24, batch_tokens=400))
    return folder


def command(folder, launcher, name, model):
    module = ["-m", "trl_weighted_dpo.cli", "sample", str(folder / "problems.jsonl"), "--model", str(model)]
    options = ["-k", "4", "--max-new-tokens", "24", "--batch-tokens", "400", "-o", str(folder / f"{name}.jsonl")]
    return [*LAUNCHERS[launcher], *module, *options]


def run(folder, launcher, name, model):
    arguments = command(folder, launcher, name, model)
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def test_two_processes_write_what_one_writes(world, tiny_model_dir):
    output = run(world, "two", "two", tiny_model_dir)
    assert output.count("41 pool rows written to") == 1
    assert (world / "two.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()
    assert not [*world.glob("*.journal*")]


def test_what_two_killed_processes_left_is_resumed_by_one(world, tiny_model_dir):
    journals = [world / "killed.jsonl.journal", world / "killed.jsonl.journal-1"]
    kill_when_begun(command(world, "two", "killed", tiny_model_dir), journals, 3)
    assert not (world / "killed.jsonl").exists()
    kept = sum(journal.read_bytes().count(b"\n") - 1 for journal in journals)
    assert kept >= 6
    output = run(world, "one", "killed", tiny_model_dir)
    assert f"{kept} ({kept / 164:.1%})" in output
    assert (world / "killed.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()
    assert not [*world.glob("*.journal*")]
