"""A pool of word problems and a tiny untrained model, made on the spot: enough to run the path without a download.

The candidates are written by rules, not sampled: right solutions in two wordings, and wrong ones by misreading (adding
what was given away, forgetting a step) or by a slip in the arithmetic.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, set_seed

NAMES = ("Tom", "Ann", "Sam", "Mia", "Ben", "Eva", "Leo", "Zoe")
THINGS = ("apples", "books", "coins", "cards", "pens", "shells")


def make_pool(problems: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pool rows with four candidates each, between none and four of them right."""
    rng = random.Random(seed)
    return [_problem(rng, index) for index in range(problems)]


def _problem(rng: random.Random, index: int) -> dict[str, Any]:
    name, friend = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    packs, each, extra = rng.randint(2, 9), rng.randint(3, 12), rng.randint(3, 30)
    given = rng.randint(2, packs * each + extra - 1)
    bought, total = packs * each, packs * each + extra
    left = total - given

    def solution(last: int, *steps: str) -> str:
        return "\n".join([*steps, f"A: {last}"])

    buys = f"{name} buys {packs} * {each} = <<{packs}*{each}={bought}>>{bought} {thing}."
    has = f"With {extra} more that makes {bought} + {extra} = <<{bought}+{extra}={total}>>{total}."
    gives = f"After giving {given} away {name} has {total} - {given} = <<{total}-{given}={left}>>{left} {thing}."
    slip = left + rng.choice((-10, -2, 1, 2, 10))
    right = [
        solution(left, buys, has, gives),
        solution(left, f"{packs} packs of {each} are {bought}.", f"{bought} + {extra} - {given} = {left}"),
    ]
    wrong = [
        solution(total + given, buys, has, f"{friend} brings {given}, so {total} + {given} = {total + given}."),
        solution(bought - given, buys, f"{bought} - {given} = {bought - given}"),
        solution(slip, buys, has, f"{total} - {given} = {slip}"),
        solution(
            packs + each + extra - given, f"{packs} + {each} + {extra} - {given} = {packs + each + extra - given}"
        ),
    ]
    count = rng.choice((0, 1, 2, 2, 3, 4))
    candidates = [*rng.choices(right, k=count), *rng.sample(wrong, k=4 - count)]
    rng.shuffle(candidates)
    return {
        "id": f"tiny-{index}",
        "problem": f"{name} has {extra} {thing} and buys {packs} packs of {each} {thing}. Then {name} gives {given} "
        f"{thing} to {friend}. How many {thing} does {name} have left?",
        "reference_answer": str(left),
        "reference_solution": f"{buys}\n{has}\n{gives}\n#### {left}",
        "candidates": [{"solution": text} for text in candidates],
    }


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024, max_length: int = 2048) -> PreTrainedTokenizerFast:
    """Byte-level BPE: it survives being reloaded as the model type's own tokenizer class, which a word-level one would
    not."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>", model_max_length=max_length
    )


def save_model(folder: Path, texts: list[str], seed: int = 0) -> None:
    """Save an untrained Qwen2 of about 0.3 million parameters, and a tokenizer trained on the texts."""
    tokenizer = train_tokenizer(texts)
    set_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    reloaded = AutoTokenizer.from_pretrained(folder)
    if reloaded.decode(reloaded(texts[0])["input_ids"]) != texts[0]:
        raise RuntimeError("The tokenizer does not survive a round trip through disk.")
