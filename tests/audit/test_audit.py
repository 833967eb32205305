"""Every planted defect is found where it is and nowhere else, and a clean set passes."""

import random

import pytest

from tests.tiny import NAMES, THINGS, tiny_tokenizer
from trl_weighted_dpo.audit import AuditConfig, audit_pairs
from trl_weighted_dpo.audit.report import SEVERITIES, Severity, Status
from trl_weighted_dpo.core.checks import SchemaError


def clean_pairs(count=40, seed=0):
    """Mined pairs without any defect: other problems, completions of equal length."""
    rng, rows = random.Random(seed), []
    for index in range(count):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), 100 + index, rng.randint(100, 400)
        rows.append(
            {
                "prompt": f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?",
                "chosen": f"{name} has {a} + {b} = {a + b} {thing}.\nA: {a + b}",
                "rejected": f"{name} has {a} + {b} = {a + b + 1} {thing}.\nA: {a + b + 1}",
                "problem_id": f"p{index}",
                "chosen_answer": str(a + b),
                "rejected_answer": str(a + b + 1),
                "kind": "wrong_answer",
                "rejected_wrongness": rng.uniform(0.5, 0.9),
                "rejected_nll": rng.uniform(0.5, 1.5),
                "ref_chosen_logps": -rng.uniform(5, 50),
                "ref_rejected_logps": -rng.uniform(5, 50),
            }
        )
    return rows


def references(rows):
    return [
        {"id": row["problem_id"], "problem": row["prompt"], "reference_answer": row["chosen_answer"]} for row in rows
    ]


def audited(rows, config=None, **options):
    return audit_pairs(rows, config, progress=False, **options)


def found(report):
    """The rows of each check that found some."""
    return {check.name: list(check.rows) for check in report.checks if check.rows}


def statuses(report):
    return {check.name for check in report.checks if check.status in (Status.WARN, Status.FAIL)}


def test_a_clean_set_passes_every_check():
    rows = clean_pairs()
    config = AuditConfig(max_length=512)
    evaluation = {
        "test.jsonl": [{"problem": "A tower of 30 metres casts a shadow of 40. How far is its top from the end?"}]
    }
    report = audited(rows, config, reference=references(rows), evaluation=evaluation, tokenizer=tiny_tokenizer())
    assert {check.name: check.status for check in report.checks} == dict.fromkeys(SEVERITIES, Status.PASS)
    assert not report.found(Severity.WARNING)


def test_what_cannot_be_checked_is_skipped_and_says_why():
    rows = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in clean_pairs()]
    report = audited(rows)
    skipped = {check.name: check.note for check in report.checks if check.status is Status.SKIPPED}
    assert skipped == {
        "flagged_chosen": "no references",
        "unverified": "no references",
        "truncated_to_equal": "needs a maximum length and a tokenizer",
        "prompt_too_long": "needs a maximum length and a tokenizer",
        "contaminated": "needs evaluation files",
        "contaminated_but_numbers": "needs evaluation files",
        "unusable_signals": "no weights and no signals",
        "weights_clipped": "the scheme uniform clips no weight",
        "reference_logps": "no reference log-probs",
    }
    assert report["mislabelled"].note == "40 without a reference: only that the two answers differ"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"chosen": ""}, "chosen is blank"),
        ({"rejected": " \n"}, "rejected is blank"),
        ({"rejected": None}, "rejected is missing"),
        ({"prompt": None}, "prompt is missing"),
        ({"chosen": 7}, "chosen is of type int: neither a text nor a list of messages"),
        ({"chosen": "half \ud83d"}, "chosen holds a broken surrogate, which no tokenizer reads"),
        ({"chosen": [{"role": "assistant", "content": "5"}]}, "prompt, chosen, rejected mix texts and conversations"),
        ({"chosen": ["5"]}, "chosen[0] is no message with a role"),
        ({"reference_answer": 5}, "reference_answer is of type int: quote numbers"),
    ],
)
def test_a_malformed_row_is_found_and_left_out_of_the_other_checks(change, detail):
    rows = clean_pairs()
    rows[7] |= change
    report = audited(rows)
    assert found(report) == {"malformed": [7]}
    assert report["malformed"].examples[0].detail == detail
    assert report["identical"].of == 39


def test_identical_pairs_are_found_but_for_case_and_white_space():
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"].upper().replace("\n", "  \n ")}
    assert found(audited(rows)) == {"identical": [3]}


def test_a_completion_that_begins_the_other_is_found_at_a_word_end_only():
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"].split(" + ")[0]}
    rows[5] |= {"chosen": rows[5]["rejected"] + "\nNo, that is wrong."}
    rows[6] |= {"chosen": "A: 4", "rejected": "A: 42"}
    assert found(audited(rows)) == {"prefix": [3, 5]}


