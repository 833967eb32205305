"""What the columns of known sets mean, and the answers that are read from solutions."""

import gzip
import json

import pytest

from trl_weighted_dpo.problems import load_problems
from trl_weighted_dpo.problems.presets import (
    PRESETS,
    boxed_answer,
    gsm8k_answer,
    metamathqa_answer,
)

HASH = "It is 2+2 = <<2+2=4>>4.\n#### 4"
BOX = "It is $\\boxed{4}$."
ROWS = {
    # By preset: three rows in the columns of the set, and what becomes of each: answer, solution, and what is special.
    "own": [
        ({"problem": "2+2?", "reference_answer": 4}, "4", None),
        ({"problem": "2+3?", "reference_answer": "5", "reference_solution": "s"}, "5", "s"),
        ({"problem": "2+4?", "level": 1}, None, None),
    ],
    "gsm8k": [
        ({"question": "2+2?", "answer": HASH}, "4", HASH),
        ({"question": "2+3?", "answer": "a\n#### 1,000"}, "1000", "a\n#### 1,000"),
        ({"question": "2+4?", "answer": "no mark"}, None, "no mark"),
    ],
    "mgsm": [
        ({"question": "2+2是多少？", "answer": None, "answer_number": 4, "equation_solution": None}, "4", None),
        ({"question": "b", "answer": "It is 5.", "answer_number": 5.0, "equation_solution": "2+3"}, "5", "It is 5."),
        ({"question": "c", "answer": None, "answer_number": -2, "equation_solution": None}, "-2", None),
    ],
    "aqua": [
        ({"question": f"{n}+2?", "options": ["A)4", "B)5"], "rationale": "2+2=4", "correct": "A"}, "A", "2+2=4")
        for n in range(3)
    ],
    "olympiadbench": [
        ({"question": "2+2?", "solution": ["Add."], "final_answer": ["4"], "context": None, "answer_type": "Numerical"},
         "4", "Add."),
        ({"question": "roots?", "solution": ["a", "b"], "final_answer": ["1", "2"], "context": "Let x.", "unit": "m",
          "answer_type": "Numerical"}, "1, 2", "a\n\nb"),
        ({"question": "why", "solution": ["p"], "final_answer": None, "context": None, "answer_type": ""}, None, "p"),
    ],
    "deepmath": [
        ({"question": f"{n}+2?", "final_answer": "4", "difficulty": 5.0, "topic": "t", "r1_solution_1": "."}, "4", None)
        for n in range(3)
    ],
    "openmath_instruct_1": [
        ({"question": f"{n}+2?", "expected_answer": "4", "predicted_answer": "5", "generated_solution": "w",
          "is_correct": False, "error_message": "", "dataset": "gsm8k"}, "4", None)
        for n in range(3)
    ],
    "openmath_instruct_2": [
        ({"problem": f"{n}+2?", "generated_solution": BOX, "expected_answer": "4", "problem_source": "math"}, "4", BOX)
        for n in range(3)
    ],
    "openr1_math": [
        ({"problem": f"{n}+2?", "solution": BOX, "answer": "4", "uuid": "u", "source": "s", "generations": ["<think>"],
          "correctness_math_verify": [True]}, "4", BOX)
        for n in range(3)
    ],
    "numina_math": [
        ({"source": "cn_k12", "problem": "2+2?", "solution": BOX, "messages": [{"role": "user"}]}, "4", BOX),
        ({"source": "cn_k12", "problem": "2+3?", "solution": BOX, "answer": "5", "problem_type": "Algebra"}, "5", BOX),
        ({"source": "cn_k12", "problem": "2+4?", "solution": BOX, "answer": "proof", "question_type": "p"}, None, BOX),
    ],
    "math": [
        ({"problem": "2+2?", "solution": BOX, "level": "Level 1", "type": "Algebra"}, "4", BOX),
        ({"problem": "2+3?", "solution": BOX, "answer": "5.0", "unique_id": "test/1.json"}, "5.0", BOX),
        ({"problem": "2+4?", "solution": "\\boxed{1} or \\boxed{2}", "level": "1"}, "1, 2", "\\boxed{1} or \\boxed{2}"),
    ],
    "aime": [
        ({"ID": f"2024-I-{n}", "Problem": f"{n}+2?", "Solution": "s", "Answer": 4}, "4", "s") for n in range(3)
    ],
    "big_math": [
        ({"problem": "2+2?", "answer": "4", "source": "x", "domain": ["d"], "llama8b_solve_rate": 0.5}, "4", None),
        ({"problem": "2+3?", "answer": 142.0, "id": 7, "url": "u"}, "142", None),
        ({"problem": "2+4?", "answer": 70}, "70", None),
    ],
    "final_answer": [({"problem": f"{n}+2?", "final_answer": "4"}, "4", None) for n in range(3)],
    "gsm_plus": [
        ({"question": f"{n}+2?", "solution": "s", "answer": "4.0", "perturbation_type": "t", "seed_answer": "5",
          "seed_question": "q", "seed_solution": "z"}, "4.0", "s")
        for n in range(3)
    ],
    "limo": [({"question": f"{n}?", "solution": "<think>..</think> \\boxed{42}", "answer": "42"}, "42",
              "<think>..</think> \\boxed{42}") for n in range(3)],
    "s1k": [
        ({"question": "a", "solution": "128", "cot_type": "math", "thinking_trajectories": ["t"]}, "128", "128"),
        ({"question": "b", "solution": BOX, "cot_type": "math", "attempt": "a"}, "4", BOX),
        ({"question": "c", "solution": "A long proof that has no answer and no box in it.", "cot_type": "math"}, None,
         "A long proof that has no answer and no box in it."),
    ],
    "metamathqa": [
        ({"type": "A", "query": f"{n}+2?", "original_question": "3+3?", "response": "4\nThe answer is: 4"}, "4",
         "4\nThe answer is: 4")
        for n in range(3)
    ],
    "question_answer": [
        ({"question": "2+2?", "answer": "4"}, "4", None),
        ({"question": "2+3?", "answer": 5}, "5", None),
        ({"question": "2+4?", "answer": "\\frac{12}{2}"}, "\\frac{12}{2}", None),
    ],
    "orca_math": [
        ({"question": f"{n}+2?", "answer": "Adding both numbers gives us a total of four apples."}, None,
         "Adding both numbers gives us a total of four apples.")
        for n in range(3)
    ],
}  # fmt: skip


