"""Weights in the trainer: losses by hand, accumulation, evaluation, logging, records and refusals."""

import json
import logging

import pytest
import torch
from datasets import Dataset

from tests.arena import WEIGHTS, Arena, assert_same, batch_of, loss_and_gradients, make, weighted
from tests.tiny import exact_model, save_tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer


def test_mixed_weights_are_the_hand_written_sum(tmp_path):
    ours = make(tmp_path, model=exact_model())
    uniform = make(tmp_path, model=exact_model(), weight_scheme="uniform")
    expected_loss, expected_gradients = 0.0, {}
    for row, weight in enumerate(WEIGHTS):
        loss, gradients = loss_and_gradients(uniform, batch_of(uniform, [row]))
        expected_loss += weight * loss / len(WEIGHTS)
        for name, gradient in gradients.items():
            expected_gradients[name] = expected_gradients.get(name, 0) + weight * gradient / len(WEIGHTS)
    assert_same(loss_and_gradients(ours, batch_of(ours)), (expected_loss, expected_gradients), 1e-9)


def test_weight_zero_drops_the_pair(tmp_path):
    ours = make(tmp_path, weighted([1.5, 0.0, 0.5]), model=exact_model())
    loss, gradients = loss_and_gradients(ours, batch_of(ours))
    without_loss, without_gradients = loss_and_gradients(ours, batch_of(ours, [0, 2]))
    scaled = {name: 2 / 3 * gradient for name, gradient in without_gradients.items()}
    assert_same((loss, gradients), (2 / 3 * without_loss, scaled), 1e-9)


def test_weight_zero_silences_an_infinite_loss(tmp_path):
    ours = make(tmp_path, weighted([1.0, 0.0]))
    batch = batch_of(ours)
    expected = loss_and_gradients(ours, batch)
    ours.compute_ref_log_probs = lambda *_: (torch.tensor([-50.0, torch.inf]), torch.tensor([-60.0, -torch.inf]))
    loss, gradients = loss_and_gradients(ours, batch)
    assert torch.isfinite(torch.tensor(loss))
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert gradients.keys() == expected[1].keys()


def test_a_batch_of_zeros_gives_zero_loss_and_gradient(tmp_path):
    ours = make(tmp_path, weighted([0.0, 0.0]))
    loss, gradients = loss_and_gradients(ours, batch_of(ours))
    assert loss == 0.0
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients.values())
    assert ours._take_metrics("train")["weights/ess"] == 0.0


@pytest.mark.parametrize("loss_types", [["sigmoid"], ["ipo", "sft"]])
def test_accumulation_over_single_pairs_is_one_batch(tmp_path, loss_types):
    finals = []
    for size, steps in ((4, 1), (1, 4)):
        pairs = weighted([0.5, 2.0, 1.25, 0.25, 1.0, 0.0, 3.0, 0.7])
        trainer = make(
            tmp_path, pairs, exact_model(), loss_type=loss_types, max_steps=2, logging_steps=1, save_strategy="no",
            gradient_accumulation_steps=steps, learning_rate=1e-2, optim="sgd", max_grad_norm=0.0,
        )  # fmt: skip
        trainer.args.per_device_train_batch_size = size
        trainer._train_batch_size = size
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        finals.append((losses, {name: p.detach() for name, p in trainer.model.named_parameters()}))
    assert finals[1][0] == pytest.approx(finals[0][0], rel=1e-6)
    for name, parameter in finals[0][1].items():
        torch.testing.assert_close(finals[1][1][name], parameter, rtol=1e-9, atol=1e-12)


