"""`weighted-dpo run` killed in each stage and run again: the data and the model of a run that was not killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.integration.launching import ENVIRONMENT
from tests.integration.pipeline_world import make_world, write_recipe

pytestmark = pytest.mark.long

PROGRAM = os.path.join(os.path.dirname(sys.executable), "weighted-dpo")  # noqa: PTH118, PTH120
ORDER = (
    "problems", "sft-data", "sft", "round-1/sample", "round-1/verify", "round-1/score", "round-1/mine",
    "round-1/weigh", "round-1/train", "evaluate",
)  # fmt: skip
AXOLOTL = {
    "sequence_len": 256, "micro_batch_size": 4, "max_steps": 12, "save_steps": 2, "logging_steps": 2,
    "learning_rate": 1e-3, "optimizer": "adamw_torch", "use_cpu": True, "bf16": False, "fp16": False, "tf32": False,
}  # fmt: skip


def start(folder, *arguments, recipe="run.yaml"):
    """The command in a process group of its own, with what it says in a file."""
    said = (folder / "said.txt").open("w")
    command = [PROGRAM, "run", recipe, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
    )


def finish(folder, *arguments, recipe="run.yaml"):
    """What the command says; it must succeed."""
    process = start(folder, *arguments, recipe=recipe)
    try:
        code = process.wait(timeout=1800)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    said = (folder / "said.txt").read_text()
    assert code == 0, said[-6000:]
    return said


def wait_until(process, folder, has_begun):
    deadline = time.monotonic() + 600
    while not has_begun():
        assert process.poll() is None, (folder / "said.txt").read_text()[-6000:]
        assert time.monotonic() < deadline, (folder / "said.txt").read_text()[-6000:]
        time.sleep(0.002)


def kill_when(folder, has_begun, *arguments, recipe="run.yaml"):
    """Kill −9 of the run and all its children, as soon as `has_begun()`."""
    process = start(folder, *arguments, recipe=recipe)
    try:
        wait_until(process, folder, has_begun)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def lines(path):
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A run that is not interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    make_world(folder)
    write_recipe(folder)
    said = finish(folder)
    assert [line.split()[1] for line in said.splitlines() if line.startswith("[") and "/10] " in line] == list(ORDER)
    return folder


@pytest.fixture
def world(reference, tmp_path):
    """Gives a copy of that run without what a stage, and those after it, have made: paths are others, contents not."""

    def copy(stage):
        folder = tmp_path / "copy"
        shutil.copytree(reference, folder)
        for name in ORDER[ORDER.index(stage) :]:
            (folder / "out" / f"{name}.manifest.json").unlink()
        for made in MADE[stage]:
            path = folder / "out" / made
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    return copy


MADE = {
    "sft": ["sft/model"],
    "round-1/sample": ["round-1/pool.jsonl"],
    "round-1/verify": ["round-1/verified.jsonl"],
    "round-1/score": ["round-1/scored.jsonl"],
    "round-1/mine": ["round-1/pairs.jsonl"],
    "round-1/train": ["round-1/model"],
    "evaluate": ["evaluation"],
}


def assert_same_model(folder, other):
    ours, theirs = (load_file(path / "model.safetensors") for path in (folder, other))
    assert ours.keys() == theirs.keys()
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-5, atol=1e-6)


def test_a_moved_run_is_up_to_date(reference, tmp_path):
    shutil.copytree(reference, tmp_path / "moved")
    said = finish(tmp_path / "moved")
    assert said.count(": up to date") == 10
    assert "weighted-dpo score" not in said
    assert "Report: out/evaluation/evaluation.json" in said


@pytest.mark.parametrize(
    ("stage", "journal", "entries"),
    [
        ("round-1/sample", "round-1/pool.jsonl.journal", 200),
        ("round-1/verify", "round-1/verified.jsonl.journal", 50),
        ("round-1/score", "round-1/scored.jsonl.journal", 2),
        ("round-1/mine", "round-1/pairs.jsonl.journal", 20),
    ],
)
def test_rows_of_a_killed_stage_are_those_of_an_uninterrupted_one(world, reference, stage, journal, entries):
    folder = world(stage)
    (output,) = MADE[stage]
    path = folder / "out" / journal
    kill_when(folder, lambda: lines(path) >= entries, "--until", stage)
    assert not (folder / "out" / output).exists()
    done = lines(path)
    assert done >= entries
    start_of_journal = path.read_bytes()[: path.read_bytes().rfind(b"\n") + 1]
    kept = []

    def is_taken_up():
        # What was done is neither lost nor begun anew: the journal still begins with it when it grows.
        if lines(path) > done:
            kept.append(path.read_bytes().startswith(start_of_journal))
        return bool(kept)

    kill_when(folder, is_taken_up, "--until", stage)
    assert kept == [True]
    finish(folder, "--until", stage)
    assert (folder / "out" / output).read_bytes() == (reference / "out" / output).read_bytes()
    assert not path.exists()


@pytest.mark.parametrize(("stage", "checkpoint"), [("sft", "checkpoint-20"), ("round-1/train", "checkpoint-4")])
def test_a_model_whose_training_was_killed_is_that_of_an_uninterrupted_one(world, reference, stage, checkpoint):
    folder = world(stage)
    model = folder / "out" / MADE[stage][0]
    kill_when(folder, (model / checkpoint / "trainer_state.json").is_file, "--until", stage)
    assert not (model / "model.safetensors").exists()
    # A checkpoint that the kill has cut short must not be gone on from.
    (model / "checkpoint-50").mkdir()
    (model / "checkpoint-50" / "model.safetensors").write_bytes(b"cut short")
    said = finish(folder, "--until", stage)
    steps = sorted(int(path.name.split("-")[1]) for path in model.glob("checkpoint-*"))
    assert steps == ([20, 40, 60] if stage == "sft" else [2, 4, 6, 8, 10, 12])
    command = json.loads((folder / "out" / f"{stage}.manifest.json").read_text())["command"]
    assert "--resume_from_checkpoint" in command
    assert command in said
    assert_same_model(model, reference / "out" / MADE[stage][0])


def test_settings_that_change_after_a_kill_do_not_train_on_from_a_stale_checkpoint(world, tmp_path):
    stage = "round-1/train"
    folder = world(stage)
    model = folder / "out" / "round-1" / "model"
    kill_when(folder, (model / "checkpoint-2" / "trainer_state.json").is_file, "--until", stage)
    recipe = yaml.safe_load((folder / "run.yaml").read_text())
    recipe["train"]["settings"] |= {"max_steps": 1, "save_steps": 1, "logging_steps": 1}
    (folder / "run.yaml").write_text(yaml.safe_dump(recipe))
    finish(folder, "--until", stage)
    assert [path.name for path in model.glob("checkpoint-*")] == ["checkpoint-1"]
    command = json.loads((folder / "out" / f"{stage}.manifest.json").read_text())["command"]
    assert "--resume_from_checkpoint" not in command


def test_an_evaluation_that_was_killed_is_that_of_an_uninterrupted_one(world, reference):
    folder = world("evaluate")
    samples = folder / "out" / "evaluation" / "sft.samples.jsonl.journal"
    kill_when(folder, lambda: lines(samples) >= 5)
    greedy = (folder / "out" / "evaluation" / "sft.greedy.jsonl").stat()
    finish(folder)
    # Not sampled again.
    assert (folder / "out" / "evaluation" / "sft.greedy.jsonl").stat().st_mtime_ns == greedy.st_mtime_ns
    for name in ("evaluation.json", "sft.samples.jsonl", "round-1.greedy.jsonl", "round-1.samples.jsonl"):
        ours, theirs = (path / "out" / "evaluation" / name for path in (folder, reference))
        assert ours.read_bytes() == theirs.read_bytes(), name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_run_alone_ends_its_children(world, number):
    folder = world("round-1/verify")
    journal = folder / "out" / "round-1" / "verified.jsonl.journal"
    process = start(folder, "--until", "verify")
    wait_until(process, folder, lambda: lines(journal) >= 5)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    second = subprocess.run([PROGRAM, "run", "run.yaml"], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert [member for member in family if member.is_running()] == []
    assert (folder / "said.txt").read_text().endswith("Stopped. Run again to go on from here.\n")
    assert second.returncode == 1
    assert "Error: out: another `weighted-dpo run`" in second.stderr


def test_training_in_axolotl_that_was_killed(world, reference):
    """Pairs by a file: nothing but training is run."""
    folder = world("evaluate")
    settings = {"engine": "axolotl", "launch": "python", "settings": AXOLOTL}
    for name in ("straight", "killed"):
        write_recipe(
            folder, f"{name}.yaml", output_dir=name, model="out/sft/model", sft=None, problems=None, sample=None,
            verify=None, score=None, weigh=None, evaluation=None, mine={"file": "out/round-1/pairs.jsonl"},
            train=settings,
        )  # fmt: skip
    finish(folder, recipe="straight.yaml")
    (folder / "killed" / "logs").mkdir(parents=True)
    # The same settings need not be checked twice.
    shutil.copy(folder / "straight" / "logs" / "checked.json", folder / "killed" / "logs")
    model = folder / "killed" / "round-1" / "model"
    kill_when(folder, (model / "checkpoint-4" / "trainer_state.json").is_file, recipe="killed.yaml")
    assert not (folder / "killed" / "round-1" / "train.manifest.json").exists()
    finish(folder, recipe="killed.yaml")
    assert "resume from checkpoint at killed/round-1/model/checkpoint-" in (
        folder / "killed" / "logs" / "round-1-train.log"
    ).read_text(errors="replace")
    assert_same_model(model, folder / "straight" / "round-1" / "model")
    record = json.loads((model / "weighted_dpo.json").read_text())
    assert record["reference"] == "columns"
