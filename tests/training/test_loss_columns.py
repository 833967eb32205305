"""`dpop_lambda`, and the columns `dpo_margin` and `dpo_beta`, in the trainer: values, combinations, refusals."""

import logging
import math

import pytest
import torch
from datasets import Dataset, IterableDataset

from tests.arena import Arena, assert_same, batch_of, loss_and_gradients, make, weighted
from tests.tiny import exact_model, perturbed, save_tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer, WeightedPreferenceCollator
from trl_weighted_dpo.core.checks import SchemaError


def with_column(name, values):
    return [{**row, name: value} for row, value in zip(weighted(), values, strict=True)]


def alone(trainer, row):
    """Loss of one pair, and what was logged of it."""
    trainer._metrics["train"].clear()
    loss, _ = loss_and_gradients(trainer, batch_of(trainer, [row]))
    trainer._take_metrics("train")
    return loss, {name: values[0] for name, values in trainer._metrics["train"].items()}


def test_a_column_of_one_beta_is_the_argument(tmp_path):
    column = make(tmp_path, with_column("dpo_beta", [0.25] * 4))
    argument = make(tmp_path, beta=0.25)
    for trainer in (column, argument):
        trainer.measured = loss_and_gradients(trainer, batch_of(trainer))
        trainer._take_metrics("train")
    assert_same(column.measured, argument.measured, 0.0)
    names = [name for name in column._metrics["train"] if name.startswith("rewards/")]
    assert len(names) >= 4
    for name in names:
        assert column._metrics["train"][name] == argument._metrics["train"][name], name


def test_pairs_own_betas_are_losses_and_rewards_of_those_betas(tmp_path):
    betas = [0.05, 0.5, 1.0, 0.25]
    ours = make(tmp_path, with_column("dpo_beta", betas), exact_model())
    expected, chosen_rewards = 0.0, []
    for row, (beta, weight) in enumerate(zip(betas, (0.5, 2.0, 1.25, 0.25), strict=True)):
        loss, metrics = alone(make(tmp_path, model=exact_model(), weight_scheme="uniform", beta=beta), row)
        expected += weight * loss / 4
        chosen_rewards.append(metrics["rewards/chosen"])
    assert loss_and_gradients(ours, batch_of(ours))[0] == pytest.approx(expected, rel=1e-7)
    ours._take_metrics("train")
    assert ours._metrics["train"]["rewards/chosen"] == pytest.approx([sum(chosen_rewards) / 4], rel=1e-6)


def test_offsets_of_zero_are_none(tmp_path):
    zeros, plain = make(tmp_path, with_column("dpo_margin", [0.0] * 4)), make(tmp_path)
    assert_same(*(loss_and_gradients(trainer, batch_of(trainer)) for trainer in (zeros, plain)), 0.0)


def formula(metrics, strength, offset=0.0):
    """-log sigma(m) of one pair, from what the trainer logs of it (beta is 0.1)."""
    chosen, rejected = metrics["rewards/chosen"] / 0.1, metrics["rewards/rejected"] / 0.1
    m = 0.1 * (chosen - rejected - strength * max(0.0, -chosen)) - offset
    return math.log1p(math.exp(-m))


@pytest.mark.parametrize("settings", [{}, {"ld_alpha": 0.3}, {"precompute_ref_log_probs": True}], ids=str)
def test_dpo_positive_and_offsets_are_the_formula_on_what_is_logged(tmp_path, settings):
    rows = [{**row, "dpo_margin": 0.7} for row in tiny_pairs(6)]
    trainer = make(tmp_path, rows, weight_scheme="uniform", dpop_lambda=2.0, **settings)
    displaced = 0
    for row in range(6):
        loss, metrics = alone(trainer, row)
        displaced += metrics["rewards/chosen"] < 0
        assert loss == pytest.approx(formula(metrics, 2.0, 0.7), rel=1e-5)
    assert 0 < displaced <= 6


def test_wpo_multiplies_the_loss_with_its_penalty(tmp_path):
    pairs = tiny_pairs(3)
    settings = {"weight_scheme": "uniform"}
    plain, wpo = make(tmp_path, pairs, **settings), make(tmp_path, pairs, use_weighting=True, **settings)
    both = make(tmp_path, pairs, use_weighting=True, dpop_lambda=2.0, **settings)
    for row in range(3):
        without, metrics = alone(plain, row)
        factor = alone(wpo, row)[0] / without
        assert alone(both, row)[0] == pytest.approx(factor * formula(metrics, 2.0), rel=1e-5)


def test_the_penalty_is_measured_from_the_reference_as_it_stands(tmp_path):
    """With a reference that follows the policy after every step, each step starts without a penalty."""
    trainer = make(
        tmp_path, tiny_pairs(4), dpop_lambda=50.0, sync_ref_model=True, ref_model_sync_steps=1, max_steps=3,
        ref_model_mixup_alpha=1.0, learning_rate=1e-2, logging_steps=1, save_strategy="no", weight_scheme="uniform",
    )  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] > 1.0
    assert losses[1:] == pytest.approx([math.log(2)] * 2, rel=1e-5)