def test_repeated_pairs_are_found_from_the_second_on():
    rows = clean_pairs()
    rows[9] = dict(rows[4], chosen=rows[4]["chosen"] + " ")
    rows[12] = rows[4]
    report = audited(rows)
    assert found(report) == {"duplicate": [9, 12]}
    assert [example.detail for example in report["duplicate"].examples] == ["the same pair as row 4"] * 2


def test_a_text_that_is_chosen_and_rejected_for_the_same_prompt_is_found_on_both_sides():
    rows = clean_pairs()
    rows[11] |= {"prompt": rows[2]["prompt"], "rejected": rows[2]["chosen"]}
    rows[20] |= {"rejected": rows[21]["chosen"]}  # of another problem
    report = audited(rows)
    assert found(report)["contradiction"] == [2, 11]
    assert [example.detail for example in report["contradiction"].examples] == [
        "its chosen is the rejected of row 11",
        "its rejected is the chosen of row 2",
    ]


def test_wrong_labels_are_found_by_verifying_again():
    rows = clean_pairs()
    rows[1] |= {"chosen": rows[1]["rejected"] + " ", "rejected": "So it is 3.\nA: 3"}
    rows[2] |= {"rejected": f"It is {rows[2]['chosen_answer']}.\nA: {rows[2]['chosen_answer']}"}
    rows[4] |= {"chosen": rows[4]["chosen"].replace("\nA", "\n12 + 13 = 26\nA")}
    rows[5] |= {"chosen": "I do not know.\nA: some of them"}
    report = audited(rows, reference=references(clean_pairs()))
    assert found(report) == {"mislabelled": [1, 2], "flagged_chosen": [4], "unverified": [5]}
    details = [example.detail for example in report["mislabelled"].examples]
    assert details[0].startswith("chosen is incorrect: it answers ")
    assert details[1].startswith("rejected is correct: it answers ")
    assert report["flagged_chosen"].examples[0].detail == "numerical_validity: 12 + 13 is 25, not 26."
    assert report["mislabelled"].note == "40 verified"


def test_a_right_answer_by_flawed_reasoning_is_rightly_rejected_unless_nothing_is_wrong_with_it():
    rows = clean_pairs()
    right = rows[1]["chosen_answer"]
    rows[1] |= {"kind": "flawed_reasoning", "rejected": f"12 + 13 = 26, so it is {right}.\nA: {right}"}
    rows[2] |= {"kind": "flawed_reasoning", "rejected": f"{rows[2]['chosen']} "[:-1].replace(".", ", so.")}
    rows[1] |= {"rejected_answer": right}
    report = audited(rows, reference=references(clean_pairs()))
    assert found(report) == {"mislabelled": [2]}
    assert found(audited(rows)) == {}


def test_references_are_also_taken_from_the_columns_of_the_pairs():
    rows = [row | {"reference_answer": row["chosen_answer"]} for row in clean_pairs()]
    rows[8] |= {"reference_answer": rows[8]["rejected_answer"]}
    assert found(audited(rows)) == {"mislabelled": [8]}


def test_a_pair_whose_question_is_nowhere_is_malformed():
    rows = [{"chosen": "It is 7.\nA: 7", "rejected": "It is 8.\nA: 8", "reference_answer": "7"}] * 2
    malformed = audited(rows)["malformed"]
    assert malformed.rows == [0, 1]
    assert "no column has the question, so that the model would never see it" in malformed.examples[0].detail


def test_columns_of_public_sets_are_read():
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"]}
    orca = [{"system": "", "question": row["prompt"], **{n: row[n] for n in ("chosen", "rejected")}} for row in rows]
    assert found(audited(orca, reference=references(clean_pairs()))) == {"mislabelled": [3], "identical": [3]}


def test_references_are_found_by_text_where_ids_do_not_belong_to_the_problem():
    rows = clean_pairs()
    rows[1] |= {"chosen": rows[1]["rejected"] + " ", "rejected": "A: 3"}
    shifted = [row | {"id": f"p{(index + 1) % 40}"} for index, row in enumerate(references(clean_pairs()))]
    report = audited(rows, reference=shifted)
    assert found(report) == {"mislabelled": [1]}
    assert report["mislabelled"].note == "40 verified"


