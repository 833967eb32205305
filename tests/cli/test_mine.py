"""`weighted-dpo mine` as a person runs it."""

import json

import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_pool
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.schema import read_jsonl


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(8)))
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["mine", *map(str, arguments)])


def test_pairs_are_written_and_counted(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "pairs.jsonl", "--pairs-per-problem", 2)
    assert done.exit_code == 0, done.output
    assert len(list(read_jsonl(tmp_path / "pairs.jsonl"))) == 12
    assert "12 pairs written to" in done.output
    assert "problems left out: no correct candidate" in done.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "row 0, column '(whole row)': got '{'. This line is not valid JSON"),
        ('{"problem": "p", "candidates": []}', "no pair could be made, so nothing was written"),
        ("", "no pair could be made"),
    ],
)
def test_bad_input_is_explained_and_leaves_no_file(tmp_path, content, message):
    (tmp_path / "pool.jsonl").write_text(content)
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "pairs.jsonl").exists()


def test_weak_answers_are_counted_and_rejected_only_when_asked_for(tmp_path):
    row = {"problem": "How many?", "reference_answer": "7", "candidates": [{"solution": s} for s in ("A: 7", "So 8.")]}
    (tmp_path / "pool.jsonl").write_text(json.dumps(row) + "\n")
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert "incorrect by a weak answer: not rejected" in done.output
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "pairs.jsonl", "--allow-weak-answers")
    assert done.exit_code == 0, done.output
    assert [pair["rejected"] for pair in read_jsonl(tmp_path / "pairs.jsonl")] == ["So 8."]


def test_a_missing_file_and_a_bad_option_are_explained(pool, tmp_path):
    done = run(tmp_path / "nowhere.jsonl", "-o", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert "nowhere.jsonl: there is no such file" in done.output
    done = run(pool, "-o", pool)
    assert done.exit_code == 1
    assert "writing there would replace the input" in done.output
    done = run(pool, "-o", tmp_path / "pairs.jsonl", "--chosen-fallback", "best")
    assert done.exit_code == 1
    assert "Unknown chosen_fallback 'best'. Choose one of none, reference_solution" in done.output