def test_evaluation_is_weighted_and_does_not_depend_on_the_batch_size(tmp_path):
    held_out = Dataset.from_list(weighted([0.5, 2.0, 1.25, 0.25]))
    sizes = (1, 2, 3, 4)
    results = [make(tmp_path, eval_dataset=held_out, per_device_eval_batch_size=size).evaluate() for size in sizes]
    trainer = make(tmp_path, weight_scheme="uniform")
    singles = [loss_and_gradients(trainer, batch_of(trainer, [row]))[0] for row in range(4)]
    expected = sum(weight * loss for weight, loss in zip(WEIGHTS, singles, strict=True)) / 4
    for result in results:
        assert result["eval_loss"] == pytest.approx(expected, rel=1e-5)
        assert result["eval_loss/unweighted"] == pytest.approx(sum(singles) / 4, rel=1e-5)
        assert result["eval_weights/mean"] == pytest.approx(1.0)
        assert result["eval_weights/ess"] == pytest.approx(16 / (4 * (0.25 + 4 + 1.5625 + 0.0625)))


def test_evaluation_pairs_are_weighed_by_the_training_statistics(tmp_path):
    train = [{**row, "rejected_wrongness": 0.25} for row in tiny_pairs(2)]
    train[1]["rejected_wrongness"] = 0.5
    held_out = Dataset.from_list([{**tiny_pairs(1)[0], "rejected_wrongness": 0.75}])
    settings = {"weight_lambda": 1.0, "weight_confidence_gap": 0.0, "weight_nll": 0.0}
    trainer = make(tmp_path, train, eval_dataset=held_out, **settings)
    assert trainer.train_dataset["pair_weight"][:] == pytest.approx([2 / 3, 4 / 3])
    assert trainer.eval_dataset["pair_weight"][:] == pytest.approx([2.0])
    assert trainer.evaluate(held_out)["eval_weights/mean"] == pytest.approx(2.0)
    assert trainer.evaluate(trainer.eval_dataset)["eval_weights/mean"] == pytest.approx(2.0)


def test_weight_metrics_over_a_logging_window(tmp_path):
    trainer = make(
        tmp_path, weighted([0.5, 1.5, 3.0, 1.0]), max_steps=2, logging_steps=2, learning_rate=1e-3, save_strategy="no"
    )
    trainer.args.per_device_train_batch_size = trainer._train_batch_size = 2
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["weights/min"] == 0.5
    assert logged["weights/max"] == 3.0
    assert logged["weights/mean"] == pytest.approx(1.5)
    assert logged["weights/ess"] == pytest.approx(6**2 / (4 * (0.25 + 2.25 + 9 + 1)))
    assert logged["loss/unweighted"] != pytest.approx(logged["loss"], rel=1e-3)


def test_effective_sample_size_of_a_batch(tmp_path):
    ours = make(tmp_path)
    loss_and_gradients(ours, batch_of(ours))
    expected = sum(WEIGHTS) ** 2 / (4 * sum(weight**2 for weight in WEIGHTS))
    assert ours._take_metrics("train")["weights/ess"] == pytest.approx(expected)


def test_unused_columns_may_be_removed_or_kept(tmp_path):
    for remove in (True, False):
        trainer = make(tmp_path, remove_unused_columns=remove)
        batch = next(iter(trainer.get_train_dataloader()))
        assert sorted(batch["pair_weight"].tolist()) == sorted(WEIGHTS)


def test_a_model_given_as_a_path_trains_and_records_what_it_did(tmp_path):
    source = save_tiny_model(tmp_path / "model")
    args = WeightedDPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
        max_steps=2, save_steps=1, per_device_train_batch_size=2, learning_rate=1e-3,
    )  # fmt: skip
    trainer = WeightedDPOTrainer(str(source), args=args, train_dataset=Dataset.from_list(tiny_pairs(6)))
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    record = json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())
    assert record["weighting"]["settings"]["lambda_"] == 0.3
    assert record["weighting"]["statistics"]["scheme"] == "verifier"
    assert record["weighting"]["summary"]["pairs"] == record["data"]["pairs"] == 6
    assert record["objective"]["loss_types"] == ["sigmoid"]
    assert record["versions"]["torch"] == torch.__version__
    for folder in (tmp_path / "saved", tmp_path / "out" / "checkpoint-1"):
        assert json.loads((folder / "weighted_dpo.json").read_text()) == record
    assert "2512.19728" in (tmp_path / "out" / "README.md").read_text()


