"""Reference log-probs from columns: the loss of a reference model without one, and what does not fit is found."""

import json
import logging
import re
import shutil
from dataclasses import replace

import pytest
import torch
import trl.trainer.dpo_trainer as trl_trainer
from datasets import Dataset, IterableDataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.arena import assert_same, batch_of, loss_and_gradients
from tests.tiny import save_tiny_model, tiny_pairs
from tests.training.columns import LORA, PAIRS, make, with_columns
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.core.fingerprint import Fingerprint
from trl_weighted_dpo.training import reference


@pytest.fixture
def forwards(monkeypatch):
    """Pairs that the reference was asked about, batch by batch."""
    sizes = []
    kept = WeightedDPOTrainer.compute_ref_log_probs

    def counted(self, model, inputs):
        sizes.append(len(inputs["input_ids"]) // 2)
        return kept(self, model, inputs)

    monkeypatch.setattr(WeightedDPOTrainer, "compute_ref_log_probs", counted)
    return sizes


def moved(trainer, scale):
    """The trainer with its trainable parameters moved, so that policy and reference differ."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter += scale * torch.randn(parameter.shape, generator=generator)
    return trainer


# With columns that fit


@pytest.mark.parametrize(("peft", "scale"), [(None, 0.02), (LORA, 0.2)])
def test_loss_and_gradients_are_those_with_a_reference_model(folder, tmp_path, rows, peft, scale):
    trainers = []
    for mode in ("columns", "model"):
        torch.manual_seed(3)
        config = None if peft is None else LoraConfig(**peft)
        trainers.append(moved(make(folder, tmp_path, rows, peft_config=config, ref_logps=mode), scale))
    results = [loss_and_gradients(trainer, batch_of(trainer)) for trainer in trainers]
    assert abs(results[0][0] - 0.6931) > 0.01
    assert_same(results[0], results[1], 1e-5)


@pytest.mark.parametrize("peft", [None, LORA])
def test_training_and_evaluation_go_as_with_a_reference_model(folder, tmp_path, rows, peft):
    histories = []
    for mode in ("auto", "model"):
        torch.manual_seed(3)
        trainer = make(
            folder, tmp_path, rows, held_out=rows[:5], peft_config=None if peft is None else LoraConfig(**peft),
            ref_logps=mode, max_steps=4, logging_steps=1, learning_rate=3e-3, eval_strategy="steps", eval_steps=2,
        )  # fmt: skip
        trainer.train()
        histories.append(trainer.state.log_history)
        assert trainer.run_record["reference"] == ("columns" if mode == "auto" else "model")
    compared = 0
    for ours, theirs in zip(*histories, strict=True):
        for name in ("loss", "eval_loss", "rewards/margins", "eval_rewards/margins"):
            if name in theirs:
                # The columns were made in other rows: float32 log-probs of some 100 nats differ by a last bit, 8e-6.
                assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=5e-6), name
                compared += 1
    assert compared == 2 * 4 + 2 * 2


def test_no_reference_model_is_loaded_and_eight_pairs_are_checked(folder, tmp_path, rows, forwards, monkeypatch):
    loaded = []
    kept = trl_trainer.create_model_from_path
    monkeypatch.setattr(
        trl_trainer, "create_model_from_path", lambda *given, **more: (loaded.append(1), kept(*given, **more))[1]
    )
    trainer = make(folder, tmp_path, rows)
    assert trainer.ref_model is None
    assert len(loaded) == 1
    assert forwards == [4, 4]
    assert trainer.args.precompute_ref_log_probs is False
    assert trainer.train_dataset["ref_chosen_logps"][:] == [row["ref_chosen_logps"] for row in rows]


def test_columns_go_with_precomputing_asked_for(folder, tmp_path, rows):
    trainer = make(folder, tmp_path, rows, precompute_ref_log_probs=True)
    assert trainer.run_record["reference"] == "columns"
    assert trainer.args.precompute_ref_log_probs is True


def test_columns_are_the_log_probs_of_the_model(folder, tmp_path, rows):
    trainer = make(folder, tmp_path, rows, ref_logps="model")
    chosen, rejected = trainer.compute_ref_log_probs(trainer.ref_model, batch_of(trainer))
    assert chosen.tolist() == pytest.approx([row["ref_chosen_logps"] for row in rows], abs=1e-4)
    assert rejected.tolist() == pytest.approx([row["ref_rejected_logps"] for row in rows], abs=1e-4)


def test_a_maximum_length_that_cuts_nothing_keeps_the_columns(folder, tmp_path, rows):
    assert make(folder, tmp_path, rows, max_length=400).run_record["reference"] == "columns"


def test_a_given_reference_model_is_the_one_that_is_checked(folder, tmp_path, rows, caplog):
    model = AutoModelForCausalLM.from_pretrained(folder)
    other = save_tiny_model(tmp_path / "other", seed=1)
    trainer = make(other, tmp_path, rows, ref_model=model)
    assert trainer.run_record["reference"] == "columns"
    assert "do not fit" not in caplog.text


def test_an_adapter_that_is_trained_further_is_its_own_reference(folder, tmp_path):
    torch.manual_seed(2)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(**LORA))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    rows = with_columns(folder, tmp_path, tiny_pairs(PAIRS), model=adapted)
    assert Fingerprint.from_json(rows[0]["ref_fingerprint"]).adapter is not None
    trainer = make(folder, tmp_path, rows, model=adapted)
    assert trainer.run_record["reference"] == "columns"
    reference_only = make(folder, tmp_path, rows)
    assert reference_only.run_record["reference"].startswith("computed: adapter: None here, ")


def test_columns_that_are_null_throughout_count_as_absent(folder, tmp_path):
    empty = dict.fromkeys(reference.COLUMNS)
    trainer = make(folder, tmp_path, [{**row, **empty} for row in tiny_pairs(4)])
    assert trainer.run_record["reference"] == "model"
    assert trainer.ref_model is not None
    assert not set(reference.COLUMNS) & set(trainer.train_dataset.column_names)


def test_every_evaluation_set_is_checked_on_its_own(folder, tmp_path, rows, caplog):
    wrong = [{**row, "ref_digest": "0" * 32} for row in rows[:3]]
    held_out = {"good": rows[:3], "bad": wrong, "bare": tiny_pairs(3)}
    args = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "max_length": 512}
    with caplog.at_level(logging.WARNING):
        trainer = WeightedDPOTrainer(
            str(folder), args=WeightedDPOConfig(**args), train_dataset=Dataset.from_list(rows),
            eval_dataset={name: Dataset.from_list(given) for name, given in held_out.items()},
        )  # fmt: skip
    assert caplog.text.count("do not fit") == 1
    assert "The bad dataset's columns of reference log-probs do not fit: 3 of 3 pairs have other tokens" in caplog.text
    expected = [row["ref_chosen_logps"] for row in rows[:3]]
    for prepared in trainer.eval_dataset.values():
        assert prepared["ref_chosen_logps"][:] == pytest.approx(expected, abs=1e-4)
    metrics = trainer.evaluate()
    assert metrics["eval_bad_loss"] == pytest.approx(metrics["eval_good_loss"], rel=1e-5)


def test_prepared_pairs_can_be_given_to_evaluate(folder, tmp_path, rows):
    trainer = make(folder, tmp_path, rows, held_out=rows[:4])
    assert trainer.evaluate(trainer.eval_dataset)["eval_loss"] == pytest.approx(trainer.evaluate()["eval_loss"])


# With columns that do not fit


def changed(rows, row, **values):
    return [{**given, **values} if index == row else given for index, given in enumerate(rows)]


def edited(rows, row):
    return changed(rows, row, chosen=rows[row]["chosen"].replace("####", "A:"))


def misfits(rows):
    first, last = rows[0], rows[-1]
    identity = Fingerprint.from_json(first["ref_fingerprint"])
    half = replace(identity, dtype="bfloat16").to_json()
    return {
        "a wrong number": (
            changed(rows, 11, ref_rejected_logps=last["ref_rejected_logps"] - 5),
            r"1 of 8 pairs that were checked differ by more than 0\.0004 nats times the root of their tokens from what "
            r"the reference says of them: row 11, rejected: -[\d.]+ in the column, -[\d.]+ by the reference "
            r"\(\d+ tokens\)",
        ),
        "a number that is none": (
            changed(rows, 3, ref_chosen_logps=float("nan")),
            "1 values in column 'ref_chosen_logps' are not finite numbers, the first in row 3: null or NaN",
        ),
        "texts": (
            [{**row, "ref_chosen_logps": str(row["ref_chosen_logps"])} for row in rows],
            "column 'ref_chosen_logps' holds no numbers but string values",
        ),
        "a null": (changed(rows, 4, ref_rejected_logps=None), "the first in row 4: null or NaN"),
        "another text": (edited(rows, 5), "1 of 12 pairs have other tokens than were scored, the first is row 5"),
        "another precision": (
            [{**row, "ref_fingerprint": half} for row in rows],
            r"dtype: 'float32' here, 'bfloat16' there \(here: this run; there: the columns\)$",
        ),
        "two precisions": (
            changed(rows, 7, ref_fingerprint=half),
            r"dtype: 'float32' here, 'bfloat16' there .*row 7; the rows have 2 fingerprints",
        ),
        "no fingerprint": (changed(rows, 2, ref_fingerprint="{}"), "row 2, column 'ref_fingerprint': got '{}'"),
    }


CASES = (
    "a wrong number", "a number that is none", "texts", "a null", "another text", "another precision", "two precisions",
    "no fingerprint",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_misfit_is_computed_again_with_one_warning_or_is_an_error(folder, tmp_path, rows, case, caplog):
    bad, message = misfits(rows)[case]
    with pytest.raises(ValueError, match=message.removesuffix("$")) as error:
        make(folder, tmp_path, bad, ref_logps="columns")
    assert "Score the pairs again with this model and these settings, or set `ref_logps` to 'auto'" in str(error.value)
    with caplog.at_level(logging.WARNING):
        trainer = make(folder, tmp_path, bad)
    assert trainer.run_record["reference"].startswith("computed: ")
    assert re.search(message, trainer.run_record["reference"])
    assert caplog.text.count("They are computed again.") == 1
    assert trainer.ref_model is None
    if case != "another text":
        expected = [row["ref_chosen_logps"] for row in rows]
        assert trainer.train_dataset["ref_chosen_logps"][:] == pytest.approx(expected, abs=1e-4)


def test_another_model_folder_is_named(folder, tmp_path, rows):
    other = save_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match=r"model: 'weights:\w{32}' here, 'weights:\w{32}' there"):
        make(other, tmp_path, rows, ref_logps="columns")


def test_a_copied_folder_is_the_same_model(folder, tmp_path, rows):
    shutil.copytree(folder, tmp_path / "copy")
    assert make(tmp_path / "copy", tmp_path, rows).run_record["reference"] == "columns"


def test_a_model_changed_in_memory_is_found_by_its_numbers(folder, tmp_path, rows):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(1.05)
    with pytest.raises(ValueError, match="8 of 8 pairs that were checked differ"):
        make(folder, tmp_path, rows, model=model, ref_logps="columns")


def test_another_chat_template_changes_the_tokens(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    tokenizer.save_pretrained(tmp_path / "model")
    chats = [
        {"prompt": [{"role": "user", "content": row["prompt"]}],
         **{side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}}
        for row in tiny_pairs(4)
    ]  # fmt: skip
    rows = with_columns(tmp_path / "model", tmp_path, chats)
    assert make(tmp_path / "model", tmp_path, rows).run_record["reference"] == "columns"
    tokenizer.chat_template = tokenizer.chat_template.replace(": ", " - ")
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"4 of 4 pairs have other tokens than were scored.*the chat template"):
        make(tmp_path / "model", tmp_path, rows, ref_logps="columns")


def test_columns_of_ones_own_are_used_after_the_spot_check_if_asked_for(folder, tmp_path, rows, caplog):
    bare = [{key: value for key, value in row.items() if key not in reference.PROVENANCE_COLUMNS} for row in rows]
    with caplog.at_level(logging.WARNING):
        trainer = make(folder, tmp_path, bare, ref_logps="columns")
    assert trainer.run_record["reference"] == "columns"
    assert (
        "has no 'ref_fingerprint' and 'ref_digest', so that its reference log-probs are checked for 8 pairs only"
        in caplog.text
    )
    assert make(folder, tmp_path, bare).run_record["reference"].startswith("computed: without 'ref_fingerprint'")
    wrong = changed(bare, 0, ref_chosen_logps=-1.0)
    with pytest.raises(ValueError, match="1 of 8 pairs that were checked differ"):
        make(folder, tmp_path, wrong, ref_logps="columns")


@pytest.mark.parametrize("count", [1, PAIRS])
def test_pairs_that_all_differ_may_not_have_been_rendered(folder, tmp_path, rows, count):
    bare = [{**row, "prompt": row["prompt"].rstrip()} for row in rows[:count]] + rows[count:]
    with pytest.raises(ValueError, match=f"{count} of 12 pairs have other tokens") as error:
        make(folder, tmp_path, bare, ref_logps="columns")
    assert ("were they rendered with `render_pair`?)" in str(error.value)) == (count == PAIRS)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sync_ref_model": True}, "`sync_ref_model=True` changes the reference"),
        ({"ld_alpha": 0.5}, "`ld_alpha` needs"),
    ],
)
def test_options_that_need_the_model_keep_it(folder, tmp_path, rows, settings, reason, caplog):
    with pytest.raises(ValueError, match=reason):
        make(folder, tmp_path, rows, ref_logps="columns", **settings)
    with caplog.at_level(logging.WARNING):
        trainer = make(folder, tmp_path, rows, **settings)
    assert f"The columns of reference log-probs are not used: {reason}" in caplog.text
    assert trainer.ref_model is not None
    assert trainer.run_record["reference"] == "model"


def test_a_stream_is_trained_with_the_reference_model(folder, tmp_path, rows):
    weighted = [{**row, "weight": 1.0} for row in rows]
    stream = IterableDataset.from_generator(lambda: iter(weighted))
    with pytest.raises(ValueError, match="is a stream, whose rows cannot be checked"):
        make(folder, tmp_path, stream, ref_logps="columns", max_steps=1)
    trainer = make(folder, tmp_path, stream, max_steps=1)
    assert trainer.ref_model is not None
    trainer.train()


def test_columns_that_are_not_there_are_missed_if_asked_for(folder, tmp_path):
    with pytest.raises(ValueError, match="the train dataset has no values in 'ref_chosen_logps' and 'ref_rejected"):
        make(folder, tmp_path, tiny_pairs(4), ref_logps="columns")


def test_an_unknown_choice_is_refused(folder, tmp_path, rows):
    with pytest.raises(ValueError, match=r"`ref_logps` is 'colums'\. Give one of 'auto', 'columns', 'model'"):
        make(folder, tmp_path, rows, ref_logps="colums")


def test_pairs_that_come_after_training_have_no_reference(folder, tmp_path, rows):
    trainer = make(folder, tmp_path, rows, max_steps=1)
    trainer.train()
    with pytest.raises(ValueError, match=r"no reference model is left .* set `ref_logps='model'`"):
        trainer.evaluate(Dataset.from_list(rows[:2]))


def test_the_record_tells_where_the_reference_came_from(folder, tmp_path, rows):
    make(folder, tmp_path, rows, max_steps=1).train()
    assert json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())["reference"] == "columns"
