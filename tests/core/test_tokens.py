"""What is scored are the trainer's tokens: the same ids, cut in the same place."""

import pytest

from tests.arena import Arena
from tests.tiny import tiny_pool, tiny_tokenizer
from trl_weighted_dpo.core.fingerprint import token_digest
from trl_weighted_dpo.core.rendering import render_completions, render_pair
from trl_weighted_dpo.core.tokens import tokenize_completions

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
POOL = tiny_pool(6)


def tokenizer_with(template, eos):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template, tokenizer.eos_token = template, eos
    return tokenizer


def pairs_of(solutions):
    """Bare pairs: the first two solutions of each problem."""
    return [
        {"prompt": row["problem"], "chosen": first, "rejected": second, "row": index}
        for index, (row, (first, second)) in enumerate(zip(POOL, solutions, strict=True))
    ]


def trained_on(folder, tokenizer, pairs, max_length, truncation_mode, **rendering):
    """(row, column) → (ids, number of prompt ids, digest), from a real trainer's dataset and collator."""
    arena = Arena(folder, [render_pair(pair, tokenizer, **rendering) for pair in pairs])
    arena.tokenizer = tokenizer
    trainer = arena.ours(max_length=max_length, truncation_mode=truncation_mode, weight_scheme="uniform")
    found = {}
    for example in trainer.train_dataset:
        batch = trainer.data_collator([example])
        for column, ids, attended, completion in zip(
            ("chosen", "rejected"), batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True
        ):
            length = int(attended.sum())
            digest = token_digest(example["prompt_ids"], example[f"{column}_ids"], max_length, truncation_mode)
            found[example["row"], column] = (ids[:length].tolist(), length - int(completion.sum()), digest)
    return found


def scored(tokenizer, pair, max_length, truncation_mode, **rendering):
    prompt, completions = render_completions(pair["prompt"], [pair["chosen"], pair["rejected"]], tokenizer, **rendering)
    return tokenize_completions(prompt, completions, tokenizer, max_length, truncation_mode)


@pytest.mark.parametrize("cut", [None, "keep_start", "keep_end"])
@pytest.mark.parametrize(
    ("template", "eos", "rendering"),
    [
        (None, "<|endoftext|>", {}),
        (None, "<|endoftext|>", {"prompt_template": "Q: {problem} A"}),
        (CHATML, "<|im_end|>", {}),
        (CHATML, "<|endoftext|>", {"system_prompt": "Think step by step."}),
    ],
)
def test_tokens_are_those_of_the_trainer(tmp_path, template, eos, rendering, cut):
    tokenizer = tokenizer_with(template, eos)
    pairs = pairs_of([[candidate["solution"] for candidate in row["candidates"]][:2] for row in POOL])
    pairs[1]["chosen"] += eos
    prompts = [scored(tokenizer, pair, None, "keep_start", **rendering)[0].prompt for pair in pairs]
    assert min(prompts) < max(prompts)
    max_length = {None: None, "keep_start": max(prompts), "keep_end": 12}[cut]
    truncation_mode = cut or "keep_start"
    expected = trained_on(tmp_path, tokenizer, pairs, max_length, truncation_mode, **rendering)
    assert (len(expected) < 2 * len(pairs)) == (cut == "keep_start")
    shortened = 0
    for pair in pairs:
        for column, tokens in zip(
            ("chosen", "rejected"), scored(tokenizer, pair, max_length, truncation_mode, **rendering), strict=True
        ):
            if (pair["row"], column) in expected:
                assert (tokens.ids, tokens.prompt, tokens.digest) == expected[pair["row"], column]
            else:
                # TRL drops a pair whose prompt leaves no room.
                assert tokens.prompt == len(tokens.ids) == max_length
                assert tokens.scored == 0
            shortened += tokens.is_truncated
    assert bool(shortened) == (cut is not None)


def test_tokens_that_merge_across_the_boundary_are_split_as_the_trainer_splits_them(tmp_path):
    tokenizer = tiny_tokenizer()
    pairs = pairs_of([["pples are left.\nA: 7", "pples are gone.\nA: 8"]] * len(POOL))
    rendering = {"prompt_template": "{problem} Say how many a"}
    merged = tokenizer("how many apples")["input_ids"]
    assert merged[: len(tokenizer("how many a")["input_ids"])] != tokenizer("how many a")["input_ids"]
    expected = trained_on(tmp_path, tokenizer, pairs, None, "keep_start", **rendering)
    for pair in pairs:
        for column, tokens in zip(
            ("chosen", "rejected"), scored(tokenizer, pair, None, "keep_start", **rendering), strict=True
        ):
            assert (tokens.ids, tokens.prompt, tokens.digest) == expected[pair["row"], column]


def test_a_completion_that_fills_the_length_has_one_token_that_nothing_comes_before():
    tokenizer = tiny_tokenizer()
    (tokens,) = tokenize_completions("Q\n", ["one two three four five"], tokenizer, 3, "keep_end")
    assert (len(tokens.ids), tokens.prompt, tokens.first, tokens.scored) == (3, 0, 1, 2)
    assert tokens.ids[-1] == tokenizer.eos_token_id
