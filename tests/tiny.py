"""A tiny Qwen2, its tokenizer, and pairs and pools to train it on."""

import random
from pathlib import Path
from typing import Any

import torch
from benchmarks.byte_tokenizer import train_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

NAMES = ("Tom", "Ann", "Sam", "Mia", "Leo", "Eva")
THINGS = ("apples", "books", "coins", "pens")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer((row["prompt"] + row["chosen"] + row["rejected"] for row in tiny_pairs(64)), 400, 512)


def tiny_model(seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Qwen2ForCausalLM:
    settings = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "bos_token_id": None,
    }
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(Qwen2Config(**{**settings, **changes})).to(dtype)


def exact_model(seed: int = 0) -> GPT2LMHeadModel:
    """A tiny GPT-2 in true float64: Qwen2's RMSNorm and rotary embedding work in float32 whatever the dtype."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=400, n_positions=512, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).double()


def perturbed(model: Qwen2ForCausalLM, seed: int = 1, scale: float = 0.05) -> Qwen2ForCausalLM:
    """A copy with noise on every weight: a policy that differs from its reference."""
    copy = type(model)(model.config).to(model.dtype)
    copy.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return copy


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    tiny_model(seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs with signals; completions of different lengths."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 60), rng.randint(2, 60)
        wrong = rng.choice([a - b, a + b + 1, a * 2])
        rows.append(
            {
                "prompt": f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?\n",
                "chosen": f"{name} has {a} + {b} = {a + b} {thing}.\n#### {a + b}",
                "rejected": f"That makes {wrong}."
                + rng.choice(["", f" So {name} has {wrong} {thing} in the end."])
                + f"\n#### {wrong}",
                "rejected_wrongness": round(rng.uniform(0.3, 1.0), 3),
                "chosen_confidence": round(rng.uniform(0.2, 0.8), 3),
                "rejected_confidence": round(rng.uniform(0.2, 0.8), 3),
                "rejected_nll": round(rng.uniform(0.2, 3.0), 3),
            }
        )
    return rows


def tiny_pool(problems: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pool rows with right and wrong candidates; each fourth problem has only wrong ones."""
    rng = random.Random(seed)
    rows = []
    for index in range(problems):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 60), rng.randint(2, 60)
        total = a + b
        right = [f"{name} has {a} + {b} = {total} {thing}.\nA: {total}", f"{a} and {b} make {total}.\nA: {total}"]
        wrong = [f"{name} has {a} - {b} = {a - b} {thing}.\nA: {a - b}", f"{a} + {b} = {total + 1}\nA: {total + 1}"]
        solutions = wrong if index % 4 == 3 else [*right, *wrong]
        rng.shuffle(solutions)
        rows.append(
            {
                "id": f"tiny-{index}",
                "problem": f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?",
                "reference_answer": str(total),
                "reference_solution": f"{name} has {a} + {b} = <<{a}+{b}={total}>>{total} {thing}.\n#### {total}",
                "candidates": [{"solution": solution} for solution in solutions],
            }
        )
    return rows