def test_fingerprint_follows_the_pairs_and_their_weights(tmp_path):
    first = make(tmp_path).run_record["data"]["fingerprint"]
    assert make(tmp_path).run_record["data"]["fingerprint"] == first
    assert make(tmp_path, weighted([0.5, 2.0, 1.25, 0.26])).run_record["data"]["fingerprint"] != first


def test_resuming_with_other_settings_warns(tmp_path, caplog):
    settings = {"max_steps": 1, "save_steps": 1, "per_device_eval_batch_size": 2}
    make(tmp_path, tiny_pairs(4), **settings).train()
    with caplog.at_level(logging.WARNING):
        make(tmp_path, tiny_pairs(4), **settings).train(resume_from_checkpoint=True)
    assert "other settings" not in caplog.text
    with caplog.at_level(logging.WARNING):
        checkpoint = str(tmp_path / "checkpoint-1")
        make(tmp_path, tiny_pairs(4), weight_lambda=0.9, **settings).train(resume_from_checkpoint=checkpoint)
    assert "weighting.settings.lambda_: 0.3 -> 0.9" in caplog.text


def test_weights_are_computed_anew_for_a_dataset_that_another_trainer_prepared(tmp_path):
    pairs = tiny_pairs(6)
    flat = make(tmp_path, pairs, weight_lambda=0.0)
    assert flat.train_dataset["pair_weight"][:] == [1.0] * 6
    expected = make(tmp_path, pairs, weight_lambda=1.0).train_dataset["pair_weight"][:]
    arena = Arena(tmp_path, pairs)
    args = WeightedDPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, weight_lambda=1.0)
    again = WeightedDPOTrainer(
        arena.policy, arena.reference, args, train_dataset=flat.train_dataset, processing_class=arena.tokenizer
    )
    assert again.train_dataset["pair_weight"][:] == expected
    assert max(expected) > 1.2


def test_another_lambda_reuses_precomputed_reference_log_probs(tmp_path, monkeypatch):
    counted = []
    kept = WeightedDPOTrainer.compute_ref_log_probs
    monkeypatch.setattr(
        WeightedDPOTrainer, "compute_ref_log_probs", lambda *given: (counted.append(1), kept(*given))[1]
    )
    model = save_tiny_model(tmp_path / "model")
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in tiny_pairs(4)))
    runs = []
    for lambda_ in (0.3, 0.9):
        args = WeightedDPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, precompute_ref_log_probs=True,
            weight_lambda=lambda_,
        )  # fmt: skip
        dataset = Dataset.from_json(str(source), cache_dir=str(tmp_path / "cache"))
        trainer = WeightedDPOTrainer(str(model), args=args, train_dataset=dataset, eval_dataset=dataset)
        columns = trainer.train_dataset
        runs.append((columns["ref_chosen_logps"][:], columns["pair_weight"][:], len(counted)))
    assert runs[0][0] == runs[1][0]
    assert runs[0][1] != runs[1][1]
    assert (runs[0][2], runs[1][2]) == (1, 1)


def test_several_evaluation_sets(tmp_path):
    held_out = {"easy": Dataset.from_list(weighted([1.0, 2.0])), "hard": Dataset.from_list(weighted([0.5, 0.5]))}
    trainer = make(tmp_path, eval_dataset=held_out)
    metrics = trainer.evaluate()
    uniform = make(tmp_path, weight_scheme="uniform")
    first, second = (loss_and_gradients(uniform, batch_of(uniform, [row]))[0] for row in (0, 1))
    assert metrics["eval_easy_loss"] == pytest.approx((first + 2 * second) / 2, rel=1e-5)
    assert metrics["eval_hard_loss"] == pytest.approx(0.5 * (first + second) / 2, rel=1e-5)
