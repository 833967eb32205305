"""Our metrics as trainers log them: over windows, buckets, resumes and evaluation."""

import pytest
import torch
from datasets import Dataset

from tests.arena import batch_of, loss_and_gradients, make
from tests.tiny import tiny_pairs

HARDNESS = [0.9, 0.1, 0.5, 0.2, 0.6, 0.8]
"""The terciles lie between 0.2 and 0.5, and between 0.6 and 0.8."""


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
