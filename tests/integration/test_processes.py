"""Two processes give what one gives (promise 2), with DDP and with DeepSpeed ZeRO, on CPUs."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.launching import history, launch

pytestmark = pytest.mark.long

WEIGHT_METRICS = ("weights/mean", "weights/min", "weights/max", "weights/ess")
DISPLACEMENT = (
    "displacement/chosen_delta",
    "displacement/frac_below_ref",
    "rewards/margins_weighted",
    "lengths/chosen",
)
METRICS = ("loss", "loss/unweighted", "rewards/margins", "logps/chosen", "entropy", *WEIGHT_METRICS, *DISPLACEMENT)


def run(folder, engine, processes, batch_size, steps=3, trainer="weighted"):
    folder.mkdir()
    launch("worker.py", folder, engine, batch_size, steps, trainer, processes=processes)
    weights = next((folder / "model").glob("*model.safetensors"))
    return history(folder, processes), load_file(weights)


@pytest.mark.parametrize(("engine", "tolerance"), [("ddp", 1e-9), ("zero2", 1e-5), ("zero3", 1e-5)])
def test_two_processes_are_one_larger_batch(tmp_path, engine, tolerance):
    one, one_model = run(tmp_path / "one", engine, 1, 4)
    two, two_model = run(tmp_path / "two", engine, 2, 2)
    assert len(one["train"]) == len(two["train"]) == 3
    for step, (expected, measured) in enumerate(zip(one["train"], two["train"], strict=True)):
        for name in METRICS:
            assert measured[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6), (step, name)
    for name in METRICS:
        assert two["eval"][f"eval_{name}"] == pytest.approx(one["eval"][f"eval_{name}"], rel=1e-5, abs=1e-6), name
    assert two["train"][-1]["weights/ess_run"] == pytest.approx(one["train"][-1]["weights/ess_run"], rel=1e-5)
    buckets = {name for name in one["eval"] if name.startswith("eval_hardness_")}
    assert len(buckets) == 12
    for name in buckets:
        assert two["eval"][name] == pytest.approx(one["eval"][name], rel=1e-4, abs=1e-5), name
    assert one_model.keys() == two_model.keys()
    for name, parameter in one_model.items():
        torch.testing.assert_close(two_model[name], parameter, rtol=tolerance, atol=tolerance)


def test_computed_weights_are_the_same_on_every_rank_as_in_one_process(tmp_path):
    run(tmp_path / "one", "ddp", 1, 4, steps=1, trainer="shuffled")
    run(tmp_path / "two", "ddp", 2, 2, steps=1, trainer="shuffled")
    places = ("one/weights-0.json", "two/weights-0.json", "two/weights-1.json")
    one, *ranks = (json.loads((tmp_path / place).read_text()) for place in places)
    assert len(set(one)) > 10
    assert ranks == [one, one]


def test_an_adapter_and_a_ragged_end_behave_as_trls(tmp_path):
    """22 pairs leave two for the last global batch of four, which accelerate fills up from the beginning."""
    trl, trl_adapter = run(tmp_path / "trl", "ddp", 2, 2, steps=6, trainer="trl")
    ours, our_adapter = run(tmp_path / "ours", "ddp", 2, 2, steps=6, trainer="uniform")
    assert len(trl["train"]) == len(ours["train"]) == 6
    for step, (expected, measured) in enumerate(zip(trl["train"], ours["train"], strict=True)):
        for name, value in expected.items():
            assert measured[name] == pytest.approx(value, rel=1e-5, abs=1e-6), (step, name)
    assert trl_adapter.keys() == our_adapter.keys()
    for name, parameter in trl_adapter.items():
        torch.testing.assert_close(our_adapter[name], parameter, rtol=1e-5, atol=1e-7)
