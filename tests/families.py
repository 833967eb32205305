"""Tiny random models of many families, with windows shorter than the tests' texts."""

from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

WINDOW = 8
SMALL: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.4, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": 0,
}  # fmt: skip
_MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}

SHARED = {
    "llama": {},
    "qwen2": {},
    "qwen2-windowed": {**_MIXED, "use_sliding_window": True},
    "qwen3": {"head_dim": 8},
    "qwen3-windowed": {**_MIXED, "use_sliding_window": True, "head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {**_MIXED, "head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_MIXED, "head_dim": 8, "query_pre_attn_scalar": 8},
    "mistral": {"sliding_window": WINDOW, "head_dim": 8},
    "ministral": {**_MIXED, "head_dim": 8},
    "mixtral": {"sliding_window": WINDOW, "num_local_experts": 4},
    "phi": {},
    "phi3": {"sliding_window": WINDOW},
    "smollm3": {**_MIXED, "use_sliding_window": True},
    "starcoder2": {"sliding_window": WINDOW},
    "granite": {"logits_scaling": 3.0, "embedding_multiplier": 2.0},
    "cohere": {"logit_scale": 0.5},
    "cohere2": {**_MIXED, "logit_scale": 0.5},
    "olmo2": {},
    "olmo3": _MIXED,
    "gpt_neox": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
}
"""Model types (before a dash), and their settings besides `SMALL`, that go with shared prompts."""

LEAKING = {
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"], "head_dim": 8, "linear_num_key_heads": 2,
        "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_ff_dim": 48},
    "falcon_h1": {
        "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "head_dim":
        8,
    },
    "mamba": {"state_size": 8},
}  # fmt: skip
"""Families with layers in which one completion would see the other."""


def family_model(name: str, attention: str | None = None, **changes: Any) -> Any:
    """A tiny random model of a family, in evaluation mode, with the family's default attention unless one is named."""
    settings = {**SHARED, **LEAKING}[name]
    config = transformers.AutoConfig.for_model(name.partition("-")[0], **{**SMALL, **settings, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms begin at one or zero, and some families initialise small whatever they are told.
            parameter += 0.2 * torch.randn_like(parameter)
    return model.eval()
