"""Parameters counted without weights, against real models."""

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.planning.dimensions import KNOWN_COUNTS, known_config, tiny_config
from trl_weighted_dpo.planning.config import Lora, RunConfig
from trl_weighted_dpo.planning.model import build_model, nf4_constants, summarize

SETTINGS = RunConfig("tiny", "float32")
TINY = [
    ("Qwen2", {"tie_word_embeddings": True}),
    ("Qwen2", {"tie_word_embeddings": False}),
    ("Llama", {"tie_word_embeddings": False}),
    ("Gemma2", {"head_dim": 16}),
    ("Qwen3Moe", {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}),
    ("GPT2", {}),
]


def summary_of(config, **changes):
    settings = RunConfig(**{**vars(SETTINGS), **changes})
    return summarize(build_model(config, settings))


@pytest.mark.parametrize(("family", "changes"), TINY)
def test_counts_are_those_of_the_real_model(family, changes):
    config = tiny_config(family, **changes)
    real = AutoModelForCausalLM.from_config(config)
    summary = summary_of(config)
    assert summary.count() == sum(p.numel() for p in real.parameters())
    embedding, head = real.get_input_embeddings().weight, real.get_output_embeddings().weight
    assert summary.tied == (embedding is head)
    assert summary.count("embedding") == embedding.numel()
    assert summary.count("head") == (0 if summary.tied else head.numel())
    layers = next(module for module in real.modules() if isinstance(module, torch.nn.ModuleList))
    assert summary.count("layers") == sum(p.numel() for p in layers.parameters())
    assert sum(summary.layer_counts().values()) == summary.count("layers")
    assert sum(group.bytes for group in summary.groups) == 4 * summary.count()


@pytest.mark.parametrize("name", KNOWN_COUNTS)
def test_well_known_models_have_their_known_size(name):
    assert summary_of(known_config(name), dtype="bfloat16").count() == KNOWN_COUNTS[name]


def test_experts_that_a_token_does_not_meet_are_known():
    changes = dict(TINY[4][1])
    summary = summary_of(tiny_config("Qwen3Moe", **changes))
    assert summary.active_share == 0.5
    assert summary.expert_parameters == 2 * 4 * 3 * 64 * 32  # layers, experts, matrices, width, inner width


@pytest.mark.parametrize(
    "lora",
    [
        Lora(8, "all-linear"),
        Lora(4, ("q_proj", "v_proj")),
        Lora(4),
        Lora(4, ("q_proj",), use_dora=True),
        Lora(4, ("q_proj",), modules_to_save=("embed_tokens",)),
    ],
    ids=str,
)
def test_adapters_are_those_of_peft(lora):
    config = tiny_config("Qwen2", tie_word_embeddings=False)
    targets = list(lora.target_modules) if isinstance(lora.target_modules, tuple) else lora.target_modules
    real = get_peft_model(
        AutoModelForCausalLM.from_config(config),
        LoraConfig(
            r=lora.r, target_modules=targets, use_dora=lora.use_dora, task_type="CAUSAL_LM",
            modules_to_save=list(lora.modules_to_save) or None,
        ),
    )  # fmt: skip
    trained, total = real.get_nb_trainable_parameters()
    summary = summary_of(config, lora=lora)
    assert summary.count(trainable=True) == summary.count("adapter") == trained
    assert summary.count() == total


def test_an_adapter_on_modules_that_are_not_there_is_refused():
    with pytest.raises(ValueError, match=r"The adapter does not fit the model: .*w_proj"):
        summary_of(tiny_config("Qwen2"), lora=Lora(4, ("w_proj",)))


@pytest.mark.parametrize("double_quant", [False, True])
def test_nf4_bytes_are_those_of_bitsandbytes(tmp_path, double_quant):
    config = tiny_config("Llama", tie_word_embeddings=False, intermediate_size=104)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    real = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=quantization, device_map={"": "cpu"}, dtype=torch.float32
    )
    packed = constants = 0
    for module in real.modules():
        if isinstance(module, Linear4bit):
            state = module.weight.quant_state
            packed += module.weight.nbytes
            constants += state.absmax.nbytes + state.code.nbytes
            if state.nested:
                constants += state.state2.absmax.nbytes + state.state2.code.nbytes + state.offset.nbytes
    summary = summary_of(config, load_in_4bit=True, double_quant=double_quant)
    quantized = [group for group in summary.groups if group.dtype == "nf4"]
    assert sum(group.constants for group in quantized) == constants
    assert sum(group.bytes for group in quantized) == packed + constants
    other = sum(p.nbytes for p in real.parameters() if p.dtype == torch.float32)
    assert sum(group.bytes for group in summary.groups if group.dtype == "float32") == other


def test_nf4_takes_as_many_bits_as_the_paper_says():
    """QLoRA, section 3: constants take 0.5 bits a weight, and 0.127 with double quantisation."""
    count = 2**26
    assert 8 * nf4_constants(count, False) / count == pytest.approx(0.5, abs=1e-4)
    assert 8 * nf4_constants(count, True) / count == pytest.approx(0.127, abs=1e-3)
