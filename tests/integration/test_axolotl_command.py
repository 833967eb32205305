"""`axolotl preprocess` and `axolotl train` with `rl: weighted_dpo`, on real processes."""

import json

import pytest
import torch
from datasets import load_from_disk
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.integration.conftest import log_history, run_axolotl, write_config
from tests.integration.pairs import in_float32, logps
from tests.tiny import tiny_pairs, tiny_pool
from trl_weighted_dpo import PairingConfig, WeightedDPOConfig, WeightedDPOTrainer, mine_pairs
from trl_weighted_dpo.training.card import card_section

pytestmark = pytest.mark.long

POOL_TYPE = "trl_weighted_dpo.hard_negatives"


def prepared_pairs(folder):
    states = list((folder / "prepared").glob("weighted-dpo-*/*/state.json"))
    assert len(states) == 1
    return load_from_disk(str(states[0].parent))


def python_run(folder, model, dataset, **settings):
    args = WeightedDPOConfig(
        output_dir=str(folder / "python"), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
        per_device_train_batch_size=4, max_steps=5, logging_steps=1, learning_rate=1e-3, save_strategy="no",
        lr_scheduler_type="constant", optim="adamw_torch", weight_decay=0.0, max_grad_norm=1.0, max_length=512, seed=42,
        **settings,
    )  # fmt: skip
    trainer = WeightedDPOTrainer(str(model), args=args, train_dataset=dataset)
    trainer.train()
    return trainer


def test_pool_trains_as_in_python(tmp_path, tiny_model_dir, jsonl):
    """Promise 3: the same token ids, log-probs and losses over five steps at a learning rate above zero."""
    pool = tiny_pool(40)
    dataset = {"path": str(jsonl(pool)), "ds_type": "json", "split": "train", "type": POOL_TYPE}
    config = write_config(
        tmp_path, tiny_model_dir, dataset, weighted_dpo={"lambda": 0.8, "pairs_per_problem": 2},
        dpo_loss_type=["sigmoid", "sft"], dpo_loss_weights=[1.0, 2.0], rl_beta=0.2,
    )  # fmt: skip
    run_axolotl("train", config, "--launcher", "python")

    pairs = prepared_pairs(tmp_path)
    mined, report = mine_pairs(pool, config=PairingConfig(pairs_per_problem=2), progress=False)
    assert len(pairs) == len(mined) == report.pairs == 60
    texts = sorted((pair["prompt"] + "\n", pair["chosen"], pair["rejected"]) for pair in mined)
    assert sorted(zip(pairs["prompt"], pairs["chosen"], pairs["rejected"], strict=True)) == texts
    assert "weight" not in pairs.column_names

    settings = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 2.0], "beta": 0.2}
    trainer = python_run(tmp_path, tiny_model_dir, pairs, weight_lambda=0.8, **settings)
    record = json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())
    assert record["data"]["fingerprint"] == trainer.run_record["data"]["fingerprint"]
    assert record["weighting"] == json.loads(json.dumps(trainer.run_record["weighting"]))
    assert record["objective"] == json.loads(json.dumps(trainer.run_record["objective"]))
    assert record["weighting"]["summary"]["min"] < 1.0 < record["weighting"]["summary"]["max"]

    axolotl = log_history(tmp_path)
    python = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(axolotl) == len(python) == 5
    for step, (ours, theirs) in enumerate(zip(python, axolotl, strict=True), start=1):
        print(f"step {step}: loss {theirs['loss']:.8f} in Axolotl, {ours['loss']:.8f} in Python")
    for ours, theirs in zip(python, axolotl, strict=True):
        for name in ("loss", "loss/unweighted", "logps/chosen", "logps/rejected", "weights/mean", "rewards/margins"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-5, abs=1e-6), name
    assert abs(axolotl[4]["loss"] - axolotl[0]["loss"]) > 1e-3

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-5, atol=1e-6)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").decode([5]) is not None


def test_plain_pairs_with_a_weight_column_and_padding(tmp_path, tiny_model_dir, jsonl):
    weights = [0.5, 2.0, 1.0, 0.0, 1.5, 1.0] * 4
    rows = [{**row, "weight": weight} for row, weight in zip(tiny_pairs(24), weights, strict=True)]
    rows = [{**row, "dpo_beta": 0.1 + 0.01 * place, "dpo_margin": 0.02 * place} for place, row in enumerate(rows)]
    dataset = {"path": str(jsonl(rows)), "ds_type": "json", "split": "train"}
    block = {"dpop_lambda": 5.0}
    config = write_config(tmp_path, tiny_model_dir, dataset, pad_to_multiple_of=32, weighted_dpo=block)
    run_axolotl("train", config, "--launcher", "python")
    record = json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())
    assert record["weighting"]["statistics"]["scheme"] == "column"
    assert record["weighting"]["summary"] == {
        "scheme": "column", "pairs": 24, "mean": 1.0, "min": 0.0, "max": 2.0,
        "ess": pytest.approx(24**2 / (24 * 4 * (0.25 + 4 + 1 + 2.25 + 1))),
        "top_decile": pytest.approx(2.4 * 2.0 / 24),
        "histogram": {"edges": pytest.approx([0.2 * i for i in range(11)]), "counts": [4, 0, 4, 0, 0, 8, 0, 4, 0, 4]},
        "ess_u": None, "at_clip_min": 0.0, "at_clip_max": 0.0, "histogram_u": None, "notes": [],
    }  # fmt: skip
    assert record["data"]["loss_columns"] == ["dpo_margin", "dpo_beta"]
    assert record["objective"]["dpop_lambda"] == 5.0
    assert json.loads((tmp_path / "out" / "health.json").read_text())["logs"] == 5
    assert "displacement/chosen_delta" in log_history(tmp_path)[0]
    pairs = prepared_pairs(tmp_path)
    trainer = python_run(tmp_path, tiny_model_dir, pairs, pad_to_multiple_of=32, **block)
    python = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["loss"] for entry in log_history(tmp_path)] == pytest.approx(python, rel=1e-5)
    # Without a word of Axolotl they could be lost on the way, and the losses would be those of pairs without them.
    plain = python_run(tmp_path, tiny_model_dir, pairs.remove_columns(["dpo_beta", "dpo_margin"]), **block)
    assert plain.state.log_history[0]["loss"] != pytest.approx(python[0], rel=1e-3)


