"""What enters the trainer is checked, named and, where it cannot work, refused."""

import logging
import re
import subprocess
import sys

import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import AutoModelForCausalLM, ProcessorMixin
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tests.arena import Arena, make, weighted
from tests.conftest import REPOSITORY
from tests.tiny import perturbed, save_tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer, WeightedPreferenceCollator
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.training import support


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
    shown = "null" if value is None else re.escape(repr(value))
    with pytest.raises(SchemaError, match=rf"the train dataset: row 4, column '{column}': got {shown}"):
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
        ({"weight_lambda": 2.0}, r"lambda is 2\.0\. Give a number in \[0, 1\]"),
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


def test_doubled_bos_is_remarked_on(tmp_path, caplog):
    arena = Arena(tmp_path, [{**row, "prompt": "<|im_start|>" * 2 + row["prompt"]} for row in weighted()])
    arena.tokenizer.bos_token = "<|im_start|>"
    with caplog.at_level(logging.WARNING):
        arena.ours()
    assert "row 0, column 'prompt': its tokens begin with two BOS tokens" in caplog.text


def test_collator_pads_as_trl_and_carries_weights():
    examples = [
        {"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5], "pair_weight": 0.5},
        {"prompt_ids": [6], "chosen_ids": [7, 8], "rejected_ids": [9], "pair_weight": 2},
    ]
    batch = WeightedPreferenceCollator(pad_token_id=0)(examples)
    expected = DataCollatorForPreference(pad_token_id=0)(examples)
    assert batch.pop("pair_weight").tolist() == [0.5, 2.0]
    assert batch.keys() - expected.keys() == {"score_positions", "score_labels", "score_index"}
    assert all(torch.equal(batch[name], expected[name]) for name in expected)


@pytest.mark.parametrize("weight", [None, float("nan"), -1.0])
def test_collator_refuses_bad_weights(weight):
    example = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3], "pair_weight": weight}
    with pytest.raises(SchemaError, match="reached the collator with column 'pair_weight'"):
        WeightedPreferenceCollator(pad_token_id=0)([example])


def test_rows_in_messages_are_those_of_the_dataset_given(tmp_path):
    rows = [{**row, "prompt": row["prompt"] * 40} for row in weighted([1.0, 1.0])] + weighted([1.0, -1.0])
    with pytest.raises(SchemaError, match=r"the train dataset: row 3, column 'weight': got -1\.0"):
        make(tmp_path, rows, max_length=256)


def test_streamed_evaluation_pairs_are_weighed_like_others(tmp_path):
    held_out = tiny_pairs(5, seed=3)
    settings = {"weight_lambda": 1.0, "per_device_eval_batch_size": 5}
    mapped = make(tmp_path, tiny_pairs(4), eval_dataset=Dataset.from_list(held_out), **settings)
    streamed = make(tmp_path, tiny_pairs(4), eval_dataset=stream(held_out), **settings)
    weights = mapped.eval_dataset["pair_weight"][:]
    assert [row["pair_weight"] for row in streamed.eval_dataset] == pytest.approx(weights)
    assert streamed.evaluate()["eval_loss"] == pytest.approx(mapped.evaluate()["eval_loss"], rel=1e-5)


def test_notes_about_weights_are_visible_without_configuring_logging(tmp_path):
    script = f"""
from tests.tiny import tiny_pairs
from tests.conftest import REPOSITORY
from tests.arena import Arena
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
