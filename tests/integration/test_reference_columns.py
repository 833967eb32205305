"""Reference log-probs from columns on two processes, with DDP and DeepSpeed, under quantised weights and in Axolotl."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.integration.conftest import log_history, run_axolotl, write_config
from tests.integration.launching import launch
from tests.tiny import save_tiny_model, tiny_model, tiny_pairs, tiny_tokenizer
from tests.training.columns import LORA, make, with_columns
from trl_weighted_dpo.core.fingerprint import Fingerprint

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rows(folder, tmp_path_factory):
    return with_columns(folder, tmp_path_factory.mktemp("scored"), tiny_pairs(12))


def run(model, rows, out, engine, *adapter):
    """What two processes found; both must agree."""
    out.mkdir()
    pairs = out / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    launch("columns_worker.py", model, pairs, out, engine, *adapter)
    first, second = (json.loads((out / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    return first


@pytest.mark.parametrize("engine", ["ddp", "zero2"])
def test_two_processes_use_columns_that_fit(folder, rows, tmp_path, engine):
    found = run(folder, rows, tmp_path / "run", engine)
    assert found["source"] == "columns"
    assert not found["held_reference"]
    assert found["logps"] == pytest.approx([row["ref_chosen_logps"] for row in rows])
    assert found["losses"][0] == pytest.approx(0.6931, abs=1e-4)
    assert abs(found["losses"][1] - found["losses"][0]) > 1e-3


@pytest.mark.parametrize("engine", ["ddp", "zero3"])
def test_two_processes_compute_again_what_does_not_fit(folder, rows, tmp_path, engine):
    wrong = [{**row, "ref_chosen_logps": row["ref_chosen_logps"] - 7} for row in rows]
    found = run(folder, wrong, tmp_path / "run", engine)
    assert found["source"].startswith("computed: 8 of 8 pairs that were checked differ")
    assert found["logps"] == pytest.approx([row["ref_chosen_logps"] for row in rows], abs=1e-4)


def test_parts_of_an_adapter_that_is_trained_further_are_put_together(folder, tmp_path):
    torch.manual_seed(2)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(**LORA))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    rows = with_columns(folder, tmp_path, tiny_pairs(12), model=adapted)
    adapted.save_pretrained(tmp_path / "adapter")
    found = run(folder, rows, tmp_path / "run", "zero3", tmp_path / "adapter")
    assert found["source"] == "columns"
    assert found["losses"][0] == pytest.approx(0.6931, abs=1e-4)


def test_columns_of_a_quantised_model_are_used_by_qlora(tmp_path):
    folder = tmp_path / "wide"
    # The inference kernel of bitsandbytes works on blocks of 64 weights.
    tiny_model(hidden_size=128, intermediate_size=128).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=settings, device_map={"": "cpu"})
    given = {"quantization": settings, "model_init_kwargs": {"device_map": {"": "cpu"}}}
    rows = with_columns(folder, tmp_path, tiny_pairs(8), model, peft_config=LoraConfig(**LORA), **given)
    assert Fingerprint.from_json(rows[0]["ref_fingerprint"]).quantization == "bnb-nf4"
    trainer = make(folder, tmp_path, rows, peft_config=LoraConfig(**LORA), **given)
    assert trainer.run_record["reference"] == "columns"
    plain = make(folder, tmp_path, rows)
    assert plain.run_record["reference"].startswith("computed: quantization: None here, 'bnb-nf4' there")


def test_axolotl_uses_columns(folder, rows, tmp_path, jsonl):
    dataset = {"path": str(jsonl(rows)), "ds_type": "json", "split": "train"}
    config = write_config(
        tmp_path, folder, dataset, weighted_dpo={"ref_logps": "columns"}, adapter="lora", lora_r=4, lora_alpha=8,
        lora_target_modules=["q_proj", "v_proj"],
    )  # fmt: skip
    run_axolotl("train", config, "--launcher", "python")
    assert json.loads((tmp_path / "out" / "weighted_dpo.json").read_text())["reference"] == "columns"
    assert log_history(tmp_path)[0]["loss/unweighted"] == pytest.approx(0.6931, abs=1e-4)
