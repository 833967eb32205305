"""Our metrics: closed forms on tables, and what trainers log over windows, buckets, resumes and evaluation."""

import math

import pytest
import torch
from datasets import Dataset

from tests.arena import batch_of, loss_and_gradients, make
from tests.tiny import tiny_pairs
from trl_weighted_dpo.training.telemetry import COLUMNS, ess_of_run, hardness_bounds, pair_metrics

HARDNESS = [0.9, 0.1, 0.5, 0.2, 0.6, 0.8]
"""The terciles lie between 0.2 and 0.5, and between 0.6 and 0.8."""


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


def hard_pairs():
    weights = [0.5, 2.0, 1.25, 0.25, 3.0, 1.0]
    return [
        {**row, "weight": weight, "hardness": hardness}
        for row, weight, hardness in zip(tiny_pairs(6), weights, HARDNESS, strict=True)
    ]


def test_a_batch_is_logged_as_its_pairs_one_by_one(tmp_path):
    trainer = make(tmp_path, hard_pairs())
    singles = []
    for row in range(6):
        loss_and_gradients(trainer, batch_of(trainer, [row]))
        singles.append(trainer._take_metrics("train"))
    loss_and_gradients(trainer, batch_of(trainer))
    metrics = trainer._take_metrics("train")
    for name in (
        "displacement/chosen_delta", "displacement/rejected_delta", "displacement/frac_below_ref", "lengths/chosen",
        "lengths/rejected",
    ):  # fmt: skip
        assert metrics[name] == pytest.approx(sum(single[name] for single in singles) / 6, rel=1e-5), name
    weights = [row["weight"] for row in hard_pairs()]
    margins = [single["rewards/margins_weighted"] for single in singles]
    by_weight = sum(weight * margin for weight, margin in zip(weights, margins, strict=True)) / 8
    assert metrics["rewards/margins_weighted"] == pytest.approx(by_weight, rel=1e-4)
    for bucket, rows in {"low": (1, 3), "mid": (2, 4), "high": (0, 5)}.items():
        for name in ("accuracy", "margin", "chosen_delta", "loss"):
            key = f"hardness_{bucket}/{name}"
            assert metrics[key] == pytest.approx(sum(singles[row][key] for row in rows) / 2, rel=1e-4), key


def test_displacement_is_from_the_models_own_log_probs(tmp_path):
    trainer = make(tmp_path, hard_pairs()[:1])
    loss_and_gradients(trainer, batch_of(trainer))
    row = trainer.train_dataset[0]
    deltas = {}
    for side in ("chosen", "rejected"):
        ids = torch.tensor([row["prompt_ids"] + row[f"{side}_ids"]])
        logps = [
            model(input_ids=ids)
            .logits[0, :-1]
            .log_softmax(-1)
            .gather(1, ids[0, 1:, None])[len(row["prompt_ids"]) - 1 :]
            for model in (trainer.model, trainer.ref_model)
        ]
        deltas[side] = (logps[0] - logps[1]).mean().item()
    metrics = trainer._take_metrics("train")
    assert metrics["displacement/chosen_delta"] == pytest.approx(deltas["chosen"], rel=1e-4)
    assert metrics["displacement/rejected_delta"] == pytest.approx(deltas["rejected"], rel=1e-4)
    assert metrics["lengths/chosen"] == len(row["chosen_ids"])


def test_evaluation_pairs_fall_into_the_training_sets_buckets(tmp_path):
    held_out = Dataset.from_list([{**row, "hardness": 0.85 + 0.01 * place} for place, row in enumerate(tiny_pairs(3))])
    results = [
        make(tmp_path, hard_pairs(), eval_dataset=held_out, per_device_eval_batch_size=size).evaluate()
        for size in (1, 2, 3)
    ]
    for result in results:
        assert [name for name in result if "hardness_" in name and "eval_hardness_high" not in name] == []
        assert result["eval_hardness_high/loss"] == pytest.approx(result["eval_loss/unweighted"])
        for name, value in results[0].items():
            if "displacement/" in name or "hardness_" in name or "_weighted" in name:
                assert result[name] == pytest.approx(value, rel=1e-4), name
        assert "eval_weights/ess_run" not in result


@pytest.mark.parametrize("hardness", [["easy"] * 6, [None] * 6, [0.5] * 6])
def test_hardness_that_tells_nothing_apart_gives_no_buckets(tmp_path, hardness):
    rows = [{**row, "hardness": value} for row, value in zip(hard_pairs(), hardness, strict=True)]
    for remove in (True, False):
        trainer = make(tmp_path, rows, remove_unused_columns=remove)
        loss_and_gradients(trainer, batch_of(trainer))
        assert not [name for name in trainer._take_metrics("train") if name.startswith("hardness_")]


def train(folder, steps, resume=None):
    settings = {
        "max_steps": steps, "logging_steps": 1, "save_steps": 2, "learning_rate": 1e-2, "seed": 7,
        "lr_scheduler_type": "constant", "save_only_model": False,
    }  # fmt: skip
    trainer = make(folder, hard_pairs(), **settings)
    trainer.args.per_device_train_batch_size = trainer._train_batch_size = 2
    trainer.train(resume_from_checkpoint=resume)
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def test_the_runs_effective_sample_size_goes_on_after_a_resume(tmp_path):
    whole = train(tmp_path / "whole", 3)
    train(tmp_path / "parts", 2)
    resumed = train(tmp_path / "parts", 3, resume=True)
    weights = [row["weight"] for row in hard_pairs()]
    assert whole[-1]["weights/ess_run"] == pytest.approx(64 / (6 * sum(weight**2 for weight in weights)))
    assert [entry["weights/ess_run"] for entry in resumed] == pytest.approx(
        [entry["weights/ess_run"] for entry in whole]
    )
    assert whole[0]["weights/ess_run"] == pytest.approx(whole[0]["weights/ess"])
