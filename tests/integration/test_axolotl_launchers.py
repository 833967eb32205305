"""`axolotl train --launcher …`: two processes give what one with twice the batch gives."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.integration.conftest import log_history, run_axolotl, write_config
from tests.integration.launching import recipe
from tests.tiny import tiny_pool

pytestmark = pytest.mark.long

TORCHRUN = ("--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", "2")
ACCELERATE = (
    "--launcher", "accelerate", "--", "--config_file", str(recipe("accelerate/ddp.yaml")), "--num_processes", "2",
    "--main_process_port", "0",
)  # fmt: skip
# Axolotl places each process on the GPU of its number; a limit on memory lets it plan, and it finds the CPU only.
ON_CPUS = {
    "plugins": ["trl_weighted_dpo.axolotl.WeightedDPOPlugin", "tests.integration.cpu_plugin.CpuPlugin"],
    "max_memory": {"cpu": "4GiB"},
    "micro_batch_size": 2,
}
RUNS = {
    "one": (("--launcher", "python"), {"save_steps": 1}),
    "resumed": (("--launcher", "python"), {}),
    "accelerate": (ACCELERATE, ON_CPUS),
    "zero2": (TORCHRUN, {**ON_CPUS, "deepspeed": str(recipe("deepspeed/zero2.json"))}),
    # ZeRO-3 places the model by itself.
    "zero3": (TORCHRUN, {**ON_CPUS, "max_memory": None, "deepspeed": str(recipe("deepspeed/zero3.json"))}),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model_dir):
    world = tmp_path_factory.mktemp("launchers")
    pool = world / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(40)))
    dataset = {"path": str(pool), "ds_type": "json", "split": "train", "type": "trl_weighted_dpo.hard_negatives"}
    for name, (launcher, settings) in RUNS.items():
        (world / name).mkdir()
        if name == "resumed":
            settings = {**settings, "resume_from_checkpoint": str(world / "one" / "out" / "checkpoint-2")}
        config = write_config(world / name, tiny_model_dir, dataset, weighted_dpo={"lambda": 0.8}, **settings)
        run_axolotl("train", config, *launcher)
    return world


def parameters(folder):
    return dict(AutoModelForCausalLM.from_pretrained(folder / "out", dtype=torch.float32).named_parameters())


@pytest.mark.parametrize("name", [name for name in RUNS if name != "one"])
def test_two_processes_are_one_of_twice_the_batch_and_a_resumed_run_the_uninterrupted_one(world, name):
    one, two = log_history(world / "one"), log_history(world / name)
    assert len(one) == len(two) == 5
    assert abs(one[4]["loss"] - one[0]["loss"]) > 1e-3
    for step, (expected, measured) in enumerate(zip(one, two, strict=True)):
        for metric in ("loss", "loss/unweighted", "logps/chosen", "rewards/margins", "weights/mean", "weights/ess"):
            assert measured[metric] == pytest.approx(expected[metric], rel=1e-5, abs=1e-6), (step, metric)
    records = [json.loads((world / run / "out" / "weighted_dpo.json").read_text()) for run in ("one", name)]
    assert records[1]["data"] == records[0]["data"]
    assert records[1]["weighting"] == records[0]["weighting"]
    # One process mines, and the others read what it found.
    assert len(list((world / name / "prepared").glob("weighted-dpo-*/pairs-*.jsonl"))) == 1
    expected = parameters(world / "one")
    for parameter, value in parameters(world / name).items():
        torch.testing.assert_close(value, expected[parameter], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "parts"), [("accelerate", 0), ("zero2", 1), ("zero3", 2)])
def test_the_engine_is_the_one_asked_for(world, name, parts):
    found = list((world / name / "out" / "checkpoint-5").rglob("*_model_states.pt"))
    assert len(found) == parts
