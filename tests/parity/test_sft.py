"""`sft` is the mean over the pair's own chosen tokens: TRL's number for equal lengths, else the closed form."""

import pytest
import torch

from tests.arena import assert_same, batch_of, loss_and_gradients
from tests.tiny import tiny_pairs


def test_equal_lengths_give_trls_loss(arena):
    pairs = [{**row, "chosen": tiny_pairs(1)[0]["chosen"]} for row in tiny_pairs(4)]
    match = arena(pairs=pairs)
    settings = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 5.0]}
    trl, ours = match.trl(**settings), match.ours(weight_scheme="uniform", **settings)
    assert len({len(ids) for ids in ours.train_dataset["chosen_ids"]}) == 1
    assert_same(loss_and_gradients(ours, batch_of(ours)), loss_and_gradients(trl, batch_of(trl)), 1e-5)


def test_other_lengths_follow_the_closed_form(arena):
    weights = [0.5, 2.0, 1.0, 0.0]
    pairs = [{**row, "weight": weight} for row, weight in zip(tiny_pairs(4), weights, strict=True)]
    ours = arena(pairs=pairs).ours(loss_type=["sft"])
    rows = ours.train_dataset
    assert len({len(ids) for ids in rows["chosen_ids"]}) > 1
    expected = 0.0
    for row, weight in zip(rows, weights, strict=True):
        ids = torch.tensor([row["prompt_ids"] + row["chosen_ids"]])
        logps = ours.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        tokens = logps.gather(1, ids[0, 1:, None])[len(row["prompt_ids"]) - 1 :]
        expected += weight * -tokens.mean().item() / len(weights)
    assert loss_and_gradients(ours, batch_of(ours))[0] == pytest.approx(expected, rel=1e-5)
