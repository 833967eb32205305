"""What `benchmarks/training.py` counts and computes, against values by hand."""

import argparse

import pytest
import torch
from benchmarks.training_speed import contestants as field
from benchmarks.training_speed.counting import HeadProducts, count_positions
from benchmarks.training_speed.figures import Spread, peak, ratios
from benchmarks.training_speed.memory import highest_allocation, optimizer_state, weights_of
from benchmarks.training_speed.pairs import FEW_SHOT_TOKENS, LENGTHS, common_prefix, generated_world, lengths
from benchmarks.training_speed.speed import check_agreement

from benchmarks import training

TINY = field.Size("tiny", 2000, 32, 64, 2, 4)


def test_a_ratio_is_the_median_of_those_of_each_round() -> None:
    # The medians of both are 4 and 2; the second round, slow for both, does not count double.
    assert ratios([2.0, 60.0, 4.0], [1.0, 20.0, 2.0]) == Spread(2.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ratios([1.0, 2.0], [1.0])


def test_a_spread_is_written_with_its_ends() -> None:
    assert Spread.of([0.5, 0.25, 4.0]).text(1, 10) == "5.0 (2.5–40.0)"


@pytest.mark.parametrize(("changes", "expected"), [([], 0), ([5, -5, 3, 4, -2], 7), ([-5, 3], 0), ([8, -8, 2], 8)])
def test_the_peak_is_the_highest_running_sum(changes, expected) -> None:
    assert peak(changes) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("abc", "abd", 2), ("abc", "abc", 3), ("ab", "abc", 2), ("", "a", 0), ("x", "y", 0)],
)
def test_the_common_prefix(first, second, expected) -> None:
    assert common_prefix(first, second) == expected


def test_generated_pairs_have_the_lengths_they_are_said_to_have() -> None:
    world = generated_world(len(LENGTHS))

    found = [lengths([pair], world.tokenizer) for pair in world.short]
    assert sorted((item.prompt, item.chosen, item.rejected, item.common) for item in found) == sorted(LENGTHS)
    for short, long in zip(world.short, world.long, strict=True):
        added = lengths([long], world.tokenizer).prompt - lengths([short], world.tokenizer).prompt
        assert FEW_SHOT_TOKENS <= added < FEW_SHOT_TOKENS + 400
        assert (long["chosen"], long["rejected"]) == (short["chosen"], short["rejected"])


def test_fewer_pairs_are_spread_evenly_over_all_lengths() -> None:
    world = generated_world(8)
    everything, some = lengths(generated_world(32).short, world.tokenizer), lengths(world.short, world.tokenizer)

    assert some.prompt + some.chosen + some.rejected == pytest.approx(
        everything.prompt + everything.chosen + everything.rejected, rel=0.05
    )


def test_different_losses_are_not_compared() -> None:
    check_agreement({"one": 0.7, "other": 0.70005}, 1e-4)
    with pytest.raises(ValueError, match=r"one: 0\.700000, other: 0\.701000"):
        check_agreement({"one": 0.7, "other": 0.701}, 1e-4)


def test_head_positions_are_counted_whole_and_in_tiles() -> None:
    weight, other = torch.randn(60, 8, requires_grad=True), torch.randn(60, 8)
    hidden = torch.randn(2, 7, 8)
    with HeadProducts([weight, None]) as products:
        torch.nn.functional.linear(hidden, weight)
        torch.nn.functional.linear(hidden, other)
        flat = torch.zeros(14, 20)
        for tile in weight.detach().split(20):
            flat.addmm_(hidden.flatten(0, 1), tile.T)

    assert products.positions() == [2 * 14, 0]


def test_allocations_are_counted_at_their_highest() -> None:
    def work() -> None:
        first = torch.zeros(1000)
        second = torch.zeros(500)
        del first
        torch.zeros(250)
        del second

    assert highest_allocation(work) == 4 * 1500


@pytest.mark.long
def test_the_tables_of_a_tiny_model(tmp_path, capsys) -> None:
    world = generated_world(6)
    racers = training.ready(
        training.Report(None), TINY, world.tokenizer, world.short, 2, field.contestants("cpu"), str(tmp_path)
    )
    default, ours = racers[field.TRL_DEFAULT.name], racers[field.OURS.name]

    # Without weights the same loss, from the same log-probs of a reference that differs from the policy.
    batch = default.batches[0]
    uniform = racers[field.OURS_UNIFORM.name]
    losses = [racer.trainer.compute_loss(racer.trainer.model, racer.batches[0]).item() for racer in (default, uniform)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(0.6931, abs=1e-4)

    counted = count_positions(default)
    assert counted.backbone == counted.backbone_reference == batch["input_ids"].numel()
    assert counted.head in (batch["input_ids"].numel(), batch["input_ids"][:, 1:].numel())
    assert counted.head_reference == counted.head
    given = count_positions(ours)
    assert (given.backbone_reference, given.head_reference) == (0, 0)
    laid_out = ours.batches[0]
    assert (given.backbone, given.head) == (laid_out["shared_input_ids"].numel(), len(laid_out["shared_score_labels"]))
    assert given.backbone < counted.backbone

    parameters = sum(parameter.numel() for parameter in default.trainer.model.parameters())
    assert weights_of(default) == 2 * weights_of(ours) == 2 * 4 * parameters
    # Two moments of every weight, and a step count of every tensor.
    assert optimizer_state(ours) == 4 * (2 * parameters + sum(1 for _ in ours.trainer.model.parameters()))

    report = training.Report(tmp_path / "results.md")
    options = argparse.Namespace(threads=[1], rounds=2, quick=True)
    training.compare(report, TINY, world, "short", 2, options, [field.TRL_DEFAULT, field.TRL_PRECOMPUTED, field.OURS])
    printed = capsys.readouterr().out
    assert (tmp_path / "results.md").read_text().strip() in printed
    assert f"| {field.TRL_DEFAULT.name} | {counted.backbone} | {counted.backbone} |" in printed
    assert "1.00 (1.00–1.00)" in printed
