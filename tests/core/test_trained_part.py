"""What is trained on of solutions with a thought."""

import pytest

from tests.core.test_tokens import CHATML
from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.core.rendering import render_completions, render_pair, trained_row

OPENING = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
"""A template whose generation prompt opens a thought, as DeepSeek-R1's does."""
PAIR = {
    "prompt": "3 * 4?",
    "chosen": "<think>\nIt is 12.\n</think>\n\n3 * 4 = 12",
    "rejected": "<think>\nIt is 13.\n</think>\n\n3 * 4 = 13",
}


def tokenizer_with(template):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def test_all_is_trained_on_by_default():
    rendered = render_pair(PAIR, tokenizer_with(None))
    assert rendered == {**PAIR, "prompt": "3 * 4?\n"}


@pytest.mark.parametrize(
    ("template", "prompt", "chosen"),
    [
        (None, "3 * 4?\n", "3 * 4 = 12"),
        (CHATML, "<|im_start|>user\n3 * 4?<|im_end|>\n<|im_start|>assistant\n", "3 * 4 = 12<|im_end|>"),
    ],
)
def test_answers_alone(template, prompt, chosen):
    rendered = render_pair(PAIR, tokenizer_with(template), train_on="answer")
    assert (rendered["prompt"], rendered["chosen"].rstrip()) == (prompt, chosen)
    assert "think" not in rendered["rejected"]
    assert "3 * 4 = 13" in rendered["rejected"]


def test_a_thought_that_the_prompt_opens_is_closed():
    tokenizer = tokenizer_with(OPENING)
    prompt, _ = render_completions("3 * 4?", [], tokenizer)
    assert prompt.endswith("assistant\n<think>\n")
    closed, _ = render_completions("3 * 4?", [], tokenizer, train_on="answer")
    assert closed == prompt + "\n</think>\n\n"


REFUSED = {
    "chosen is a thought without an answer": {**PAIR, "chosen": "<think>\nIt is 12, but wait"},
    "rejected is a thought without an answer": {**PAIR, "rejected": "<think>\nIt is 13.\n</think>\n"},
    "differ in their thoughts only": {**PAIR, "rejected": PAIR["rejected"].replace("= 13", "= 12")},
}


@pytest.mark.parametrize("what", REFUSED)
def test_pairs_of_which_nothing_is_left_are_refused(what):
    with pytest.raises(ValueError, match=what):
        render_pair(REFUSED[what], tokenizer_with(None), train_on="answer")
    assert render_pair(REFUSED[what], tokenizer_with(None))["chosen"] == REFUSED[what]["chosen"]


def test_pool_rows_without_thoughts():
    row = {
        "problem": "3 * 4?", "reference_solution": "<think>Hm.</think>3 * 4 = 12", "n": 1,
        "candidates": [
            {"solution": PAIR["chosen"], "profile": {"verdict": "correct"}, "score": {"logp": -1.0}},
            {"solution": "3 * 4 = 13", "profile": {"verdict": "incorrect"}},
        ],
    }  # fmt: skip
    assert trained_row(row, "all") is row
    short = trained_row(row, "answer")
    assert short == {
        "problem": "3 * 4?", "reference_solution": "3 * 4 = 12", "n": 1,
        "candidates": [
            {"solution": "3 * 4 = 12", "score": {"logp": -1.0}},
            {"solution": "3 * 4 = 13", "profile": {"verdict": "incorrect"}},
        ],
    }  # fmt: skip
    assert trained_row(short, "answer") == short
