"""Signs of training that goes wrong, provoked in real trainings of a tiny model."""

import json
import logging
import math

import pytest
from datasets import Dataset

from tests.tiny import perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

pytestmark = pytest.mark.long


def near_duplicates(count):
    """Pairs that differ in the final number only."""
    rows = []
    for row in tiny_pairs(count):
        solution, answer = row["chosen"].rsplit("#### ", 1)
        rows.append({**row, "rejected": f"{solution}#### {int(answer) + 1}"})
    return [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows]


def train(folder, model, reference, pairs, resume=None, **settings):
    arguments = {
        "output_dir": str(folder), "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [],
        "save_strategy": "no", "logging_steps": 1, "lr_scheduler_type": "constant", "max_steps": 12,
        "per_device_train_batch_size": 16,
    }  # fmt: skip
    trainer = WeightedDPOTrainer(
        perturbed(model, scale=0.0), perturbed(reference, scale=0.0), WeightedDPOConfig(**{**arguments, **settings}),
        train_dataset=Dataset.from_list(pairs), processing_class=tiny_tokenizer(),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def findings(folder):
    return {one["signature"]: one for one in json.loads((folder / "health.json").read_text())["findings"]}


@pytest.fixture(scope="module")
def sft_model(tmp_path_factory):
    """A model that has learnt the chosen completions by heart."""
    folder = tmp_path_factory.mktemp("sft")
    settings = {"loss_type": ["sft"], "max_steps": 40, "learning_rate": 1e-2}
    return train(folder, tiny_model(), tiny_model(), near_duplicates(16), **settings).model


def test_plain_dpo_displaces_near_duplicates_and_dpo_positive_does_not(tmp_path, sft_model, caplog):
    settings = {"learning_rate": 3e-3, "weight_scheme": "uniform"}
    with caplog.at_level(logging.WARNING):
        plain = train(tmp_path / "plain", sft_model, sft_model, near_duplicates(16), **settings)
    last = [log for log in plain.state.log_history if "loss" in log][-1]
    assert last["rewards/accuracies"] == 1.0
    assert last["displacement/chosen_delta"] < -0.2
    assert list(findings(tmp_path / "plain")) == ["displacement"]
    assert caplog.text.count("set dpop_lambda=50") == 1
    positive = train(tmp_path / "dpop", sft_model, sft_model, near_duplicates(16), dpop_lambda=50.0, **settings)
    last = [log for log in positive.state.log_history if "loss" in log][-1]
    assert last["rewards/accuracies"] == 1.0
    assert last["displacement/chosen_delta"] > -0.01
    assert findings(tmp_path / "dpop") == {}


def test_displacement_stops_training_if_asked_to(tmp_path, sft_model):
    settings = {"learning_rate": 3e-3, "health_early_stop": True}
    trainer = train(tmp_path, sft_model, sft_model, near_duplicates(16), **settings)
    assert trainer.state.global_step == findings(tmp_path)["displacement"]["step"] < 12
    assert json.loads((tmp_path / "health.json").read_text())["stopped_early"]


def test_a_resumed_run_does_not_repeat_itself(tmp_path, sft_model, caplog):
    settings = {"learning_rate": 3e-3, "save_strategy": "steps", "save_steps": 8}
    train(tmp_path, sft_model, sft_model, near_duplicates(16), max_steps=8, **settings)
    before = findings(tmp_path)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        train(tmp_path, sft_model, sft_model, near_duplicates(16), resume=True, **settings)
    assert findings(tmp_path) == before
    assert list(before) == ["displacement"]
    assert "the chosen completions have lost" not in caplog.text
    assert json.loads((tmp_path / "health.json").read_text())["step"] == 12


def test_a_reference_that_is_another_model_saturates_the_first_log(tmp_path, sft_model):
    train(tmp_path, sft_model, tiny_model(), tiny_pairs(16), max_steps=2, learning_rate=1e-6)
    assert findings(tmp_path)["saturated_start"]["step"] == 1


def test_a_learning_rate_far_too_high_makes_rewards_explode(tmp_path, sft_model):
    train(tmp_path, sft_model, sft_model, tiny_pairs(16), max_steps=4, learning_rate=0.1, beta=1.0)
    assert findings(tmp_path)["rewards_exploding"]["step"] <= 4


def test_a_step_that_breaks_the_model_is_told_though_the_trainer_hides_its_loss(tmp_path):
    settings = {"learning_rate": 1e6, "optim": "sgd", "max_grad_norm": 0.0, "max_steps": 4}
    trainer = train(tmp_path, tiny_model(), tiny_model(), tiny_pairs(16), **settings)
    logged = [log for log in trainer.state.log_history if "loss" in log]
    assert all(math.isfinite(log["loss"]) for log in logged)
    assert findings(tmp_path)["non_finite"]["step"] == 2


def test_weights_at_bounds_and_a_collapsed_sample_come_from_the_data(tmp_path):
    rows = [{**row, "rejected_wrongness": 1.0 if place == 0 else 0.0} for place, row in enumerate(tiny_pairs(16))]
    settings = {"learning_rate": 1e-6, "weight_scheme": "wrongness", "weight_lambda": 1.0}
    train(tmp_path, tiny_model(), tiny_model(), rows, max_steps=6, **settings)
    assert findings(tmp_path)["weights_at_bounds"]["seen"].startswith("94% of the normalised raw weights sit at weight")
    heavy = [{**row, "weight": 10.0 if place == 0 else 0.1} for place, row in enumerate(tiny_pairs(16))]
    train(tmp_path, tiny_model(), tiny_model(), heavy, max_steps=6, learning_rate=1e-6)
    # 64 pairs are four steps.
    assert (list(findings(tmp_path)), findings(tmp_path)["ess_collapse"]["step"]) == (["ess_collapse"], 4)


def test_pairs_in_order_of_their_length_are_told(tmp_path):
    rows = sorted(tiny_pairs(800), key=lambda row: len(row["rejected"]))
    settings = {"train_sampling_strategy": "sequential", "per_device_train_batch_size": 80, "max_steps": 10}
    train(tmp_path, tiny_model(), tiny_model(), rows, learning_rate=1e-6, **settings)
    assert "mean length of rejected completions has moved from" in findings(tmp_path)["length_drift"]["seen"]


def test_a_healthy_run_is_silent_and_the_check_can_be_switched_off(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="trl_weighted_dpo.training.callbacks"):
        train(tmp_path / "on", tiny_model(), tiny_model(), tiny_pairs(64), learning_rate=1e-4)
    assert findings(tmp_path / "on") == {}
    assert not [record for record in caplog.records if "health" in record.name]
    train(
        tmp_path / "off",
        tiny_model(),
        tiny_model(),
        tiny_pairs(16),
        learning_rate=1e-4,
        max_steps=1,
        health_check=False,
    )
    assert not (tmp_path / "off" / "health.json").exists()


def test_an_early_stop_without_a_check_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`health_early_stop=True` does nothing with `health_check=False`"):
        train(tmp_path, tiny_model(), tiny_model(), tiny_pairs(4), health_check=False, health_early_stop=True)