def test_columns_reach_the_batch_with_unused_columns_removed_or_kept(tmp_path):
    rows = [{**row, "dpo_margin": 0.5 * place, "dpo_beta": 0.1 + place} for place, row in enumerate(weighted())]
    for remove in (True, False):
        batch = next(iter(make(tmp_path, rows, remove_unused_columns=remove).get_train_dataloader()))
        assert sorted(batch["dpo_margin"].tolist()) == [0.0, 0.5, 1.0, 1.5]
        assert sorted(batch["dpo_beta"].tolist()) == pytest.approx([0.1, 1.1, 2.1, 3.1])
        assert batch["dpo_beta"].dtype == torch.float32


@pytest.mark.parametrize(
    ("column", "value", "shown", "hint"),
    [
        ("dpo_beta", 0.0, r"0\.0", "A dpo_beta is a finite number > 0; mend the row"),
        ("dpo_beta", -0.1, r"-0\.1", "or drop the column"),
        ("dpo_beta", None, "null", "give it the configured beta"),
        ("dpo_margin", None, "null", r"A dpo_margin is a finite number; mend the row \(0 is no offset\)"),
        ("dpo_margin", math.inf, "inf", "or drop the column"),
        ("dpo_margin", math.nan, "nan", "or drop the column"),
    ],
)
def test_bad_values_are_named_when_the_dataset_enters(tmp_path, column, value, shown, hint):
    good = 0.3
    with pytest.raises(SchemaError, match=rf"the train dataset: row 2, column '{column}': got {shown}\. .*{hint}"):
        make(tmp_path, with_column(column, [good, good, value, good]))
    with pytest.raises(SchemaError, match=rf"the eval dataset: row 0, column '{column}': got {shown}\."):
        make(tmp_path, eval_dataset=Dataset.from_list(with_column(column, [value, good, good, good])))


def test_bad_values_of_a_stream_are_named_as_they_come(tmp_path):
    rows = with_column("dpo_beta", [0.1, 0.1, 0.1, -1.0])
    arena = Arena(tmp_path, tiny_pairs(2))
    args = WeightedDPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], max_steps=1)
    trainer = WeightedDPOTrainer(
        arena.policy, perturbed(arena.reference), args, processing_class=arena.tokenizer,
        train_dataset=IterableDataset.from_generator(lambda: iter(rows)),
    )  # fmt: skip
    with pytest.raises(SchemaError, match=r"rows counted from 0: row 3, column 'dpo_beta': got -1\.0"):
        trainer.train()


def test_offsets_are_refused_where_no_loss_has_a_margin(tmp_path):
    with pytest.raises(ValueError, match=r"'dpo_margin' of the train dataset does not go with loss_type bco_pair"):
        make(tmp_path, with_column("dpo_margin", [0.5] * 4), loss_type=["sigmoid", "bco_pair"])
    with pytest.raises(ValueError, match=r"`dpop_lambda=50` does not go with loss_type apo_zero"):
        make(tmp_path, dpop_lambda=50.0, loss_type=["apo_zero"])


def test_evaluation_pairs_without_the_column_are_remarked_on(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        make(tmp_path, with_column("dpo_beta", [0.3] * 4), eval_dataset=Dataset.from_list(weighted()))
    assert "The training set has 'dpo_beta', and the eval dataset has not" in caplog.text


@pytest.mark.parametrize("values", [(0.5, None), (0.5, -1.0)])
def test_collator_refuses_bad_betas(values):
    examples = [
        {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3], "pair_weight": 1.0, "dpo_beta": value}
        for value in values
    ]
    with pytest.raises(SchemaError, match="a batch: row 1, column 'dpo_beta'"):
        WeightedPreferenceCollator(pad_token_id=0)(examples)


def test_the_record_tells_columns_and_values_apart(tmp_path):
    records = [make(tmp_path).run_record]
    records += [make(tmp_path, with_column(name, [0.3] * 4)).run_record for name in ("dpo_beta", "dpo_margin")]
    records.append(make(tmp_path, with_column("dpo_beta", [0.3, 0.3, 0.3, 0.4]), dpop_lambda=5.0).run_record)
    assert [record["data"]["loss_columns"] for record in records] == [[], ["dpo_beta"], ["dpo_margin"], ["dpo_beta"]]
    fingerprints = [record["data"]["fingerprint"] for record in records]
    assert fingerprints[0] not in fingerprints[1:]
    assert fingerprints[1] != fingerprints[3]
    assert [record["objective"]["dpop_lambda"] for record in records] == [0.0, 0.0, 0.0, 5.0]


def test_other_betas_reuse_precomputed_reference_log_probs(tmp_path, monkeypatch):
    counted = []
    kept = WeightedDPOTrainer.compute_ref_log_probs
    monkeypatch.setattr(
        WeightedDPOTrainer, "compute_ref_log_probs", lambda *given: (counted.append(1), kept(*given))[1]
    )
    model = save_tiny_model(tmp_path / "model")
    Dataset.from_list(tiny_pairs(4)).to_json(tmp_path / "pairs.jsonl")
    for beta in (0.3, 0.4):
        plain = Dataset.from_json(str(tmp_path / "pairs.jsonl"), cache_dir=str(tmp_path / "cache"))
        args = WeightedDPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, precompute_ref_log_probs=True
        )
        trainer = WeightedDPOTrainer(str(model), args=args, train_dataset=plain.add_column("dpo_beta", [beta] * 4))
        assert trainer.train_dataset["dpo_beta"][:] == [beta] * 4
        assert "ref_chosen_logps" in trainer.train_dataset.column_names
    assert len(counted) == 1
