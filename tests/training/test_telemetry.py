"""Our metrics: closed forms on tables."""

import math

import pytest
import torch

from trl_weighted_dpo.training.telemetry import COLUMNS, ess_of_run, hardness_bounds, pair_metrics


def table(**columns):
    size = len(next(iter(columns.values())))
    rows = torch.zeros(size, len(COLUMNS), dtype=torch.float64)
    rows[:, COLUMNS.index("hardness")] = torch.nan
    for name, values in columns.items():
        rows[:, COLUMNS.index(name)] = torch.tensor(values, dtype=torch.float64)
    return rows


def measured(bounds=None, **columns):
    return pair_metrics(table(**{"weight": [1.0] * 3, **columns}), bounds)


def test_displacement_is_the_log_ratio_for_each_token():
    metrics = measured(
        chosen_ratio=[-2.0, 3.0, -1.0], chosen_tokens=[4, 6, 10], rejected_ratio=[-8.0, 0.0, 2.0],
        rejected_tokens=[4, 5, 8],
    )  # fmt: skip
    assert metrics["displacement/chosen_delta"] == pytest.approx((-0.5 + 0.5 - 0.1) / 3)
    assert metrics["displacement/rejected_delta"] == pytest.approx((-2 + 0 + 0.25) / 3)
    assert metrics["displacement/frac_below_ref"] == pytest.approx(2 / 3)
    assert (metrics["lengths/chosen"], metrics["lengths/rejected"]) == pytest.approx((20 / 3, 17 / 3))


def test_weighted_rewards_are_means_by_weight():
    rewards = {"chosen_reward": [1.0, 0.0, math.inf], "rejected_reward": [0.0, 2.0, 0.0]}
    metrics = measured(weight=[3.0, 1.0, 0.0], **rewards)
    assert metrics["rewards/margins_weighted"] == pytest.approx((3 * 1 - 2) / 4)
    assert metrics["rewards/accuracies_weighted"] == pytest.approx(3 / 4)
    assert not any(name.endswith("_weighted") for name in measured(weight=[0.0] * 3, **rewards))


def test_buckets_of_hardness():
    metrics = measured(
        (0.3, 0.6), weight=[1.0] * 4, hardness=[0.3, math.nan, 0.31, 0.2], loss=[1.0, 9.0, 2.0, 4.0],
        chosen_reward=[1.0, 9.0, 2.0, 0.0], rejected_reward=[0.0, 0.0, 3.0, 0.5], chosen_ratio=[4.0, 9.0, -6.0, 0.0],
        chosen_tokens=[2, 3, 3, 1],
    )  # fmt: skip
    buckets = {name: value for name, value in metrics.items() if name.startswith("hardness_")}
    assert buckets == {
        "hardness_low/accuracy": 0.5, "hardness_low/margin": 0.25, "hardness_low/chosen_delta": 1.0,
        "hardness_low/loss": 2.5, "hardness_mid/accuracy": 0.0, "hardness_mid/margin": -1.0,
        "hardness_mid/chosen_delta": -2.0, "hardness_mid/loss": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([0.0, 0.3, 0.6, 0.9], (0.3, 0.6)),
        ([0.9, None, 0.0, math.nan, 0.3, 0.6], (0.3, 0.6)),
        ([0.4, 0.4, None], None),
        ([None, None], None),
        ([], None),
    ],
)
def test_hardness_bounds_are_terciles(values, bounds):
    assert hardness_bounds(values) == (None if bounds is None else pytest.approx(bounds, rel=1e-6))


def test_effective_sample_size_of_a_run_is_that_of_all_its_weights():
    windows = [[1.0, 3.0], [0.0, 0.0], [0.5, 0.5, 2.0, 1.0], [4.0, 0.0]]
    history, step = [{"eval_weights/ess": 0.3, "step": 1}], 0
    for weights in windows:
        step += len(weights) // 2
        history.append({**pair_metrics(table(weight=weights)), "step": step})
    every = [weight for weights in windows for weight in weights]
    expected = sum(every) ** 2 / (len(every) * sum(weight**2 for weight in every))
    assert ess_of_run(history[:-1], history[-1], step) == pytest.approx(expected)
    assert ess_of_run([], {"weights/mean": 0.0, "weights/ess": 0.0}, 1) == 0.0
