"""Pair rows of public layouts: what the prompt is, and that no question is lost."""

import json

import pytest

from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.pairs import PAIR_LAYOUTS, checked_pair, layout_of, render_bare

Q, GOOD, BAD = "What is 2 x 3?", "The product is 6.", "The product is 7."
USER, RIGHT, WRONG = (
    {"role": role, "content": text} for role, text in (("user", Q), ("assistant", GOOD), ("assistant", BAD))
)
TEXTS = {"chosen": GOOD, "rejected": BAD}
HH = {name: f"\n\nHuman: {Q}\n\nAssistant: {text}" for name, text in TEXTS.items()}
CONVERSATION = ([USER], [RIGHT], [WRONG])
ROWS = {
    # By layout: rows in the columns of its sets, and prompt, chosen and rejected.
    "own": [
        ({"prompt": Q, **TEXTS}, (Q, GOOD, BAD)),
        ({"prompt": [USER], "chosen": [RIGHT], "rejected": [WRONG]}, CONVERSATION),
        ({"prompt": [USER], "chosen": RIGHT, "rejected": WRONG}, CONVERSATION),
        ({"prompt": [USER], **TEXTS}, CONVERSATION),
        # UltraFeedback
        ({"prompt": Q, "prompt_id": "x", "chosen": [USER, RIGHT], "rejected": [USER, WRONG], "messages": [USER, RIGHT],
          "score_chosen": 8.0, "score_rejected": 5.0}, CONVERSATION),
        ({"prompt": Q, "chosen": [RIGHT], "rejected": [WRONG]}, CONVERSATION),
    ],
    "step_dpo": [
        ({"dataset": "m", "prompt": Q, "initial_reason_steps": "Step 1: think.\nStep 2:", "chosen": " 2 x 3 = 6",
          "rejected": " 2 x 3 = 7", "full_chosen": "f", "full_rejected": "g", "answer": "6"},
         (Q, "Step 1: think.\nStep 2: 2 x 3 = 6", "Step 1: think.\nStep 2: 2 x 3 = 7")),
        ({"prompt": Q, "initial_reason_steps": "", **TEXTS}, (Q, GOOD, BAD)),
    ],
    "orca": [
        ({"system": "", "question": Q, **TEXTS}, (Q, GOOD, BAD)),
        ({"question": Q, "chosen": [RIGHT], "rejected": [WRONG], "system": "S"},
         ([{"role": "system", "content": "S"}, USER], [RIGHT], [WRONG])),
    ],
    "argilla": [({"system": "S", "input": Q, "order": [], "rating": [9.0, 7.0], **TEXTS}, (Q, GOOD, BAD))],
    "alpaca": [
        ({"instruction": "Multiply.", "input": "2 and 3", **TEXTS}, ("Multiply.\n\n2 and 3", GOOD, BAD)),
        ({"instruction": Q, "input": "", **TEXTS}, (Q, GOOD, BAD)),
    ],
    "argilla_math": [
        ({"metadata": "{}", "instruction": Q, "chosen_response": GOOD, "rejected_response": BAD, "chosen_rating": 5},
         (Q, GOOD, BAD)),
    ],
    "instruction": [({"instruction": Q, **TEXTS}, (Q, GOOD, BAD))],
    "problem": [({"problem": Q, **TEXTS}, (Q, GOOD, BAD))],
    "implicit": [
        ({"chosen": [USER, RIGHT], "rejected": [USER, WRONG]}, CONVERSATION),
        (HH, (f"\n\nHuman: {Q}\n\nAssistant:", f" {GOOD}", f" {BAD}")),
        ({name: HH["chosen"] + text for name, text in HH.items()},
         (f"{HH['chosen']}\n\nHuman: {Q}\n\nAssistant:", f" {GOOD}", f" {BAD}")),
    ],
}  # fmt: skip


def test_every_layout_has_rows_here():
    assert set(ROWS) == set(PAIR_LAYOUTS)


@pytest.mark.parametrize(("name", "row", "parts"), [(name, *case) for name, cases in ROWS.items() for case in cases])
def test_a_layout_is_recognised_and_read(name, row, parts):
    layout = layout_of(row, "pairs")
    assert layout is PAIR_LAYOUTS[name]
    pair = checked_pair(row, layout, 0, "pairs")
    assert (pair["prompt"], pair["chosen"], pair["rejected"]) == parts
    # What was not read is kept.
    assert all(pair[key] == row[key] for key in row.keys() - {"prompt", "chosen", "rejected"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TEXTS, "row 4, column 'chosen': got 'The product is 6.'. no column has the question, so that the model would"),
        ({"chosen": f"Q: {Q} A: {GOOD}", "rejected": f"Q: {Q} A: {BAD}"}, "no column has the question"),
        ({"prompt": Q, "problem": "What is 3 x 3?", **TEXTS}, "problem is 'What is 3 x 3?', which is not in the"),
        ({"prompt": "Other?", "chosen": [USER, RIGHT], "rejected": [USER, WRONG]},
         "the prompt 'Other?' is not in the messages before the answer"),
        ({"prompt": Q, "chosen": [USER, RIGHT], "rejected": [{**USER, "content": "x"}, WRONG]},
         "chosen and rejected differ before their last message"),
        ({"chosen": [RIGHT], "rejected": [WRONG]}, "there is no message before the answer"),
        ({"prompt": Q, "chosen": GOOD}, "these are no pairs: the column 'rejected' is missing; there are: prompt, cho"),
        ({"problem": Q, "candidates": []}, "this is a pool of candidates. Make pairs of it: weighted-dpo mine"),
    ],
)  # fmt: skip
def test_a_question_that_the_model_would_not_see_is_an_error(row, message):
    with pytest.raises(SchemaError) as caught:
        checked_pair(row, layout_of(row, "pairs.jsonl"), 4, "pairs.jsonl")
    assert str(caught.value).startswith("pairs.jsonl: ")
    assert message in str(caught.value)


def test_a_missing_column_is_missing_and_no_null():
    with pytest.raises(SchemaError, match=r"pairs: row 3, column 'question': the column is missing; there are: chosen"):
        checked_pair(TEXTS, PAIR_LAYOUTS["orca"], 3, "pairs")


def test_bare_problems_are_rendered_with_their_system_message():
    tokenizer = tiny_tokenizer()
    pair = {"prompt": Q, "system": "You are a tutor.", **TEXTS}
    assert render_bare(pair, tokenizer)["prompt"] == f"You are a tutor.\n\n{Q}\n"
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    rendered = render_bare(pair, tokenizer, system_prompt="Another.")
    assert rendered["prompt"].startswith(f"<system>You are a tutor.<user>{Q}")
    assert rendered["chosen"].endswith(GOOD)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("implicit", "implicit"),
        ("mixlong", "own"),
        ("orca", "orca"),
        ("problem", "problem"),
        ("think_only", "own"),
        ("ultra", "own"),
    ],
)
def test_files_in_public_layouts(shared_data, name, layout):
    path = shared_data / "cases" / "formats" / f"p_{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) >= 10
    for index, row in enumerate(rows):
        assert layout_of(row, path.name) is PAIR_LAYOUTS[layout]
        pair = checked_pair(row, PAIR_LAYOUTS[layout], index, path.name)
        asked = pair["prompt"] if isinstance(pair["prompt"], str) else pair["prompt"][-1]["content"]
        assert "What is " in asked
