"""Plans against what DeepSpeed estimates and torchao keeps, which come with Axolotl."""

from dataclasses import replace

import pytest
import torch
from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs
from torchao.optim import AdamW8bit

from tests.planning.dimensions import known_config
from tests.planning.test_memory import STEP, ZERO, planned, states
from tests.planning.test_optimizers import SIZES, group
from trl_weighted_dpo.planning.config import Sharding
from trl_weighted_dpo.planning.optimizers import OPTIMIZERS, state_bytes


@pytest.mark.parametrize("gpus", [8, 64])
def test_zero2_is_deepspeeds_own_estimate(gpus):
    """2 bytes a parameter, and 18 spread: gradients 2 and 4, master weights 4, Adam 8."""
    summary, plan = planned(known_config("qwen2.5-1.5b"), ZERO, gpus)
    _, expected = estimate_zero2_model_states_mem_needs(summary.count(), gpus, 1, cpu_offload=False)
    assert states(plan) + plan.named("activations and work").bytes[STEP] == pytest.approx(expected, abs=100)


def test_zero3_is_deepspeeds_own_estimate_and_the_gradients_it_leaves_out():
    """Its 18 bytes are 2 for parameters and 16, in which half-precision gradients are missing that stay while the
    optimizer steps."""
    settings = replace(ZERO, sharding=Sharding("deepspeed", 3))
    summary, plan = planned(known_config("qwen2.5-1.5b"), settings, 8)
    _, expected, _ = estimate_zero3_model_states_mem_needs(summary.count(), 0, 8, 1, False, False)
    ours = states(plan) + plan.named("activations and work").bytes[STEP]
    assert ours == pytest.approx(expected + 2 * summary.count() / 8, abs=100)


def test_eight_bit_adam_of_torchao_keeps_a_byte_and_a_share_of_a_constant():
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in SIZES]
    optimizer = AdamW8bit(parameters)
    total = 0
    for parameter in parameters:
        for signed in (True, False):
            buffer = optimizer._new_buffer(parameter, signed)
            parts = (buffer.codes, buffer.scale) if hasattr(buffer, "codes") else (buffer,)
            total += sum(part.nbytes for part in parts)
    assert state_bytes(OPTIMIZERS["adamw_torch_8bit"], [group()]) == total
