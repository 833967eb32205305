"""`accelerate launch` with the recipes: two processes under DDP, ZeRO-2 and ZeRO-3, checkpoints, resuming, and the
model that is saved."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.integration.launching import history, launch, recipe
from tests.integration.worker import CHECKPOINT_STEPS, PAIRS, WEIGHTS, make_trainer

pytestmark = pytest.mark.long

ENGINES = ("ddp", "zero2", "zero3")
STEPS = 8
BATCH = 4
RAGGED = PAIRS // BATCH  # the step, from 0, that takes the last pairs of the first epoch
CHECKPOINT = f"checkpoint-{CHECKPOINT_STEPS}"
METRICS = (
    "loss", "loss/unweighted", "grad_norm", "learning_rate", "rewards/margins", "rewards/accuracies", "logps/chosen",
    "logps/rejected", "entropy", "weights/mean", "weights/min", "weights/max", "weights/ess",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """For each engine a run of eight steps, and one that goes on from its third; `one` is one process of twice the
    batch."""
    world = tmp_path_factory.mktemp("resume")
    for engine in ENGINES:
        for name, checkpoint in (("straight", []), ("resumed", [world / engine / "straight" / "out" / CHECKPOINT])):
            folder = world / engine / name
            folder.mkdir(parents=True)
            config = recipe(f"accelerate/{engine}.yaml")
            launch("worker.py", folder, "launched", BATCH // 2, STEPS, "resumable", *checkpoint, config=config)
    return world


def parameters(folder):
    """As they are in memory after training."""
    return load_file(folder / "in_memory.safetensors")


def assert_logged_the_same(measured, expected, rel):
    assert len(measured) == len(expected)
    for step, (entry, other) in enumerate(zip(measured, expected, strict=True)):
        for name in METRICS:
            assert entry[name] == pytest.approx(other[name], rel=rel, abs=rel), (step, name)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_recipe_starts_its_engine(world, engine):
    expected = "DistributedDataParallel" if engine == "ddp" else "DeepSpeedEngine"
    assert history(world / engine / "straight")["engine"] == expected
    parts = list((world / engine / "straight" / "out" / CHECKPOINT).rglob("*_model_states.pt"))
    # With ZeRO-3 each process writes its part of the weights.
    assert len(parts) == {"ddp": 0, "zero2": 1, "zero3": 2}[engine]


@pytest.mark.parametrize("engine", ["zero2", "zero3"])
def test_engines_agree(world, engine):
    ddp, other = history(world / "ddp" / "straight"), history(world / engine / "straight")
    assert_logged_the_same(other["train"], ddp["train"], 1e-4)
    for name, value in ddp["eval"].items():
        assert other["eval"][name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    expected = parameters(world / "ddp" / "straight")
    for name, parameter in parameters(world / engine / "straight").items():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-5)


def test_one_process_of_twice_the_batch_agrees_but_for_the_ragged_end(world, tmp_path):
    trainer = make_trainer(tmp_path, "launched", BATCH, STEPS, "resumable")
    trainer.train()
    one = [entry for entry in trainer.state.log_history if "loss" in entry]
    two = history(world / "ddp" / "straight")
    assert_logged_the_same(two["train"][:RAGGED], one[:RAGGED], 1e-5)
    # One process takes the two pairs that are left as a batch of two.
    last = WEIGHTS[RAGGED * BATCH :]
    assert one[RAGGED]["weights/mean"] == pytest.approx(sum(last) / len(last))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_is_the_uninterrupted_one(world, engine):
    straight, resumed = history(world / engine / "straight"), history(world / engine / "resumed")
    assert len(straight["train"]) == STEPS
    assert abs(straight["train"][-1]["loss"] - straight["train"][0]["loss"]) > 1e-2
    # The first three are those of the checkpoint.
    assert_logged_the_same(resumed["train"], straight["train"], 1e-6)
    expected = parameters(world / engine / "straight")
    for name, parameter in parameters(world / engine / "resumed").items():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_saved_model_is_the_trained_one(world, engine):
    model = AutoModelForCausalLM.from_pretrained(world / engine / "straight" / "model")
    trained = parameters(world / engine / "straight")
    assert set(trained) == set(model.state_dict())
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(parameter, trained[name], rtol=0, atol=0)
    start = make_trainer(world / "start", "launched", BATCH, STEPS, "resumable").model
    assert not torch.equal(start.lm_head.weight, model.lm_head.weight)


@pytest.mark.parametrize("engine", ENGINES)
def test_ready_weights_are_those_of_the_pairs_at_the_ragged_end_too(world, engine):
    """Closed form, in the pairs' order. The last batch of an epoch is filled up with the pairs that began it, so that
    every process has as many; the next epoch begins with them again."""
    found = history(world / engine / "straight")
    order = [*range(PAIRS), *range(-PAIRS % BATCH)]
    assert order[RAGGED * BATCH :] == [20, 21, 0, 1]
    steps = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    for rows, entry in zip((steps + steps)[:STEPS], found["train"], strict=True):
        assert_weights(entry, [WEIGHTS[row] for row in rows])
    # Seven pairs for evaluation: what fills up the last batch is not counted.
    assert_weights(found["eval"], WEIGHTS[:7], "eval_")
    for rank in range(2):
        assert json.loads((world / engine / "straight" / f"weights-{rank}.json").read_text()) == WEIGHTS


def assert_weights(logged, weights, prefix=""):
    assert logged[f"{prefix}weights/mean"] == pytest.approx(sum(weights) / len(weights))
    assert logged[f"{prefix}weights/min"] == pytest.approx(min(weights))
    assert logged[f"{prefix}weights/max"] == pytest.approx(max(weights))
    squares = len(weights) * sum(weight**2 for weight in weights)
    assert logged[f"{prefix}weights/ess"] == pytest.approx(sum(weights) ** 2 / squares)
