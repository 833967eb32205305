"""LoRA and QLoRA (bitsandbytes NF4) on a CPU: stopped and resumed, trained further, merged and loaded."""

import math

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from tests.integration.pairs import PAIRS, WEIGHTS, collated, in_float32, logps, without_dropout
from tests.tiny import tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

pytestmark = pytest.mark.long

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
LORA = {"r": 4, "target_modules": "all-linear", "lora_dropout": 0.1, "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model of blocks of 64 weights, which bitsandbytes' inference kernel works on."""
    folder = tmp_path_factory.mktemp("base")
    tiny_model(hidden_size=128, intermediate_size=128).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def make(base, folder, model=None, lora=None, quantized=False, **settings):
    """Our trainer over eight weighted pairs, in random order and with accumulation."""
    arguments = {
        "max_steps": 6, "save_steps": 3, "learning_rate": 5e-3, "per_device_train_batch_size": 2, "bf16": False,
        "gradient_accumulation_steps": 2, "logging_steps": 1, "report_to": [], "gradient_checkpointing": False,
    }  # fmt: skip
    if quantized:
        arguments["model_init_kwargs"] = {"device_map": {"": "cpu"}}
    torch.manual_seed(0)
    return WeightedDPOTrainer(
        str(base) if model is None else model,
        args=WeightedDPOConfig(output_dir=str(folder), use_cpu=True, **{**arguments, **settings}),
        train_dataset=Dataset.from_list(
            [{**row, "weight": weight} for row, weight in zip(tiny_pairs(PAIRS), WEIGHTS, strict=True)]
        ),
        processing_class=AutoTokenizer.from_pretrained(base),
        quantization_config=BitsAndBytesConfig(**NF4) if quantized else None,
        peft_config=None if lora is None else LoraConfig(**lora),
    )


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def trained(trainer):
    return {name: parameter for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}


def reference_of(trainer):
    """The log-probs that the trainer takes as its reference's."""
    return torch.cat(trainer.compute_ref_log_probs(without_dropout(trainer.model), collated(slice(0, PAIRS))))


def in_nf4(base):
    return AutoModelForCausalLM.from_pretrained(
        base, quantization_config=BitsAndBytesConfig(**NF4), device_map={"": "cpu"}
    )


@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
def test_a_resumed_run_is_the_uninterrupted_one(base, tmp_path, kind):
    """In one process: order of the pairs, optimizer, schedule and the adapter's dropout go on where they stopped."""
    settings = {} if kind == "full" else {"lora": LORA, "quantized": kind == "qlora", "disable_dropout": False}
    straight, resumed = (make(base, tmp_path / name, **settings) for name in ("straight", "resumed"))
    assert any(isinstance(module, Linear4bit) for module in straight.model.modules()) == (kind == "qlora")
    straight.train()
    start = losses(straight)[0]
    assert abs(losses(straight)[-1] - start) > 1e-2
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-3"))
    assert losses(resumed) == pytest.approx(losses(straight), rel=1e-6)
    expected = trained(straight)
    for name, parameter in trained(resumed).items():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """An adapter that was trained and saved, and the log-probs of the model with it."""
    folder = tmp_path_factory.mktemp("adapter")
    trainer = make(base, folder / "run", lora=LORA)
    trainer.train()
    trainer.save_model(str(folder / "saved"))
    return folder / "saved", logps(trainer.model)


def test_a_saved_adapter_is_loaded_and_merged(base, adapter, tmp_path):
    folder, expected = adapter
    assert (logps(in_float32(base)) - expected).abs().max() > 1.0
    loaded = PeftModel.from_pretrained(in_float32(base), folder)
    torch.testing.assert_close(logps(loaded), expected, rtol=1e-6, atol=1e-4)
    loaded.merge_and_unload().save_pretrained(tmp_path)
    torch.testing.assert_close(logps(in_float32(tmp_path)), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("quantized", [False, True])
def test_an_adapter_trained_further_has_its_start_as_reference(base, adapter, tmp_path, quantized):
    """Through files, and after a stop too: the reference is the adapter that was given, not the checkpoint's."""
    folder, _ = adapter
    load = in_nf4 if quantized else in_float32
    start = logps(PeftModel.from_pretrained(load(base), folder))

    def further(name):
        return make(base, tmp_path / name, PeftModel.from_pretrained(load(base), folder, is_trainable=True))

    straight, resumed = further("straight"), further("resumed")
    straight.train()
    mean_weights = [entry["weights/mean"] for entry in straight.state.log_history if "loss" in entry]
    # Policy and reference are the same at first, but for the policy's rounding to bfloat16 over quantised weights.
    assert losses(straight)[0] == pytest.approx(math.log(2) * mean_weights[0], rel=1e-2 if quantized else 1e-6)
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-3"))
    assert losses(resumed) == pytest.approx(losses(straight), rel=1e-6)
    for trainer in (straight, resumed):
        torch.testing.assert_close(reference_of(trainer), start, rtol=1e-6, atol=1e-4)
        assert (logps(trainer.model) - start).abs().max() > 1.0
    straight.save_model(str(tmp_path / "saved"))
    loaded = PeftModel.from_pretrained(load(base), tmp_path / "saved")
    # TRL trains the adapter of a quantised model in bfloat16; loaded, it computes in float32.
    tolerance = 0.02 if quantized else 1e-4
    torch.testing.assert_close(logps(loaded), logps(straight.model), rtol=1e-6, atol=tolerance)


def test_embeddings_and_head_are_trained_and_saved_with_the_adapter(base, tmp_path):
    lora = {**LORA, "target_modules": ["q_proj", "v_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}
    before = logps(in_float32(base))
    trainer = make(base, tmp_path / "run", lora=lora)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    # Without the adapter the old embeddings and head are in force.
    torch.testing.assert_close(reference_of(trainer), before, rtol=1e-6, atol=1e-4)
    loaded = PeftModel.from_pretrained(in_float32(base), tmp_path / "saved")
    torch.testing.assert_close(logps(loaded), logps(trainer.model), rtol=1e-6, atol=1e-4)
    merged, old = loaded.merge_and_unload(), in_float32(base)
    torch.testing.assert_close(logps(merged), logps(trainer.model), rtol=1e-5, atol=1e-3)
    for module in ("model.embed_tokens", "lm_head"):
        assert not torch.equal(merged.get_submodule(module).weight, old.get_submodule(module).weight)


def test_a_quantised_adapter_merges_into_the_weights_it_was_trained_on(base, tmp_path):
    trainer = make(base, tmp_path / "run", lora=LORA, quantized=True)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    expected = logps(trainer.model)
    dequantised = in_nf4(base).dequantize()
    merged = PeftModel.from_pretrained(dequantised, tmp_path / "saved").merge_and_unload()
    torch.testing.assert_close(logps(merged), expected, rtol=1e-6, atol=0.02)
    # Merged into 4-bit weights, it is rounded away; the weights before quantisation are others than it was trained on.
    rounded = PeftModel.from_pretrained(in_nf4(base), tmp_path / "saved").merge_and_unload()
    other = PeftModel.from_pretrained(in_float32(base), tmp_path / "saved").merge_and_unload()
    for model in (rounded, other):
        assert (logps(model) - expected).abs().max() > 1.0