def test_every_layout_has_rows_here():
    assert list(ROWS) == list(PRESETS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_set_is_mapped_and_recognised(tmp_path, name, is_named):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row, _, _ in ROWS[name]))
    problems = load_problems(path, preset=name if is_named else None)
    assert [(row["reference_answer"], row["reference_solution"]) for row in problems] == [
        (answer, solution) for _, answer, solution in ROWS[name]
    ]
    for (row, _, _), problem in zip(ROWS[name], problems, strict=True):
        layout = PRESETS[name]
        assert row[layout.problem] in problem["problem"]
        # What was not read is kept.
        kept = {key: value for key, value in row.items() if key not in {*layout.reads, "id", layout.identity}}
        assert kept.items() <= problem.items()


def test_what_belongs_to_the_problem_is_in_it(tmp_path):
    for name, index, text in (("aqua", 0, "0+2?\n\nA)4\nB)5"), ("olympiadbench", 1, "Let x.\n\nroots?")):
        (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[name][index][0]))
        assert load_problems(tmp_path / "rows.jsonl")[0]["problem"] == text


def test_ids_of_sets_are_kept(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS["math"][1][0]) + "\n" + json.dumps(ROWS["math"][0][0]))
    found = load_problems(tmp_path / "rows.jsonl")
    assert found[0]["id"] == "test/1.json"
    assert found[1]["id"].startswith("sha256-")
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS["aime"][1][0]))
    assert load_problems(tmp_path / "rows.jsonl")[0]["id"] == "2024-I-1"


@pytest.mark.parametrize(
    "column", ["answer_text", "ground_truth", "target", "gold", "correct", "label", "groundtruth", "my_solution"]
)
def test_a_set_is_never_loaded_without_its_answers_while_a_column_like_one_is_unread(tmp_path, column):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"problem": "2+2?", column: "4"}))
    for settings in ({}, {"preset": "own"}, {"preset": "custom"}):
        with pytest.raises(ValueError, match=f"no problem would have a reference answer, but the column '{column}'"):
            load_problems(path, **settings)
    [problem] = load_problems(path, columns={"reference_answer": column})
    assert problem["reference_answer"] == "4"
    [problem] = load_problems(path, columns={"note": column})
    assert (problem["reference_answer"], problem["note"]) == (None, "4")


def test_layouts_that_were_loaded_without_answers(shared_data):
    formats = shared_data / "cases" / "formats"
    for name, answer in (("pb_deepmath", "42"), ("pb_limo", "42"), ("pb_mgsm", "42")):
        [problem] = load_problems(formats / f"{name}.jsonl")
        assert problem["reference_answer"] == answer


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
        ("$\\boxed{1}$ or $\\boxed{2}$", "1, 2"),
        ("$\\boxed{1}$, $\\boxed{2}$ and $\\boxed{3}$.", "1, 2, 3"),
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
