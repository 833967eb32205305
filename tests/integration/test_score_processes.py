"""Two processes write the file that one writes, and a killed run of them goes on."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.integration.launching import ENVIRONMENT, kill_when_begun
from tests.tiny import tiny_pool
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.scoring.scoring import windows

pytestmark = pytest.mark.long

POOL = tiny_pool(1200)
LAUNCHERS = {
    "one": [sys.executable],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    # Not with `--cpu`, which starts one process, whatever the number.
    "accelerate": [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file",
        str(REPOSITORY / "recipes" / "accelerate" / "ddp.yaml"), "--num_processes", "2", "--main_process_port", "0",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model_dir):
    folder = tmp_path_factory.mktemp("score")
    write_rows(folder / "pool.jsonl", POOL)
    assert sum(1 for _ in windows(POOL, "pool")) > 4
    run(folder, "one", "whole", tiny_model_dir)
    return folder


def command(folder, launcher, name, model):
    module = ["-m", "trl_weighted_dpo.cli", "score", str(folder / "pool.jsonl"), "--model", str(model)]
    return [*LAUNCHERS[launcher], *module, "-o", str(folder / f"{name}.jsonl")]


def run(folder, launcher, name, model):
    done = subprocess.run(
        command(folder, launcher, name, model), env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_write_what_one_writes(world, tiny_model_dir, launcher):
    output = run(world, launcher, launcher, tiny_model_dir)
    assert output.count("1200 scored rows written to") == 1
    assert (world / f"{launcher}.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()
    assert not list(world.glob("*.journal*"))


def test_two_killed_processes_go_on(world, tiny_model_dir):
    journals = [world / "killed.jsonl.journal", world / "killed.jsonl.journal-1"]
    kill_when_begun(command(world, "torchrun", "killed", tiny_model_dir), journals, 1)
    assert not (world / "killed.jsonl").exists()
    kept = [journal.read_bytes() for journal in journals]
    assert all(kept)
    run(world, "torchrun", "killed", tiny_model_dir)
    assert (world / "killed.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()
    assert not list(world.glob("*.journal*"))