def test_without_references_equal_answers_are_found():
    rows = clean_pairs()
    rows[3] |= {"rejected_answer": f"{rows[3]['chosen_answer']}.0"}
    bare = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in clean_pairs()]
    bare[6]["rejected"] = bare[6]["chosen"].replace("has", "gets")
    bare[7] |= {"chosen": "I count 9 of them", "rejected": "There are 9"}  # guesses are not compared
    assert found(audited(rows)) == {"mislabelled": [3]}
    report = audited(bare)
    assert found(report) == {"mislabelled": [6]}
    assert report["mislabelled"].of == 39


def test_pairs_of_which_the_same_tokens_remain_are_found():
    rows, tokenizer = clean_pairs(), tiny_tokenizer()
    prompt = len(tokenizer(rows[5]["prompt"])["input_ids"])
    rows[5] |= {"chosen": "So " * 200 + "A: 1", "rejected": "So " * 200 + "A: 2"}
    rows[6] |= {"prompt": rows[6]["prompt"] * 40}
    report = audited(rows, AuditConfig(max_length=150), tokenizer=tokenizer)
    assert found(report) == {"truncated_to_equal": [5], "prompt_too_long": [6]}
    assert f"the same {150 - prompt} tokens remain" in report["truncated_to_equal"].examples[0].detail
    assert report["length_predictable"].of == 39


def test_tokens_of_conversations_and_of_rendered_problems_are_those_of_the_chat_template():
    rows, tokenizer = clean_pairs(), tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    rows[5] |= {"chosen": "So " * 200 + "A: 1", "rejected": "So " * 200 + "A: 2"}
    conversations = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "chosen": [{"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"role": "assistant", "content": row["rejected"]}],
        }
        for row in rows
    ]
    prompt = len(tokenizer(f"<user>{rows[5]['prompt']}\n<assistant>")["input_ids"])
    for given, config in (
        (conversations, AuditConfig(max_length=150)),
        (rows, AuditConfig(max_length=150, render=True)),
    ):
        report = audited(given, config, tokenizer=tokenizer)
        assert found(report) == {"truncated_to_equal": [5]}
        assert f"the same {150 - prompt} tokens remain" in report["truncated_to_equal"].examples[0].detail


def test_conversations_and_implicit_prompts_are_read():
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"]}
    explicit = [
        {
            "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": row["prompt"]}],
            "chosen": [{"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": row["rejected"]}]}],
        }
        for row in rows
    ]
    implicit = [
        {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]} for row in explicit
    ]
    for conversations in (explicit, implicit):
        report = audited(conversations, reference=references(clean_pairs()))
        assert found(report) == {"mislabelled": [3], "identical": [3]}
        assert report["mislabelled"].examples[0].excerpt.startswith(rows[3]["prompt"][:40])
    dialogue = "\n\nHuman: {}\n\nAssistant: {}"
    texts = [{name: dialogue.format(row["prompt"], row[name]) for name in ("chosen", "rejected")} for row in rows]
    assert found(audited(texts))["identical"] == [3]


def test_rendered_pairs_are_verified_against_the_problem_in_them():
    tokens = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>")
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"].replace("has", "owns")}
    rendered = [
        row
        | {
            "prompt": tokens[0] + row["prompt"] + tokens[1],
            "chosen": row["chosen"] + tokens[2],
            "rejected": row["rejected"] + tokens[2],
        }
        for row in rows
    ]
    report = audited(rendered, reference=references(clean_pairs()))
    assert found(report) == {"mislabelled": [3]}
    assert report["mislabelled"].note == "40 verified"


def test_evaluation_problems_are_found_exactly_with_other_numbers_and_short_ones_as_a_whole():
    long = "A train leaves at 9 and travels 60 miles in an hour to the city. How far is that in 7 hours?"
    middle, short = "How many legs do 17 dogs have in all?", "What is 6 times 7?"
    rows = clean_pairs()
    rows[1] |= {"prompt": "Please solve: " + long.upper().replace(",", " ,")}
    rows[2] |= {"prompt": long.replace("60", "75").replace("7 hours", "8 hours")}
    rows[3] |= {"chosen": f"Think. {middle} 68.\nA: {rows[3]['chosen_answer']}"}
    rows[4] |= {"prompt": "what is 6 times 7"}
    rows[5] |= {"prompt": "Say hello. What is 6 times 7? Say it twice."}
    evaluation = {
        "gsm8k.jsonl": [{"problem": "x"}, {"problem": long}],
        "own.jsonl": [{"problem": p} for p in (middle, short)],
    }
    report = audited(rows, evaluation=evaluation)
    assert found(report) == {"contaminated": [1, 3, 4], "contaminated_but_numbers": [2]}
    assert [example.detail for example in report["contaminated"].examples] == [
        "prompt shares 13 words with gsm8k.jsonl row 1: a train leaves at 9 and travels 60 miles in an hour to",
        "chosen shares 9 words with own.jsonl row 0: how many legs do 17 dogs have in all",
        "prompt shares 5 words with own.jsonl row 1: what is 6 times 7",
    ]


