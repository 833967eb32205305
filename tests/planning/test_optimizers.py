"""Optimizer state, against the real optimizers."""

import pytest
import torch
from transformers import Adafactor

from trl_weighted_dpo.planning.model import ParameterGroup
from trl_weighted_dpo.planning.optimizers import OPTIMIZERS, optimizer_kind, state_bytes

SIZES = ((128, 96), (512, 32), (96,), (16, 16))


def group(dtype="float32", in_embedding=False):
    return ParameterGroup("layers", 0, dtype, True, SIZES, in_embedding=in_embedding)


def held(optimizer):
    """Bytes of an optimizer's state after a step, but for single numbers."""
    total = 0
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor) and value.dim():
                total += value.nbytes
    return total


def stepped(cls, dtype="float32", **settings):
    parameters = [torch.nn.Parameter(torch.randn(size).to(getattr(torch, dtype))) for size in SIZES]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = cls(parameters, **settings)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("name", "cls", "settings"),
    [
        ("adamw_torch", torch.optim.AdamW, {}),
        ("adamw_torch_fused", torch.optim.AdamW, {"fused": True}),
        ("adagrad", torch.optim.Adagrad, {}),
        ("rmsprop", torch.optim.RMSprop, {}),
        ("sgd", torch.optim.SGD, {}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_keeps_state_in_the_parameters_precision(name, cls, settings, dtype):
    assert state_bytes(OPTIMIZERS[name], [group(dtype)]) == held(stepped(cls, dtype, **settings))


def test_adafactor_keeps_rows_and_columns():
    optimizer = stepped(Adafactor, lr=1e-3, relative_step=False, scale_parameter=False)
    assert state_bytes(OPTIMIZERS["adafactor"], [group()]) == held(optimizer)


def test_eight_bit_adam_of_bitsandbytes_keeps_as_much():
    """Its step needs a GPU; its state is made without."""
    from bitsandbytes.optim import AdamW8bit

    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in SIZES]
    optimizer = AdamW8bit(parameters)
    optimizer.check_overrides()
    for index, parameter in enumerate(parameters):
        optimizer.init_state(optimizer.param_groups[0], parameter, 0, index)
    names = ("state1", "state2", "absmax1", "absmax2")
    total = sum(state[name].nbytes for state in optimizer.state.values() for name in names if name in state)
    assert state_bytes(OPTIMIZERS["adamw_8bit"], [group()]) == total
    embedding = state_bytes(OPTIMIZERS["adamw_8bit"], [group(in_embedding=True)])
    assert embedding == state_bytes(OPTIMIZERS["adamw_torch"], [group()])


def test_an_unknown_optimizer_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="'adam_w' is not among those that can be planned: adafactor, "):
        optimizer_kind("adam_w")
