"""The forward under FSDP2: torch's own `fully_shard` on two CPU processes (accelerate has no FSDP on CPUs)."""

import pytest
import torch

from tests.integration.launching import launch
from tests.integration.pairs import PAIRS, collated
from tests.integration.sharding import CASES, loss_of, model_of

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    launch("sharded_worker.py", folder)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_sharded_model_on_halves_is_the_whole_one_on_all_pairs(sharded, case):
    found = torch.load(sharded / f"{case}.pt")
    # Each process holds half of every parameter.
    assert all(share == pytest.approx(0.5) for share in found["share"].values())
    model = model_of(CASES[case])
    loss = loss_of(model, collated(slice(0, PAIRS)), "model")
    loss.backward()
    assert found["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert found["gradients"].keys() == expected.keys()
    assert ("lm_head.weight" in expected) != CASES[case].tied
    for name, gradient in expected.items():
        error = (found["gradients"][name] - gradient).norm() / gradient.norm()
        assert error <= 1e-5, f"{name}: relative error {error:.2e}"
