"""Weights in the trainer: losses by hand, accumulation, evaluation, logging, records and refusals."""

import json
import logging
import re
import subprocess
import sys

import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import AutoModelForCausalLM, ProcessorMixin
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tests.conftest import REPOSITORY
from tests.parity.conftest import Arena, assert_same, batch_of, loss_and_gradients
from tests.tiny import exact_model, perturbed, save_tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer, WeightedPreferenceCollator
from trl_weighted_dpo.schema import SchemaError
from trl_weighted_dpo.training import support

WEIGHTS = [0.5, 2.0, 1.25, 0.25]


def weighted(weights=WEIGHTS):
    return [{**row, "weight": weight} for row, weight in zip(tiny_pairs(len(weights)), weights, strict=True)]


def make(folder, pairs=None, model=None, **settings):
    return Arena(folder, pairs or weighted(), model).ours(**settings)


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
    assert ours._totals["train"].metrics()["weights/ess"] == 0.0


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
    assert ours._totals["train"].metrics()["weights/ess"] == pytest.approx(expected)


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


def test_bad_weights_are_named_when_the_dataset_enters(tmp_path):
    with pytest.raises(SchemaError, match=r"the train dataset: row 2, column 'weight': got -1\.0"):
        make(tmp_path, weighted([1.0, 1.0, -1.0]))
    with pytest.raises(SchemaError, match=r"the eval dataset: row 0, column 'weight': got nan"):
        make(tmp_path, eval_dataset=Dataset.from_list(weighted([float("nan")])))


@pytest.mark.parametrize("bad", [{"chosen": ""}, {"rejected": None}, {"prompt": []}])
def test_bad_pairs_are_named_when_the_dataset_enters(tmp_path, bad):
    column, value = next(iter(bad.items()))
    rows = [*weighted(), {**weighted()[0], **bad}]
    if column == "prompt":
        rows = [
            {**row, "prompt": [{"role": "user", "content": row["prompt"]}] if row["prompt"] else []} for row in rows
        ]
    with pytest.raises(
        SchemaError, match=rf"the train dataset: row 4, column '{column}': got {re.escape(repr(value))}"
    ):
        make(tmp_path, rows)


def test_data_without_pairs_is_named(tmp_path):
    with pytest.raises(
        SchemaError, match="row 0, column 'rejected': the column is missing; there are: chosen, prompt, rejeted"
    ):
        make(tmp_path, [{"prompt": "p", "chosen": "c", "rejeted": "r"}])


def stream(rows):
    return IterableDataset.from_generator(lambda: iter(rows))


def streaming_trainer(folder, rows, **settings):
    arena = Arena(folder, tiny_pairs(2))
    args = WeightedDPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=1,
        per_device_train_batch_size=2, save_strategy="no", logging_steps=1, **settings,
    )  # fmt: skip
    return WeightedDPOTrainer(
        arena.policy, perturbed(arena.reference), args, train_dataset=stream(rows), processing_class=arena.tokenizer
    )


def test_streaming_takes_ready_weights(tmp_path):
    trainer = streaming_trainer(tmp_path, weighted([0.5, 2.0]))
    trainer.train()
    assert trainer.state.log_history[0]["weights/min"] == 0.5
    assert trainer.state.log_history[0]["weights/max"] == 2.0


def test_streaming_with_named_uniform_weights(tmp_path):
    trainer = streaming_trainer(tmp_path, tiny_pairs(2), weight_scheme="uniform")
    trainer.train()
    assert trainer.state.log_history[0]["weights/max"] == 1.0


def test_streaming_refuses_signals_and_bad_weights(tmp_path):
    with pytest.raises(ValueError, match="takes ready weights only"):
        streaming_trainer(tmp_path, tiny_pairs(2))
    with pytest.raises(SchemaError, match=r"the train dataset, rows counted from 0: row 1, column 'weight': got -3\.0"):
        streaming_trainer(tmp_path, weighted([1.0, -3.0])).train()


class TextProcessor(ProcessorMixin):
    attributes = ()

    def __init__(self):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_liger_kernel": True}, "use_liger_kernel=True` is not supported: Liger replaces"),
        ({"padding_free": True}, "padding_free=True` is not supported"),
        ({"loss_type": ["aot"]}, "cannot be weighted per pair"),
        ({"weight_lambda": 2.0}, r"must lie in \[0, 1\]"),
        ({"weight_scheme": "hard"}, "Unknown weighting scheme"),
    ],
)
def test_unsupported_arguments_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **settings)


def test_vision_is_refused(tmp_path):
    arena = Arena(tmp_path, weighted())
    arena.tokenizer = TextProcessor()
    with pytest.raises(ValueError, match="Vision-language models are not supported"):
        arena.ours()
    with pytest.raises(ValueError, match="has images, and vision is not supported"):
        make(tmp_path, [{**row, "images": ["a.png"]} for row in weighted()])


def test_sequence_parallelism_is_refused(tmp_path):
    class Parallelism:
        cp_size, sp_size = 2, 1

    args = WeightedDPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    args.parallelism_config = Parallelism()
    with pytest.raises(ValueError, match="Context and sequence parallelism are not supported"):
        support.check_arguments(args, "model", None, None, None, None)


def test_a_foreign_collator_is_refused(tmp_path):
    arena = Arena(tmp_path, weighted())
    args = WeightedDPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(ValueError, match="would drop the pairs' weights"):
        WeightedDPOTrainer(
            arena.policy, arena.reference, args, DataCollatorForPreference(0), Dataset.from_list(weighted()),
            processing_class=arena.tokenizer,
        )  # fmt: skip


