"""Pairs to train on, mined from a pool or generated with the lengths of such pairs, and a tokenizer trained on them."""

import math
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.byte_tokenizer import train_tokenizer

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile

VOCABULARY = 2000
"""Entries of a BPE trained on GSM8K solutions with which they take as many tokens as with real models' tokenizers:
about 65 for a problem, 100 for a solution. The model's vocabulary is larger; its further entries are never used."""

LONGEST = 1024
FEW_SHOT_TOKENS = 400
"""Tokens of worked examples, at least, in front of a long prompt."""

LENGTHS = (
    (35, 51, 42, 0), (42, 67, 37, 0), (61, 52, 51, 7), (49, 62, 67, 0), (53, 53, 82, 0), (50, 62, 81, 6),
    (71, 61, 70, 5), (57, 76, 77, 3), (65, 73, 77, 26), (62, 67, 90, 3), (65, 73, 89, 0), (30, 123, 84, 0),
    (62, 73, 107, 20), (42, 103, 102, 6), (87, 75, 87, 1), (73, 72, 107, 0), (84, 60, 112, 0), (60, 91, 113, 10),
    (89, 114, 67, 0), (82, 95, 97, 0), (74, 70, 143, 0), (59, 111, 122, 0), (61, 120, 118, 0), (139, 103, 64, 0),
    (71, 114, 127, 4), (62, 145, 112, 0), (95, 128, 122, 20), (76, 169, 107, 1), (112, 166, 102, 0),
    (98, 171, 132, 1), (86, 197, 163, 0), (125, 205, 244, 1),
)  # fmt: skip
"""Tokens of the prompt, of chosen and rejected with EOS, and of the beginning that these two share, of 32 pairs evenly
spread by their sum over the 188 that mining makes of the GSM8K test problems."""

WORDS = (
    "a", "all", "an", "and", "apples", "are", "as", "at", "away", "bags", "bakes", "books", "boxes", "buys", "by",
    "cakes", "cards", "cents", "coins", "costs", "days", "dollars", "each", "eats", "eggs", "every", "fewer",
    "first", "five", "for", "four", "friend", "from", "games", "gave", "gets", "gives", "had", "half", "has",
    "have", "he", "her", "hours", "how", "in", "is", "it", "left", "makes", "many", "men", "miles", "minutes",
    "money", "more", "much", "needs", "number", "of", "off", "on", "one", "out", "packs", "pays", "pens", "people",
    "per", "price", "second", "sells", "shares", "she", "six", "so", "some", "sold", "spends", "still", "store",
    "takes", "ten", "than", "that", "the", "them", "then", "there", "they", "third", "three", "times", "to",
    "total", "two", "was", "week", "were", "what", "when", "will", "with", "work", "years",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What is trained on.

    Args:
        tokenizer: Trained on the texts of the pairs.
        short, long: Pairs as text for TRL, with the signals that weights are made of; those of `long` have worked
            examples in front of the problem.
        source: Where they come from, in words.
    """

    tokenizer: Any
    short: list[dict[str, Any]]
    long: list[dict[str, Any]]
    source: str


@dataclass(frozen=True)
class TokenLengths:
    """Mean tokens of some pairs; completions with EOS."""

    prompt: float
    chosen: float
    rejected: float
    common: float


def mined_world(pool: Path, count: int, seed: int = 0) -> World:
    """Some of the pairs that mining makes of a pool's rows, evenly spread by length, in random order."""
    from trl_weighted_dpo.mining.pairing import mine_pairs

    rows = list(RowFile(pool))
    mined, _ = mine_pairs(rows, progress=False)
    texts = [text for row in rows for text in (row["problem"], *(item["solution"] for item in row["candidates"]))]
    pairs = [{**pair, schema.PROMPT: pair[schema.PROMPT] + "\n"} for pair in mined]
    return _world(pairs, texts, count, f"mined from {pool.name}", seed)


def generated_world(count: int, seed: int = 0) -> World:
    """Pairs of random words, each of them one token, with the lengths of mined pairs."""
    rng = random.Random(seed)
    pairs = [_generated_pair(rng, *tokens) for tokens in LENGTHS * math.ceil(count / len(LENGTHS))]
    texts = [" ".join(WORDS) + "\n" + word for word in WORDS for _ in range(20)]
    return _world(pairs, texts, count, "generated, with the lengths of pairs mined from GSM8K solutions", seed)


def lengths(pairs: Iterable[dict[str, Any]], tokenizer: Any) -> TokenLengths:
    """Mean tokens as TRL makes them of the pairs' text."""
    rows = []
    for pair in pairs:
        prompt, chosen, rejected = (
            tokenizer(pair[name])["input_ids"] for name in (schema.PROMPT, schema.CHOSEN, schema.REJECTED)
        )
        rows.append((len(prompt), len(chosen) + 1, len(rejected) + 1, common_prefix(chosen, rejected)))
    return TokenLengths(*(statistics.mean(column) for column in zip(*rows, strict=True)))


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many elements two sequences have in common at their beginning."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def _world(pairs: list[dict[str, Any]], texts: list[str], count: int, source: str, seed: int) -> World:
    tokenizer = train_tokenizer(texts, VOCABULARY, LONGEST)
    columns = (schema.PROMPT, schema.CHOSEN, schema.REJECTED, schema.REJECTED_WRONGNESS)
    slim = [{column: pair[column] for column in columns} for pair in pairs]
    slim.sort(key=lambda pair: sum(len(pair[column]) for column in columns[:3]))
    chosen = [slim[int((place + 0.5) * len(slim) / count)] for place in range(count)]
    rng = random.Random(seed)
    rng.shuffle(chosen)
    examples = _worked_examples(rng.sample(slim, len(slim)), tokenizer)
    long = [{**pair, schema.PROMPT: examples + pair[schema.PROMPT]} for pair in chosen]
    return World(tokenizer, chosen, long, source)


def _worked_examples(pairs: list[dict[str, Any]], tokenizer: Any) -> str:
    text = ""
    for pair in pairs:
        text += pair[schema.PROMPT] + pair[schema.CHOSEN] + "\n\n"
        if len(tokenizer(text)["input_ids"]) >= FEW_SHOT_TOKENS:
            break
    return text


def _generated_pair(rng: random.Random, prompt: int, chosen: int, rejected: int, common: int) -> dict[str, Any]:
    def words(number: int) -> list[str]:
        return rng.choices(WORDS, k=number)

    shared = words(common)
    fork = rng.sample(WORDS, 2)
    # The last token of a prompt is its newline, that of a completion EOS.
    return {
        schema.PROMPT: " ".join(words(prompt - 1)) + "\n",
        schema.CHOSEN: " ".join([*shared, fork[0], *words(chosen - common - 2)]),
        schema.REJECTED: " ".join([*shared, fork[1], *words(rejected - common - 2)]),
        schema.REJECTED_WRONGNESS: round(rng.uniform(0.3, 1.0), 3),
    }
