"""Pool → pairs: verdicts decide, seeds choose, order does not matter."""

import json

import pytest

from tests.tiny import tiny_pool, tiny_tokenizer
from trl_weighted_dpo import MathVerifier, PairingConfig, mine_pairs
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.rendering import render_pair
from trl_weighted_dpo.scoring.reference_solution import render_reference


def row(*solutions, reference="7", **more):
    return {
        "id": "p", "problem": "How many?", "reference_answer": reference,
        "candidates": [{"solution": solution} for solution in solutions], **more,
    }  # fmt: skip


def mine(*rows, **settings):
    return mine_pairs(rows, config=PairingConfig(**settings), progress=False)


def test_correct_is_chosen_incorrect_rejected_undecided_neither():
    pairs, report = mine(row("So 7.\nA: 7", "So 8.\nA: 8", "A:"), pairs_per_problem=9)
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [("So 7.\nA: 7", "So 8.\nA: 8")]
    assert report.verdicts == {"correct": 1, "incorrect": 1, "undecided": 1}
    assert (pairs[0]["chosen_index"], pairs[0]["rejected_index"]) == (0, 1)
    assert (pairs[0]["chosen_answer"], pairs[0]["rejected_answer"]) == ("7", "8")
    assert pairs[0]["kind"] == "wrong_answer"
    assert pairs[0]["rejected_wrongness"] == MathVerifier().verify("How many?", "So 8.\nA: 8", "7").wrongness > 0.5


def test_a_candidate_with_a_broken_surrogate_is_not_used():
    pairs, report = mine(row("A: 7", "\udc80 A: 8", "A: 9"), pairs_per_problem=9)
    assert [pair["rejected"] for pair in pairs] == ["A: 9"]
    assert report.unusable == {"no valid Unicode": 1}


def test_report_says_why_problems_gave_no_pair():
    _, report = mine(
        row("A: 7"), row("A: 8"), row("A:"), row(), row("A: 7", "A: 8", reference=None), row("A: 7", "A: 8")
    )
    assert report.problems_without_pairs == {
        "no incorrect candidate": 1, "no correct candidate": 1, "neither a correct nor an incorrect candidate": 1,
        "no candidates": 1, "no reference": 1,
    }  # fmt: skip
    assert (report.problems, report.candidates, report.pairs) == (6, 7, 1)
    assert json.loads(json.dumps(report.to_dict()))["verdicts"] == {"correct": 2, "incorrect": 2, "undecided": 3}


def test_a_guessed_answer_rejects_only_when_asked_to():
    pool = [row("A: 7", "So 8."), row("So 8."), row("So 7.", "A: 9", "So 8.")]
    pairs, report = mine(*pool, pairs_per_problem=9)
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [("So 7.", "A: 9")]
    assert report.verdicts == {"correct": 2, "incorrect": 4}
    assert report.problems_without_pairs == {
        "incorrect candidates with weak answers only": 1,
        "no correct candidate": 1,
    }
    assert report.unusable == {"weak answer": 3}
    pairs, report = mine(*pool, pairs_per_problem=9, allow_weak_answers=True)
    assert {pair["rejected"] for pair in pairs} == {"So 8.", "A: 9"}
    assert not report.unusable


def test_every_rejected_is_used_before_one_is_used_again():
    pool_row = row("Seven.\nA: 7", "It is 7.\nA: 7", "One.\nA: 1", "Two.\nA: 2", "Three.\nA: 3")
    pairs, _ = mine(pool_row, pairs_per_problem=3)
    assert {pair["rejected"] for pair in pairs} == {"One.\nA: 1", "Two.\nA: 2", "Three.\nA: 3"}
    everything, _ = mine(pool_row, pairs_per_problem=100)
    assert len({(pair["chosen"], pair["rejected"]) for pair in everything}) == len(everything) == 6


def test_repeated_candidates_make_one_pair():
    pairs, report = mine(row("A: 7", "A: 7", "A: 8", "A: 8"), pairs_per_problem=9)
    assert len(pairs) == 1
    assert (report.candidates, report.unusable) == (4, {"repeated": 2})


def test_pairs_depend_on_the_seed_and_not_on_the_order():
    pool = tiny_pool(20)
    texts = {}
    for seed in (1, 2):
        settings = {"strategy": "random", "chosen": "random", "seed": seed}
        pairs, _ = mine(*pool, **settings)
        reversed_pool = [{**entry, "candidates": entry["candidates"][::-1]} for entry in reversed(pool)]
        backwards, _ = mine(*reversed_pool, **settings)
        texts[seed] = {(pair["problem_id"], pair["chosen"], pair["rejected"]) for pair in pairs}
        assert {(pair["problem_id"], pair["chosen"], pair["rejected"]) for pair in backwards} == texts[seed]
    assert texts[1] != texts[2]


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (["It is 8.\nA: 8"], "He has 3+4=7 pens.\nA: 7"),
        (["It is 8.\n#### 8"], "He has 3+4=7 pens.\n#### 7"),
        (["So the answer is $\\boxed{8}$."], "He has 3+4=7 pens.\nSo the answer is $\\boxed{7}$."),
        (["3+5=<<3+5=8>>8\nA: 8"], "He has 3+4=<<3+4=7>>7 pens.\nA: 7"),
        (["A: 8", "A: 9", "#### 3"], "He has 3+4=7 pens.\nA: 7"),
        (["The answer is 3 + 1 = \\boxed{4}", "A: 8"], "He has 3+4=7 pens.\nA: 7"),
        (["So the answer is 6 pens, not 5.", "A: 8"], "He has 3+4=7 pens.\nA: 7"),
    ],
)
def test_reference_solution_takes_the_candidates_form(candidates, expected):
    reference = "He has 3+4=<<3+4=7>>7 pens.\n#### 7"
    assert render_reference(reference, "7", candidates) == expected


