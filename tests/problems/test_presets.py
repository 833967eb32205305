"""What the columns of known sets mean, and the answers that are read from solutions."""

import gzip
import json

import pytest

from trl_weighted_dpo.problems import load_problems
from trl_weighted_dpo.problems.presets import boxed_answer, gsm8k_answer, metamathqa_answer

GSM8K = {"question": "2+2?", "answer": "It is 2+2 = <<2+2=4>>4.\n#### 4"}
MATH = {"problem": "2+2?", "solution": "It is $\\boxed{4}$.", "level": "Level 1", "type": "Algebra"}
MATH_500 = {**MATH, "answer": "4.0", "subject": "Algebra", "unique_id": "test/algebra/1.json"}
METAMATHQA = {
    "type": "GSM_AnsAug", "query": "2+2?", "original_question": "3+3?",
    "response": "It is 4.\n#### 4\nThe answer is: 4",
}  # fmt: skip
NUMINA = {"source": "cn_k12", "problem": "2+2?", "solution": "It is \\boxed{4}.", "messages": [{"role": "user"}]}
NUMINA_15 = {**NUMINA, "answer": "4", "problem_type": "Algebra"}
ORCA = {"question": "2+2?", "answer": "It is 4 apples."}


@pytest.mark.parametrize(
    ("name", "row", "answer", "solution", "extras"),
    [
        ("gsm8k", GSM8K, "4", GSM8K["answer"], {}),
        ("math", MATH, "4", MATH["solution"], {"level": "Level 1", "type": "Algebra"}),
        (
            "math", MATH_500, "4.0", MATH["solution"],
            {"level": "Level 1", "type": "Algebra", "subject": "Algebra", "unique_id": "test/algebra/1.json"},
        ),
        (
            "metamathqa", METAMATHQA, "4", METAMATHQA["response"],
            {"type": "GSM_AnsAug", "original_question": "3+3?"},
        ),
        ("numina_math", NUMINA, "4", NUMINA["solution"], {"source": "cn_k12", "messages": [{"role": "user"}]}),
        (
            "numina_math", NUMINA_15, "4", NUMINA["solution"],
            {"source": "cn_k12", "messages": [{"role": "user"}], "problem_type": "Algebra"},
        ),
        ("numina_math", {**NUMINA, "answer": "proof"}, None, NUMINA["solution"], {
            "source": "cn_k12", "messages": [{"role": "user"}],
        }),
        ("orca_math", ORCA, None, ORCA["answer"], {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_named", [True, False])
def test_a_set_is_mapped_and_recognised(tmp_path, name, row, answer, solution, extras, is_named):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    [problem] = load_problems(path, preset=name if is_named else None)
    identity = problem.pop("id")
    assert identity == row["unique_id"] if "unique_id" in row else identity.startswith("sha256-")
    assert problem == {"problem": "2+2?", "reference_answer": answer, "reference_solution": solution, **extras}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a\n#### 4", "4"),
        ("a\n#### 1,234,567\n", "1234567"),
        ("a\n#### -3.5 ", "-3.5"),
        ("#### 3 is a step\n#### 5", "5"),
        ("a\n####", None),
        ("no mark", None),
    ],
)
def test_gsm8k_answers(text, answer):
    assert gsm8k_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("x\nThe answer is: 42", "42"),
        ("The answer is: 3\nso\nThe answer is: \\frac{1}{2}", "\\frac{1}{2}"),
        ("The answer is 7.", "7"),
        ("The answer is: 7\nbut then more", None),
        ("nothing", None),
    ],
)
def test_metamathqa_answers(text, answer):
    assert metamathqa_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so $\\boxed{4}$.", "4"),
        ("$\\boxed{1}$ then $\\boxed{\\frac{\\sqrt{3}}{2}}$", "\\frac{\\sqrt{3}}{2}"),
        ("$\\fbox{12}$", "12"),
        ("$\\boxed 5$", "5"),
        ("$\\boxed{\\left\\{1, 2\\right\\}}$", "\\left\\{1, 2\\right\\}"),
        ("$\\boxed{\\text{a} } $", "\\text{a}"),
        ("$\\boxed{3}$ and the broken $\\boxed{4", "3"),
        ("\\boxed{}", None),
        ("boxed 4", None),
    ],
)
def test_boxed_answers(text, answer):
    assert boxed_answer(text) == answer


def test_the_answers_of_all_gsm8k_training_solutions_are_those_of_the_set(shared_data):
    with gzip.open(shared_data / "gsm8k_train.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 7473
    differing = [row["id"] for row in rows if gsm8k_answer(row["reference_solution"]) != row["reference_answer"]]
    assert differing == []


def test_gsm8k_as_it_is_published_loads_with_its_answers(shared_data, tmp_path):
    with gzip.open(shared_data / "gsm8k_train.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    with gzip.open(tmp_path / "train.jsonl.gz", "wt") as file:
        file.writelines(
            json.dumps({"question": row["problem"], "answer": row["reference_solution"]}) + "\n" for row in rows
        )
    problems = load_problems(tmp_path / "train.jsonl.gz")
    known = {row["problem"]: row["reference_answer"] for row in rows}
    assert {row["problem"]: row["reference_answer"] for row in problems} == known
    assert len(problems) == len({row["id"] for row in problems}) == len(known)


def test_math_answers_of_the_development_pool(shared_data):
    rows = [json.loads(line) for line in (shared_data / "math_cot_pool.jsonl").open()]
    with_box = [row for row in rows if "boxed" in (row["reference_solution"] or "")]
    assert len(with_box) == 50
    found = {boxed_answer(row["reference_solution"]): row["reference_answer"] for row in with_box}
    differing = {box for box, answer in found.items() if box.replace("dfrac", "frac") != answer}
    # The pool's answers are without units.
    assert differing == {
        "\\text{4:30 p.m.}", "100\\text{ square units}", "48^\\circ", "198\\%", "120^\\circ", "25\\%",
    }  # fmt: skip
