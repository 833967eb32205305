"""`weighted-dpo calibrate` as a person runs it."""

import json

import pytest
from typer.testing import CliRunner

from trl_weighted_dpo.cli import app
from trl_weighted_dpo.verifier import DIMENSIONS, MathVerifier
from trl_weighted_dpo.verifier.calibration import ANSWER, NOTHING


def pool_row(index, *errors):
    right = index + 7
    return {
        "problem": f"What is {index} + 7?",
        "reference_answer": str(right),
        "candidates": [
            {"solution": f"{index} + 7 = {right + error}\nA: {right + error}", "is_correct": not error}
            for error in errors
        ],
    }


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pool(tmp_path):
    return write(tmp_path / "pool.jsonl", [pool_row(index, 0, 3) for index in range(10)])


def run(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_weights_are_fitted_shown_and_loadable(pool, tmp_path):
    steps = [
        {"problem": f"Add {index} and 1.", "steps": [f"{index} + 1 = {index + 1}"], "first_error_step": -1}
        for index in range(3)
    ]
    output = tmp_path / "new" / "calibration.json"
    done = run(pool, write(tmp_path / "steps.jsonl", steps), "-o", output, "--folds", 2)

    assert done.exit_code == 0, done.output
    titles = ("Weights of wrongness", "Cross-validated by problem, 2 folds", "Reliability")
    columns = ("score:", "log-loss", "Brier", "ECE", "AUROC", "wrongness")
    assert all(shown in done.output for shown in (*titles, *columns, *DIMENSIONS, ANSWER, NOTHING))
    assert f"Weights written to {output}" in done.output.replace("\n", "")
    content = json.loads(output.read_text())
    assert content["command"] == "weighted-dpo calibrate pool.jsonl steps.jsonl -o calibration.json --folds 2"
    assert [source["solutions"] for source in content["data"]] == [20, 3]
    verifier = MathVerifier.from_calibration(output)
    right, wrong = (verifier.verify("What is 50 + 7?", f"50 + 7 = {n}\nA: {n}", "57").wrongness for n in (57, 60))
    assert right < 0.5 < wrong


def test_json_is_what_is_written(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "calibration.json", "--json")

    assert done.exit_code == 0, done.output
    assert done.stdout == (tmp_path / "calibration.json").read_text()
    assert list(json.loads(done.stdout)["with_reference_solution"]["weights"]) == list(DIMENSIONS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [pool_row(index, 3) for index in range(6)],
            "all 6 labelled solutions are wrong: to tell wrong from right, both",
        ),
        ([pool_row(index, 0) for index in range(6)], "Add solutions that are labelled wrong"),
        (
            [pool_row(index, 0, 3) for index in range(4)],
            "of 4 problems, which cannot be dealt to 5 folds: give more problems, or --folds 4",
        ),
        ([pool_row(0, 3)], "the only labelled solution is wrong: to tell"),
        ([pool_row(0, 0, 3)], "of 1 problem, which cannot be dealt to 5 folds: give more problems."),
        ([], "labelled.jsonl: the file is empty. Give labelled solutions"),
        (
            [{"problem": "p", "solution": "1"}],
            "no row has a label. Label solutions by 'is_correct_answer' or 'first_error_step', and candidates",
        ),
        ([{"problem": "p", "is_correct_answer": True}], "row 0, column 'solution': the column is missing"),
        ([{"problem": "p", "solution": "1", "first_error_step": "2"}], "row 0, column 'first_error_step': got '2'"),
        ([*(pool_row(index, 0) for index in range(9)), pool_row(9, 0, 3)], "of 5: the weights"),
    ],
)
def test_unusable_input_is_explained_and_leaves_no_file(tmp_path, rows, message):
    done = run(write(tmp_path / "labelled.jsonl", rows), "-o", tmp_path / "calibration.json")

    assert done.exit_code == 1
    assert message in done.output
    assert "labelled.jsonl" in done.output
    assert list(tmp_path.iterdir()) == [tmp_path / "labelled.jsonl"]


def test_files_and_folds_that_cannot_be_are_explained(pool, tmp_path):
    done = run(tmp_path / "nowhere.jsonl", "-o", tmp_path / "calibration.json")
    assert done.exit_code == 1
    assert "nowhere.jsonl: there is no such file. Is the path right" in done.output
    before = pool.read_bytes()
    done = run(pool, "-o", pool.parent / ".." / pool.parent.name / pool.name)
    assert done.exit_code == 1
    assert "writing there would replace the input" in done.output
    assert pool.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [pool.name]
    assert run(pool, "-o", tmp_path / "calibration.json", "--folds", 1).exit_code == 2
