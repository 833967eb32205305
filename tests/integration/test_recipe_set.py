"""The recipe set of the 1.5 B model, by real Axolotl on a CPU: SFT, merging and weighted DPO of a tiny model with the
chat template of Qwen2.5. What only a GPU can do is overridden; all else is as the files have it."""

import json
from importlib.resources import files

import pytest
import torch
import yaml
from benchmarks.byte_tokenizer import train_tokenizer
from datasets import load_from_disk
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from tests.conftest import REPOSITORY
from tests.integration.conftest import run_axolotl
from tests.tiny import tiny_model, tiny_pool
from trl_weighted_dpo.core.files import write_jsonl
from trl_weighted_dpo.pipeline.merge import merge

pytestmark = pytest.mark.long

RECIPES = REPOSITORY / "recipes" / "qwen2.5-1.5b"
KERNELS = {f"lora_{name}_kernel": False for name in ("mlp", "qkv", "o", "embedding")}
ON_A_CPU = {
    "use_cpu": True, "bf16": False, "fp16": False, "tf32": False, "optimizer": "adamw_torch", "max_steps": 2,
    "micro_batch_size": 2, "gradient_accumulation_steps": 1, "logging_steps": 1,
}  # fmt: skip
ROWS = [
    {
        "query": f"Tom has {count + 3} apples and gets {count} more. How many apples does Tom have?",
        "response": f"Tom has {count + 3} + {count} = {2 * count + 3} apples.\n#### {2 * count + 3}\nThe answer is: "
        f"{2 * count + 3}",
        "type": "GSM_Rephrased",
        "original_question": f"Question {count}",
    }
    for count in range(8)
]
"""In the shape of MetaMathQA."""


def overridden(folder, name, dataset, **changes):
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    (own,) = recipe["datasets"]
    recipe["datasets"] = [{**own, "ds_type": "json", **dataset}]
    prepared, out = str(folder / f"{name}-prepared"), str(folder / name)
    recipe.update({**ON_A_CPU, "dataset_prepared_path": prepared, "output_dir": out, **changes})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(scope="module")
def sft(tmp_path_factory):
    """A folder with the tiny `model`, the rows of SFT as they were prepared, and the adapter that it made."""
    folder = tmp_path_factory.mktemp("recipes")
    tokenizer = train_tokenizer([row["query"] + row["response"] for row in ROWS], 400, 2048)
    tokenizer.eos_token = "<|im_end|>"
    template = files("axolotl.utils.chat_templates") / "templates" / "qwen_25.jinja"
    tokenizer.chat_template = template.read_text()
    settings = {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 2048}
    tiny_model(vocab_size=512, eos_token_id=tokenizer.eos_token_id, **settings).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    rows = {"path": str(folder / "rows.json")}
    config = overridden(folder, "sft", rows, base_model=str(folder / "model"), **KERNELS)
    run_axolotl("train", config, "--launcher", "python")
    return folder


def test_sft_reads_the_chat_template_and_trains_on_responses_alone(sft):
    tokenizer = AutoTokenizer.from_pretrained(sft / "model")
    (state,) = (sft / "sft-prepared").rglob("state.json")
    prepared = load_from_disk(str(state.parent))
    assert prepared.column_names == ["input_ids", "attention_mask", "labels"]
    found = {tuple(row["input_ids"]): row["labels"] for row in prepared}
    assert len(found) == len(ROWS)
    for row in ROWS:
        messages = [{"role": "user", "content": row["query"]}, {"role": "assistant", "content": row["response"]}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text.removesuffix("\n"))["input_ids"]
        labels = found[tuple(ids)]
        masked = len(tokenizer(prompt)["input_ids"])
        assert labels == [-100] * masked + ids[masked:]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[masked:]) == row["response"] + "<|im_end|>"


def test_sft_trains_an_adapter_as_the_recipe_says(sft):
    config = json.loads((sft / "sft" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (64, 16, 0.1)
    linear = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert set(config["target_modules"]) == linear
    state = json.loads((sft / "sft" / "checkpoint-2" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 2
    assert all(0 < float(loss) < 20 for loss in losses)


@pytest.fixture(scope="module")
def merged(sft):
    merge(sft / "sft", str(sft / "model"), sft / "merged", load_in_4bit=True, double_quant=True)
    return sft / "merged"


def test_the_merged_model_is_the_one_that_was_trained(sft, merged):
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    base = AutoModelForCausalLM.from_pretrained(
        sft / "model", quantization_config=quantization, device_map={"": "cpu"}, dtype=torch.float32
    )
    trained = PeftModel.from_pretrained(base, sft / "sft").eval()
    whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    assert getattr(whole.config, "quantization_config", None) is None
    tokenizer = AutoTokenizer.from_pretrained(merged)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(sft / "model").chat_template
    ids = tokenizer(ROWS[0]["query"] + ROWS[0]["response"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected, found, unmoved = (
            model(input_ids=ids).logits.log_softmax(-1)
            for model in (trained, whole, AutoModelForCausalLM.from_pretrained(sft / "model", dtype=torch.float32))
        )
    # bitsandbytes computes with 4-bit weights to a few digits on a CPU.
    assert (found - expected).abs().mean() < 0.05
    assert (unmoved - expected).abs().mean() > 0.2


def test_weighted_dpo_goes_on_from_the_merged_model(sft, merged):
    pool = sft / "pool.jsonl"
    write_jsonl(pool, tiny_pool(12))
    config = overridden(sft, "weighted_dpo", {"path": str(pool)}, base_model=str(merged), optimizer="adamw_torch")
    run_axolotl("train", config, "--launcher", "python")
    record = json.loads((sft / "weighted_dpo" / "weighted_dpo.json").read_text())
    assert record["objective"]["beta"] == 0.1
    assert record["weighting"]["summary"]["min"] < 1.0 < record["weighting"]["summary"]["max"]
    (state,) = (sft / "weighted_dpo-prepared").rglob("state.json")
    tokenizer = AutoTokenizer.from_pretrained(merged)
    problems = {row["problem"]: [one["solution"] for one in row["candidates"]] for row in tiny_pool(12)}
    for pair in load_from_disk(str(state.parent)):
        # The prompt is the one that SFT and sampling have; the completion begins right after it.
        (problem,) = (own for own in problems if own in pair["prompt"])
        messages = [{"role": "user", "content": problem}]
        assert pair["prompt"] == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert pair["chosen"].removesuffix("\n").removesuffix("<|im_end|>") in problems[problem]
    config = json.loads((sft / "weighted_dpo" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (32, 64, 0.0)
