"""With all weights 1, loss and gradients are TRL's, for each loss type (promise 1 of the design)."""

import pytest
import torch

from tests.arena import assert_same, batch_of, loss_and_gradients, trl_in
from trl_weighted_dpo.training.objective import PAIR_LOSSES

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
SMOOTHING = {"exo_pair": 0.01, "robust": 0.1}
LOSSES = [name for name in PAIR_LOSSES if name != "sft"]


@pytest.mark.parametrize("share_prompt", ["true", "false"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("loss_type", LOSSES)
def test_loss_and_gradients_are_trls(arena, loss_type, dtype, share_prompt):
    match = arena(dtype)
    settings = {"loss_type": [loss_type], "label_smoothing": SMOOTHING.get(loss_type, 0.0)}
    with trl_in(dtype):
        trl, ours = match.trl(**settings), match.ours(weight_scheme="uniform", share_prompt=share_prompt, **settings)
        expected, measured = (loss_and_gradients(trainer, batch_of(trainer)) for trainer in (trl, ours))
    assert_same(measured, expected, TOLERANCE[dtype])
