"""Pools as people have them: candidates as texts, one solution a row, labels and numbers in place of answers."""

import json

import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.pools import PoolFile
from trl_weighted_dpo.mining.pairing import mine_pairs
from trl_weighted_dpo.verifier import MathVerifier, Verdict


def pools(tmp_path, rows, **settings):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return PoolFile(tmp_path / "rows.jsonl", **settings)


@pytest.mark.parametrize("key", ["solution", "text", "completion", "response", "output"])
def test_candidates_may_be_texts_or_have_other_keys(tmp_path, key):
    row = {"problem": "p", "reference_answer": "1", "candidates": ["a", {key: "b", "n": 1}]}
    [found] = pools(tmp_path, [row])
    assert found["candidates"] == [{"solution": "a"}, {"solution": "b", "n": 1}]


@pytest.mark.parametrize(
    ("number", "text"), [(42, "42"), (42.0, "42"), (0.5, "0.5"), (-3, "-3"), (10**20, str(10**20))]
)
def test_numbers_are_answers(tmp_path, number, text):
    [found] = pools(tmp_path, [{"id": 7, "problem": "p", "reference_answer": number, "candidates": []}])
    assert (found["id"], found["reference_answer"]) == ("7", text)


def test_one_solution_a_row_is_grouped_by_problem(tmp_path):
    rows = [
        {"id": 1, "problem": "p", "reference_answer": 5, "solution": "a", "score": {"x": 1}},
        {"id": 2, "problem": "q", "solution": "b"},
        {"id": 1, "problem": "p", "reference_answer": 5.0, "text": "c"},
        {"id": 3, "problem": "q", "steps": ["d", "e"]},
    ]
    rows = pools(tmp_path, rows)
    expected = [
        {
            "problem": "p", "reference_answer": "5", "id": "1",
            "candidates": [{"solution": "a", "score": {"x": 1}}, {"solution": "c"}],
        },
        {
            "problem": "q",
            "candidates": [{"id": "2", "solution": "b"}, {"id": "3", "steps": ["d", "e"], "solution": "d\ne"}],
        },
    ]  # fmt: skip
    assert list(rows) == list(rows) == expected
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("labels", "settings", "expected", "said"),
    [
        ([{"is_correct": True}, {"is_correct": False}], {}, [True, False], "from the label 'is_correct'"),
        ([{"correct": 1}, {"correct": "false"}], {}, [True, False], "from the label 'correct'"),
        ([{"reward": 0.9}, {"reward": -1}], {"reward_threshold": 0.5}, [True, False], "from the label 'reward'"),
        ([{"reward": 0.9}, {"reward": None}], {}, [None, None], "say which reward is that of a correct solution"),
        ([{}, {"correct": False}], {}, [None, False], "from the label 'correct'"),
    ],
)
def test_labels_stand_in_for_answers(tmp_path, caplog, labels, settings, expected, said):
    row = {"problem": "p", "candidates": [{"solution": f"s{n}", **label} for n, label in enumerate(labels)]}
    [found] = pools(tmp_path, [row], **settings)
    assert [candidate.get("is_correct") for candidate in found["candidates"]] == expected
    assert said in caplog.text
    assert len(caplog.records) == 1


def test_labels_may_stand_in_lists_beside_the_candidates(tmp_path):
    row = {"problem": "p", "candidates": ["a", "b"], "correct": [0, 1]}
    [found] = pools(tmp_path, [row])
    assert [candidate["is_correct"] for candidate in found["candidates"]] == [False, True]


def test_an_answer_goes_before_labels(tmp_path, caplog):
    row = {"problem": "What is 2 + 2?", "reference_answer": 4, "candidates": [{"solution": "#### 4", "correct": "no"}]}
    [found] = pools(tmp_path, [row])
    assert found["candidates"] == [{"solution": "#### 4", "correct": "no"}]
    assert not caplog.records


def test_a_label_is_the_verdict_and_decides_the_pairs(tmp_path):
    right, wrong = "2 + 2 = 4. The answer is 4.", "2 + 2 = 5. The answer is 5."
    rows = [{"problem": "What is 2 + 2?", "response": text, "correct": text == right} for text in (wrong, right)]
    [pool] = pools(tmp_path, rows)
    solutions = [{"problem": pool["problem"], **candidate} for candidate in pool["candidates"]]
    with MathVerifier() as verifier:
        found = list(verifier.verify_many(solutions))
        many = list(verifier.verify_many(solutions, workers=2))
    assert [(one.verdict, one.reason, one.scores["final_answer"]) for one in found] == [
        (Verdict.INCORRECT, "label", 1.0), (Verdict.CORRECT, "label", 0.0),
    ]  # fmt: skip
    assert many == found
    assert found[0].wrongness > 0.5 > found[1].wrongness
    pairs, _ = mine_pairs([pool])
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [(right, wrong)]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([{"problem": "p", "candidates": [{"text": "a", "correct": "perhaps"}]}], {},
         "row 0, column 'correct': got 'perhaps'. A label is true or false"),
        ([{"problem": "p", "candidates": [{"text": "a", "reward": "high"}]}], {"reward_threshold": 1.0},
         "row 0, column 'reward': got 'high'. A reward is a finite number"),
        ([{"problem": "p", "text": "a"}, {"problem": "p", "candidates": []}], {},
         "row 1, column 'candidates': got .*The rows before it have one 'solution' each"),
        ([{"problem": "p", "text": "a", "reference_answer": 1}, {"problem": "p", "text": "b", "reference_answer": 2}],
         {}, "row 1, column 'reference_answer': got '2'. An earlier row of the same problem has '1'"),
        ([{"problem": "p", "text": "a"}, {"problem": "p"}], {}, "row 1, column 'solution': the column is missing"),
        ([{"problem": "p", "reference_answer": float("inf"), "candidates": []}], {},
         "row 0, column 'reference_answer': got inf. It is no number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_row_and_column(tmp_path, rows, settings, message):
    with pytest.raises(SchemaError, match=message):
        list(pools(tmp_path, rows, **settings))
