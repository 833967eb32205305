"""Configs of well-known models, written from their published dimensions, and of tiny ones."""

from pathlib import Path
from typing import Any

import transformers

KNOWN = {
    "qwen2.5-1.5b": ("Qwen2", 151_936, 1536, 8960, 28, 12, 2, True),
    "qwen2.5-7b": ("Qwen2", 152_064, 3584, 18_944, 28, 28, 4, False),
    "llama-3-70b": ("Llama", 128_256, 8192, 28_672, 80, 64, 8, False),
}
KNOWN_COUNTS = {"qwen2.5-1.5b": 1_543_714_304, "qwen2.5-7b": 7_615_616_512, "llama-3-70b": 70_553_706_496}
"""Parameters as their model cards on the hub count them."""


def known_config(name: str) -> Any:
    family, vocabulary, hidden, inner, layers, heads, kv_heads, tied = KNOWN[name]
    return getattr(transformers, f"{family}Config")(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=tied,
    )  # fmt: skip


def save_known(name: str, folder: Path) -> Path:
    known_config(name).save_pretrained(folder / name)
    return folder / name


def tiny_config(family: str, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "vocab_size": 400, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    return getattr(transformers, f"{family}Config")(**{**settings, **changes})