def test_rows_of_numbers_are_no_contamination():
    rows = clean_pairs()
    rows[1] |= {"chosen": "The numbers are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15.\nA: 3"}
    evaluation = {"test": [{"problem": "What comes after 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15?"}]}
    assert found(audited(rows, evaluation=evaluation)) == {}


def test_a_set_whose_rejected_are_longer_is_found():
    rows = clean_pairs()
    for row in rows[:34]:
        row["rejected"] = row["rejected"].replace("\n", " So it is.\n")
    report = audited(rows)
    assert statuses(report) == {"length_predictable"}
    share, lower, upper = report["length_predictable"].figures["within_pairs"]
    assert share == pytest.approx((34 + 3) / 40)
    assert 0.6 < lower < share < upper < 1


def test_a_weight_far_from_the_others_is_found():
    rows = [row | {"weight": 1.0 + 0.01 * (index % 5)} for index, row in enumerate(clean_pairs())]
    rows[9]["weight"] = 1.6
    rows[10]["weight"] = 1.4
    report = audited(rows)
    assert found(report) == {"weight_outliers": [9]}
    assert report["weight_outliers"].note == "scheme column"


def test_weights_that_leave_few_effective_pairs_are_found():
    rows = [row | {"weight": 40.0 if index == 3 else 0.01} for index, row in enumerate(clean_pairs())]
    report = audited(rows)
    assert statuses(report) == {"weight_outliers", "effective_sample_size"}
    assert report["effective_sample_size"].figures["share"] == pytest.approx(
        40.39**2 / (40 * (1600 + 0.0039)), rel=1e-6
    )


def test_weights_that_stand_at_the_clip_bounds_are_found():
    rows = clean_pairs()
    for index, row in enumerate(rows):
        row |= {"rejected_wrongness": 1.0 if index < 4 else 0.0, "rejected_nll": None}
    report = audited(rows)
    assert report["weights_clipped"].status is Status.WARN
    assert report["weights_clipped"].figures["share"] == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"weight": -1.0},
        {"weight": float("nan")},
        {"weight": None},
        {"rejected_wrongness": 1.2},
        {"rejected_nll": "low"},
        {"reward_margin": 1e300},
    ],
)
def test_a_signal_that_weighting_refuses_is_found(change):
    rows = [row | {"weight": 1.0} for row in clean_pairs()]
    rows[6] |= change
    assert found(audited(rows)) == {"unusable_signals": [6]}


@pytest.mark.parametrize("value", [0.5, float("nan"), float("-inf"), None, "-3"])
def test_a_reference_log_prob_that_is_none_is_found(value):
    rows = clean_pairs()
    rows[6]["ref_rejected_logps"] = value
    assert found(audited(rows)) == {"reference_logps": [6]}


def test_a_tolerated_share_passes_and_its_rows_are_still_named():
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"]}
    report = audited(rows, AuditConfig(tolerated={"identical": 0.025, "mislabelled": 0.025}))
    assert not report.found(Severity.WARNING)
    assert report.bad_rows(Severity.ERROR) == {3}


def test_what_is_no_set_of_pairs_is_refused():
    with pytest.raises(ValueError, match="pairs: there are no pairs"):
        audited([])
    with pytest.raises(
        SchemaError, match=r"pairs: these are no pairs: the column 'rejected' is missing; there are: prompt, chosen"
    ):
        audited([{"prompt": "p", "chosen": "c"}])
    with pytest.raises(TypeError, match="rows is an iterator"):
        audited(iter(clean_pairs()))
    with pytest.raises(ValueError, match="max_length needs a tokenizer"):
        audited(clean_pairs(), AuditConfig(max_length=10))
    with pytest.raises(SchemaError, match=r"test: row 0, column 'problem': got null.*there are: question"):
        audited(clean_pairs(), evaluation={"test": [{"question": "?"}]})
    with pytest.raises(ValueError, match="No check 'length_predictable' finds rows"):
        AuditConfig(tolerated={"length_predictable": 0.1})


def test_a_journal_keeps_verdicts(tmp_path, monkeypatch):
    from trl_weighted_dpo.verifier import MathVerifier

    rows = clean_pairs()
    first = audited(rows, reference=references(rows), journal=tmp_path / "journal")
    monkeypatch.setattr(MathVerifier, "verify", lambda *given: pytest.fail("verified again"))
    again = audited(rows, reference=references(rows), journal=tmp_path / "journal")
    assert again.to_dict() == first.to_dict()
