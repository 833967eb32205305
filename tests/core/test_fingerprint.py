"""Fingerprints: the same for the same model and tokens, another for each part that changes."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny import save_tiny_model, tiny_model
from trl_weighted_dpo.core import fingerprint as module
from trl_weighted_dpo.core.fingerprint import Fingerprint, compute_dtype, fingerprint, token_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("fingerprint"))


def of(folder, model=None, tokenizer=None, **changes):
    model = AutoModelForCausalLM.from_pretrained(folder) if model is None else model
    tokenizer = AutoTokenizer.from_pretrained(folder) if tokenizer is None else tokenizer
    settings = {"max_length": 64, "truncation_mode": "keep_start", "dtype": "float32", **changes}
    return fingerprint(model, tokenizer, **settings)


def lora(folder, seed=0, name="default", **changes):
    """A LoRA that has been trained: its B matrices are not zero."""
    settings = {"r": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **changes}
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(**settings), adapter_name=name)
    torch.manual_seed(seed)
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data.normal_()
    return model


# Tokens


def test_a_digest_is_that_of_the_tokens_that_are_left():
    whole = token_digest([1, 2], [3, 4, 5], None, "keep_start")
    assert len(whole) == 16
    assert int(whole, 16) >= 0
    assert token_digest([1, 2], [3, 4, 5], 5, "keep_end") == whole
    assert token_digest([1, 2], [3, 4, 5, 6, 7], 5, "keep_start") == whole
    assert token_digest([8, 9, 1, 2], [3, 4, 5], 5, "keep_end") == whole
    assert token_digest(np.array([1, 2], dtype=np.int32), np.array([3, 4, 5]), None, "keep_start") == whole


@pytest.mark.parametrize(
    ("prompt", "completion", "max_length"),
    [([1, 2], [3, 4, 6], None), ([1], [2, 3, 4, 5], None), ([1, 2, 3], [4, 5], None), ([1, 2], [3, 4, 5], 4)],
)
def test_other_tokens_or_another_border_have_another_digest(prompt, completion, max_length):
    assert token_digest(prompt, completion, max_length, "keep_start") != token_digest(
        [1, 2], [3, 4, 5], None, "keep_start"
    )


def test_a_prompt_that_is_cut_away_leaves_only_completion():
    assert token_digest([1, 2], [3, 4, 5], 2, "keep_end") == token_digest([], [4, 5], None, "keep_end")


def test_an_unknown_truncation_mode_is_refused():
    with pytest.raises(ValueError, match="truncation_mode is 'keep_middle'"):
        token_digest([1], [2], 8, "keep_middle")


# Fingerprints


def test_a_fingerprint_survives_json(folder):
    first = of(folder)
    assert Fingerprint.from_json(first.to_json()) == first
    assert list(json.loads(first.to_json())) == sorted(json.loads(first.to_json()))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": null}', None])
def test_what_is_no_fingerprint_is_refused(text):
    with pytest.raises(ValueError, match="A fingerprint is a JSON object with adapter, dtype"):
        Fingerprint.from_json(text)


def test_differences_are_named_from_here_to_there(folder):
    here = of(folder)
    there = replace(here, dtype="bfloat16", max_length=None)
    assert here.differences(here) == []
    assert here.differences(there) == ["dtype: 'float32' here, 'bfloat16' there", "max_length: 64 here, None there"]
    assert here.differences(there, ["model", "dtype"]) == ["dtype: 'float32' here, 'bfloat16' there"]


def test_a_copied_folder_has_the_same_fingerprint_and_other_weights_another(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert of(tmp_path / "copy") == of(folder)
    save_tiny_model(tmp_path / "other", seed=1)
    (difference,) = of(tmp_path / "other").differences(of(folder))
    assert difference.startswith("model: 'weights:")


def test_shards_count_as_the_model(folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    before = of(folder, AutoModelForCausalLM.from_pretrained(tmp_path)).model
    content = bytearray(shards[1].read_bytes())
    content[-1] ^= 1
    shards[1].write_bytes(content)
    assert of(folder, AutoModelForCausalLM.from_pretrained(tmp_path)).model != before


def test_one_changed_byte_anywhere_in_a_large_file_is_found(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with path.open("r+b") as file:
        file.truncate(100 * 2**20)
    found = [of(tmp_path / "model", model).model]
    for place in (70 * 2**20 + 12345, 100 * 2**20 - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        # Files that are written within one tick of the clock have the same time.
        os.utime(path, ns=(place, place))
        found.append(of(tmp_path / "model", model).model)
    assert len(set(found)) == 3


def test_unchanged_files_are_read_once(folder, monkeypatch):
    first, read = of(folder), []
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *given: read.append(given))
    assert of(folder) == first
    assert read == []


def test_a_commit_on_the_hub_is_the_model(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config._commit_hash = "0123abcd"
    assert of(folder, model).model == "commit:0123abcd"


def test_a_model_made_in_memory_has_no_identity(folder):
    assert of(folder, tiny_model()).model is None


def test_an_adapter_is_told_by_its_numbers_and_not_by_its_name(folder, tmp_path):
    first = of(folder, lora(folder))
    assert first.adapter is not None
    assert first.differences(of(folder), ["model"]) == []
    assert of(folder, lora(folder, name="other")).adapter == first.adapter
    assert of(folder, lora(folder, seed=1)).adapter != first.adapter
    assert of(folder, lora(folder, lora_alpha=32)).adapter != first.adapter
    lora(folder).save_pretrained(tmp_path)
    assert of(folder, PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), tmp_path)) == first


def test_an_adapter_that_transformers_put_into_the_model_is_told(folder, tmp_path):
    adapted = lora(folder)
    adapted.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(model) is type(AutoModelForCausalLM.from_pretrained(folder))
    found = of(folder, model)
    assert found.adapter == of(folder, adapted).adapter is not None
    assert found.differences(of(folder), ["model"]) == []


def test_the_adapters_at_work_can_be_chosen(folder):
    model = lora(folder)
    assert of(folder, model, adapters=()) == of(folder)
    model.add_adapter("ref", model.peft_config["default"])
    for name, parameter in list(model.named_parameters()):
        if ".default." in name:
            model.get_parameter(name.replace(".default.", ".ref.")).data.copy_(parameter.data)
    assert of(folder, model, adapters=("ref",)) == of(folder, model)


def test_a_new_adapter_changes_nothing(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    new = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert of(folder, new) == of(folder)


def test_the_tokenizer_is_told_by_what_it_does(folder):
    first = of(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=8)
    tokenizer.pad_token = tokenizer.eos_token
    assert of(folder, tokenizer=tokenizer) == first
    tokenizer.add_tokens(["<new>"])
    assert len(of(folder, tokenizer=tokenizer).differences(first, ["tokenizer"])) == 1
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages }}"
    assert [text.split(":")[0] for text in of(folder, tokenizer=tokenizer).differences(first)] == ["template"]


def test_the_precision_is_that_of_autocast_or_of_the_weights(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert compute_dtype(model) == "float32"
    assert compute_dtype(model, bf16=True) == "bfloat16 (weights float32)"
    assert compute_dtype(model, fp16=True) == "float16 (weights float32)"
    half = get_peft_model(model.to(torch.bfloat16), LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert compute_dtype(half) == compute_dtype(half, bf16=True) == "bfloat16"


def test_norms_and_embeddings_in_more_bits_do_not_make_other_weights(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.get_input_embeddings().float()
    model.model.norm.float()
    assert compute_dtype(model, bf16=True) == "bfloat16"


def test_weights_that_a_quantised_model_keeps_in_more_bits_are_not_told(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.quantization_config = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert compute_dtype(model, bf16=True) == "bfloat16"