def test_preprocess_then_train_with_lora_and_evaluation_and_merge(tmp_path, tiny_model_dir, jsonl):
    dataset = {"path": str(jsonl(tiny_pool(40))), "ds_type": "json", "split": "train", "type": POOL_TYPE}
    held_out = {**dataset, "path": str(jsonl(tiny_pool(8, seed=9), "held_out.jsonl"))}
    config = write_config(
        tmp_path, tiny_model_dir, dataset, test_datasets=[held_out], eval_steps=5, adapter="lora", lora_r=4,
        lora_alpha=8, lora_target_modules=["q_proj", "v_proj"], dataset_num_proc=4,
    )  # fmt: skip
    run_axolotl("preprocess", config)
    mined = sorted((tmp_path / "prepared").glob("weighted-dpo-*/pairs-*.jsonl"))
    assert len(mined) == 2
    before = [path.stat().st_mtime_ns for path in mined]
    output = run_axolotl("train", config, "--launcher", "python")
    assert "Loading prepared dataset from disk" in output
    assert [path.stat().st_mtime_ns for path in mined] == before
    state = json.loads((tmp_path / "out" / "checkpoint-5" / "trainer_state.json").read_text())
    evaluations = [entry for entry in state["log_history"] if "eval_loss" in entry]
    assert evaluations[-1]["eval_weights/max"] > 0
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "out" / "weighted_dpo.json").is_file()
    card = (tmp_path / "out" / "README.md").read_text()
    record = json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())
    assert "- axolotl\n" in card.split("---")[1]
    assert card_section(record) in card
    assert "## Citations" in card

    run_axolotl("merge-lora", config)
    trained = logps(PeftModel.from_pretrained(in_float32(tiny_model_dir), tmp_path / "out"))
    torch.testing.assert_close(logps(in_float32(tmp_path / "out" / "merged")), trained, rtol=1e-6, atol=1e-3)
    assert (logps(in_float32(tiny_model_dir)) - trained).abs().max() > 0.1


def test_without_the_plugin_the_mode_is_unknown_to_axolotl(tmp_path, tiny_model_dir, jsonl):
    dataset = {"path": str(jsonl(tiny_pairs(4))), "ds_type": "json", "split": "train"}
    config = write_config(tmp_path, tiny_model_dir, dataset, plugins=None)
    output = run_axolotl("train", config, "--launcher", "python", check=False)
    assert "Input should be 'dpo'" in output
    assert "weighted_dpo" in output


def test_a_value_out_of_range_is_refused_with_its_path(tmp_path, tiny_model_dir, jsonl):
    dataset = {"path": str(jsonl(tiny_pairs(4))), "ds_type": "json", "split": "train"}
    config = write_config(tmp_path, tiny_model_dir, dataset, weighted_dpo={"lambda": 1.5})
    output = run_axolotl("train", config, "--launcher", "python", check=False)
    assert "weighted_dpo.lambda" in output
    assert "less than or equal to 1" in output


def test_a_bad_pool_row_is_named(tmp_path, tiny_model_dir, jsonl):
    rows = [*tiny_pool(2), {"id": "bad", "problem": "", "reference_answer": "1", "candidates": []}]
    path = jsonl(rows)
    dataset = {"path": str(path), "ds_type": "json", "split": "train", "type": POOL_TYPE}
    output = run_axolotl("train", write_config(tmp_path, tiny_model_dir, dataset), "--launcher", "python", check=False)
    assert f"{path}: row 2, column 'problem': got ''. Give the text of the problem." in output


def test_a_bad_weight_is_named_by_its_row_in_the_file(tmp_path, tiny_model_dir, jsonl):
    rows = [{**row, "weight": 1.0} for row in tiny_pairs(6)]
    rows[4]["weight"] = -2.0
    path = jsonl(rows)
    dataset = {"path": str(path), "ds_type": "json", "split": "train"}
    output = run_axolotl("train", write_config(tmp_path, tiny_model_dir, dataset), "--launcher", "python", check=False)
    assert f"{path}: row 4, column 'weight': got -2.0. A weight is a finite number >= 0" in output


def test_conversations_without_a_type_are_refused(tmp_path, tiny_model_dir, jsonl):
    rows = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in tiny_pairs(4)]
    path = jsonl(rows)
    dataset = {"path": str(path), "ds_type": "json", "split": "train"}
    output = run_axolotl("preprocess", write_config(tmp_path, tiny_model_dir, dataset), check=False)
    assert f"{path}: row 0, column 'prompt'" in output
    assert "set `type: trl_weighted_dpo.hard_negatives`, which renders conversations" in output