def test_a_foreign_config_is_refused(tmp_path):
    from trl import DPOConfig

    arena = Arena(tmp_path, weighted())
    with pytest.raises(ValueError, match="Use WeightedDPOConfig"):
        arena.make(WeightedDPOTrainer, DPOConfig)


def test_a_nameless_model_needs_a_reference(tmp_path):
    arena = Arena(tmp_path, weighted())
    args = WeightedDPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(ValueError, match=r"ref_model=copy\.deepcopy\(model\)"):
        WeightedDPOTrainer(
            arena.policy, None, args, train_dataset=Dataset.from_list(weighted()), processing_class=arena.tokenizer
        )


def test_reference_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`ref_chosen_logps`"):
        make(tmp_path, [{**row, "ref_chosen_logps": -1.0, "ref_rejected_logps": -2.0} for row in weighted()])


def test_doubled_bos_is_remarked_on(tmp_path, caplog):
    arena = Arena(tmp_path, [{**row, "prompt": "<|im_start|>" * 2 + row["prompt"]} for row in weighted()])
    arena.tokenizer.bos_token = "<|im_start|>"
    with caplog.at_level(logging.WARNING):
        arena.ours()
    assert "row 0, column 'prompt': its tokens begin with two BOS tokens" in caplog.text


def test_newer_trl_warns_once(monkeypatch):
    monkeypatch.setattr(support.trl, "__version__", "99.0.0")
    support.warn_if_trl_is_newer_than_tested.cache_clear()
    with pytest.warns(UserWarning, match="newer than .*the newest that trl-weighted-dpo is tested with"):
        support.warn_if_trl_is_newer_than_tested()
    support.warn_if_trl_is_newer_than_tested()
    support.warn_if_trl_is_newer_than_tested.cache_clear()


def test_collator_pads_as_trl_and_carries_weights():
    examples = [
        {"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5], "pair_weight": 0.5},
        {"prompt_ids": [6], "chosen_ids": [7, 8], "rejected_ids": [9], "pair_weight": 2},
    ]
    batch = WeightedPreferenceCollator(pad_token_id=0)(examples)
    expected = DataCollatorForPreference(pad_token_id=0)(examples)
    assert batch.pop("pair_weight").tolist() == [0.5, 2.0]
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in expected)


@pytest.mark.parametrize("weight", [None, float("nan"), -1.0])
def test_collator_refuses_bad_weights(weight):
    example = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3], "pair_weight": weight}
    with pytest.raises(SchemaError, match="reached the collator with column 'pair_weight'"):
        WeightedPreferenceCollator(pad_token_id=0)([example])


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


def test_rows_in_messages_are_those_of_the_dataset_given(tmp_path):
    rows = [{**row, "prompt": row["prompt"] * 40} for row in weighted([1.0, 1.0])] + weighted([1.0, -1.0])
    with pytest.raises(SchemaError, match=r"the train dataset: row 3, column 'weight': got -1\.0"):
        make(tmp_path, rows, max_length=256)


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


def test_streamed_evaluation_pairs_are_weighed_like_others(tmp_path):
    held_out = tiny_pairs(5, seed=3)
    settings = {"weight_lambda": 1.0, "per_device_eval_batch_size": 5}
    mapped = make(tmp_path, tiny_pairs(4), eval_dataset=Dataset.from_list(held_out), **settings)
    streamed = make(tmp_path, tiny_pairs(4), eval_dataset=stream(held_out), **settings)
    weights = mapped.eval_dataset["pair_weight"][:]
    assert [row["pair_weight"] for row in streamed.eval_dataset] == pytest.approx(weights)
    assert streamed.evaluate()["eval_loss"] == pytest.approx(mapped.evaluate()["eval_loss"], rel=1e-5)


def test_several_evaluation_sets(tmp_path):
    held_out = {"easy": Dataset.from_list(weighted([1.0, 2.0])), "hard": Dataset.from_list(weighted([0.5, 0.5]))}
    trainer = make(tmp_path, eval_dataset=held_out)
    metrics = trainer.evaluate()
    uniform = make(tmp_path, weight_scheme="uniform")
    first, second = (loss_and_gradients(uniform, batch_of(uniform, [row]))[0] for row in (0, 1))
    assert metrics["eval_easy_loss"] == pytest.approx((first + 2 * second) / 2, rel=1e-5)
    assert metrics["eval_hard_loss"] == pytest.approx(0.5 * (first + second) / 2, rel=1e-5)


def test_notes_about_weights_are_visible_without_configuring_logging(tmp_path):
    script = f"""
from tests.tiny import tiny_pairs
from tests.conftest import REPOSITORY
from tests.parity.conftest import Arena
rows = [{{**row, "rejected_nll": None}} for row in tiny_pairs(2)]
Arena({str(tmp_path)!r}, rows).ours()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Signals without values count 0 in the raw weight: rejected_nll.") == 1


def test_equal_completions_are_counted(tmp_path, caplog):
    rows = weighted()
    rows[1]["rejected"] = rows[1]["chosen"]
    with caplog.at_level(logging.WARNING):
        make(tmp_path, rows)
    assert "1 pairs of the train dataset have two equal completions" in caplog.text


def test_a_model_changed_in_memory_is_noticed(tmp_path, caplog):
    source = save_tiny_model(tmp_path / "model")
    args = WeightedDPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False)
    model = AutoModelForCausalLM.from_pretrained(source)
    given = {"args": args, "train_dataset": Dataset.from_list(tiny_pairs(2))}
    with caplog.at_level(logging.WARNING):
        WeightedDPOTrainer(model, **given)
    assert "differs from the model given" not in caplog.text
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    with caplog.at_level(logging.WARNING):
        WeightedDPOTrainer(model, **given)
    assert "differs from the model given" in caplog.text