def test_a_reference_that_boxes_its_answer_as_candidates_do_stays_as_it_is():
    reference = "A quarter is $\\boxed{25\\%}$."
    assert render_reference(reference, "25", ["So $\\boxed{30}$, which is what was asked for, is it not?"]) == reference
    assert render_reference(reference, "25", ["A: 30"]) == f"{reference}\nA: 25"


@pytest.mark.parametrize(
    ("reference", "answer", "candidates"),
    [(None, "7", ["A: 8"]), ("x\n#### 7", "7", ["no answer"]), ("#### 7", "7", ["A: 8"])],
)
def test_reference_solution_without_a_form_or_steps_is_not_rendered(reference, answer, candidates):
    assert render_reference(reference, answer, candidates) is None


def test_reference_solution_is_chosen_only_when_asked_for():
    pool_row = row("Then 8.\nA: 8", reference_solution="3+4=<<3+4=7>>7\n#### 7")
    assert mine(pool_row)[0] == []
    pairs, _ = mine(pool_row, chosen_fallback="reference_solution")
    assert (pairs[0]["chosen"], pairs[0]["chosen_index"]) == ("3+4=7\nA: 7", -1)
    preferred, _ = mine(row("ok\nA: 7", "A: 8", reference_solution="s\n#### 7"), chosen_fallback="reference_solution")
    assert preferred[0]["chosen"] == "ok\nA: 7"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"candidates": []}, r"pool: row 0, column 'problem': the column is missing"),
        ({"problem": "p"}, "column 'candidates'"),
        ({"problem": " ", "candidates": []}, "Give the text of the problem"),
        ({"problem": "p", "candidates": "x"}, "Give a list of objects with 'solution'"),
        ({"problem": "p", "candidates": [{"text": "x"}]}, r"column 'candidates\[0\]\.solution': got null"),
        ({"problem": "p", "candidates": ["x"]}, r"candidates\[0\]\.solution': got 'x'"),
        ({"problem": "p", "candidates": [], "reference_answer": 7}, "'reference_answer': got 7. Give a text or null"),
    ],
)
def test_bad_rows_are_named(bad, message):
    with pytest.raises(SchemaError, match=message):
        mine(bad)


@pytest.mark.parametrize(
    "settings",
    [
        {"pairs_per_problem": 0},
        {"chosen_fallback": "best"},
        {"strategy": "best"},
        {"chosen": "best"},
        {"random_share": 2},
        {"min_quantile": 0.7, "max_quantile": 0.7},
        {"max_candidates": 1},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        PairingConfig(**settings)


def test_bad_json_is_named_by_file_and_row(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"a": 1}\n\n{"a": \n')
    with pytest.raises(SchemaError, match=r"pool\.jsonl: row 1, .*not valid JSON"):
        list(read_jsonl(path))
    path.write_text("[" * 200_000 + "\n")
    with pytest.raises(SchemaError, match=r"row 0, .*not valid JSON"):
        list(read_jsonl(path))
    path.write_text("[1]\n")
    with pytest.raises(SchemaError, match=r"row 0, .*A row is a JSON object"):
        list(read_jsonl(path))


def test_plain_prompts_follow_the_template():
    pair = {"prompt": "2+2 in {braces}?", "chosen": "4", "rejected": "5"}
    rendered = render_pair(pair, tiny_tokenizer(), "Q: {problem}\nA: ")
    assert rendered == {"prompt": "Q: 2+2 in {braces}?\nA: ", "chosen": "4", "rejected": "5"}
    with pytest.raises(ValueError, match="lacks the placeholder"):
        render_pair(pair, tiny_tokenizer(), "Q:")


def test_conversations_are_rendered_as_texts_are():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    text = {"prompt": "p", "chosen": "c", "rejected": "r"}
    conversation = {
        "prompt": [{"role": "user", "content": "p"}],
        "chosen": [{"role": "assistant", "content": "c"}],
        "rejected": [{"role": "assistant", "content": "r"}],
    }
    expected = {"prompt": "[system]s[user]p[assistant]", "chosen": "c", "rejected": "r"}
    assert render_pair(text, tokenizer, system_prompt="s") == expected
    assert render_pair(conversation, tokenizer, system_prompt="s") == expected
    conversation["prompt"].insert(0, {"role": "system", "content": "own"})
    assert render_pair(conversation, tokenizer, system_prompt="s")["prompt"] == "[system]own[user]p[assistant]"
    with pytest.raises(ValueError, match="are conversations, but the tokenizer has no chat template"):
        render_pair(conversation, tiny_tokenizer())


def test_a_template_that_rewrites_the_prompt_is_refused():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages|length }}{{ messages[-1].content }}"
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    assert render_pair(pair, tokenizer) == {**pair, "prompt": "1p"}
    messages = {name: [{"role": "assistant", "content": pair[name]}] for name in ("chosen", "rejected")}
    with pytest.raises(ValueError, match="renders the prompt differently once an answer follows"):
        render_pair({**pair, **messages}, tokenizer)


def test_messages_that_the_template_refuses_are_explained():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    assert render_pair(pair, tokenizer)["prompt"] == "p"
    with pytest.raises(
        ValueError, match=r"refuses messages of the roles system, user: System role not supported\. Leave"
    ):
        render_pair(pair, tokenizer, system_prompt="s")


def test_a_bos_that_the_tokenizer_adds_is_taken_out_of_the_text():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.chat_template = "<|im_start|>{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    assert render_pair(pair, tokenizer)["prompt"] == "<|im_start|>[user]p"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    assert render_pair(pair, tokenizer)["prompt"] == "[user]p"
