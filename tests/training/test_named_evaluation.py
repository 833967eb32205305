"""Several evaluation sets by name: values, names of metrics, and the best model by one of them."""

import pytest
from datasets import Dataset

from tests.arena import make, weighted
from tests.tiny import tiny_pairs
from tests.training.columns import make as make_from_folder
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

SETS = {"gsm8k": tiny_pairs(5, seed=7), "hard": tiny_pairs(3, seed=8)}
VALUES = ("loss", "loss/unweighted", "weights/mean", "weights/ess", "rewards/margins", "logps/chosen", "entropy")


def datasets():
    return {name: Dataset.from_list(rows) for name, rows in SETS.items()}


def assert_named(metrics, alone):
    """The metrics of the sets together are those of each alone, under its name."""
    for name, single in alone.items():
        for value in VALUES:
            assert metrics[f"eval_{name}_{value}"] == pytest.approx(single[f"eval_{value}"], rel=1e-6), (name, value)
    assert not {f"eval_{value}" for value in VALUES} & set(metrics)
    assert metrics["eval_gsm8k_rewards/margins"] != metrics["eval_hard_rewards/margins"]


def test_each_set_gives_what_it_gives_alone_under_its_name(tmp_path):
    settings = {"weight_lambda": 0.8, "weight_scheme": "verifier"}
    pairs = tiny_pairs(8)
    alone = {name: make(tmp_path, pairs, eval_dataset=data, **settings).evaluate() for name, data in datasets().items()}
    trainer = make(tmp_path, pairs, eval_dataset=datasets(), **settings)
    assert_named(trainer.evaluate(), alone)
    # Weighed by the statistics of the training set: not normalised to mean 1 on their own.
    means = {name: single["eval_weights/mean"] for name, single in alone.items()}
    assert all(abs(mean - 1) > 1e-3 for mean in means.values())
    assert_named(trainer.evaluate(datasets()), alone)
    logged = {key for entry in trainer.state.log_history for key in entry}
    assert {"eval_gsm8k_weights/ess", "eval_hard_weights/ess", "eval_hard_loss"} <= logged


def test_one_set_of_several_can_be_evaluated_by_name(tmp_path):
    trainer = make(tmp_path, eval_dataset=datasets())
    together = trainer.evaluate()
    single = trainer.evaluate("hard", metric_key_prefix="eval_hard")
    for value in VALUES:
        assert single[f"eval_hard_{value}"] == pytest.approx(together[f"eval_hard_{value}"], rel=1e-6)


def test_a_set_without_a_name_and_training_keep_trls_names(tmp_path):
    trainer = make(tmp_path, eval_dataset=datasets()["hard"], max_steps=1, logging_steps=1, eval_strategy="steps")
    trainer.train()
    keys = {key for entry in trainer.state.log_history for key in entry}
    assert {"rewards/margins", "eval_rewards/margins", "eval_loss", "weights/ess", "eval_weights/ess"} <= keys
    assert not any("hard" in key for key in keys)


def test_reference_columns_serve_every_set(folder, tmp_path, rows):
    sets = {"gsm8k": rows[:5], "hard": rows[5:9]}
    given = {name: Dataset.from_list(data) for name, data in sets.items()}
    args = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "max_length": 512, "report_to": []}
    trainer = WeightedDPOTrainer(
        str(folder), args=WeightedDPOConfig(ref_logps="columns", **args), train_dataset=Dataset.from_list(rows),
        eval_dataset=given,
    )  # fmt: skip
    assert trainer.ref_model is None
    alone = {
        name: make_from_folder(folder, tmp_path, rows, held_out=data, ref_logps="model").evaluate()
        for name, data in sets.items()
    }
    metrics = trainer.evaluate()
    for name, single in alone.items():
        for value in ("loss", "weights/mean", "logps/chosen"):
            assert metrics[f"eval_{name}_{value}"] == pytest.approx(single[f"eval_{value}"], rel=1e-4)


@pytest.mark.parametrize(("best", "other"), [("good", "bad"), ("bad", "good")])
def test_the_best_model_by_one_set_is_loaded_at_the_end(tmp_path, best, other):
    """Pairs turned around get worse as training goes on: each set has another best checkpoint."""
    pairs = weighted([1.0] * 6)
    turned = [{**pair, "chosen": pair["rejected"], "rejected": pair["chosen"]} for pair in pairs]
    held_out = {"good": Dataset.from_list(pairs), "bad": Dataset.from_list(turned)}
    trainer = make(
        tmp_path, pairs, eval_dataset=held_out, max_steps=3, eval_strategy="steps", eval_steps=1, save_steps=1,
        learning_rate=1e-2, lr_scheduler_type="constant", load_best_model_at_end=True,
        metric_for_best_model=f"eval_{best}_loss", greater_is_better=False,
    )  # fmt: skip
    trainer.train()
    history = {
        name: [entry[f"eval_{name}_loss"] for entry in trainer.state.log_history if f"eval_{name}_loss" in entry]
        for name in held_out
    }
    step = {"good": 3, "bad": 1}[best]
    assert history[best].index(min(history[best])) == step - 1 != history[other].index(min(history[other]))
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{step}")
    assert trainer.state.best_metric == min(history[best])
    assert trainer.evaluate()[f"eval_{best}_loss"] == pytest.approx(min(history[best]), rel=1e-5)
