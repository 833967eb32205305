"""`weighted-dpo mine` as a person runs it."""

import csv
import json

import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_pool
from trl_weighted_dpo import HardnessConfig, PairingConfig, mine_pairs
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, read_jsonl


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
    assert "not used: weak answer" in done.output
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "pairs.jsonl", "--allow-weak-answers")
    assert done.exit_code == 0, done.output
    assert [pair["rejected"] for pair in read_jsonl(tmp_path / "pairs.jsonl")] == ["So 8."]


def test_parquet_is_written_and_the_same(pool, tmp_path):
    run(pool, "-o", tmp_path / "pairs.jsonl")
    done = run(pool, "-o", tmp_path / "pairs.parquet", "--workers", 2)
    assert done.exit_code == 0, done.output
    assert list(RowFile(tmp_path / "pairs.parquet")) == list(RowFile(tmp_path / "pairs.jsonl"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "pairs.parquet", "pool.jsonl"]


def test_a_pool_without_scores_is_said_in_one_line_and_json_is_json(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "pairs.jsonl", "--json")
    assert "hardness is proximity × flaw, without confidence" in done.stderr
    report = json.loads(done.stdout)
    assert report["pairs"] == 6
    assert report["problems_without_pairs"] == {"no correct candidate": 2}


def test_settings_of_hardness_are_heeded(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "pairs.jsonl", "--hardness", "flaw_power=0", "--hardness", "steps=0.9")
    assert done.exit_code == 0, done.output
    config = PairingConfig(hardness=HardnessConfig(flaw_power=0, steps=0.9))
    assert list(read_jsonl(tmp_path / "pairs.jsonl")) == mine_pairs(tiny_pool(8), config=config, progress=False)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hardness", "steps"), "--hardness steps: give NAME=VALUE, with a name among confidence_floor, steps"),
        (("--hardness", "steps=x"), "--hardness steps=x: steps is 'x'. Give a number of at least 0."),
        (("--hardness", "function=best"), "'best'; there are: product"),
        (("--min-quantile", "0.9", "--max-quantile", "0.1"), "min_quantile is 0.9 and max_quantile 0.1. Give a lower"),
        (("--min-quantile", "1"), "--min-quantile 1.0: give a number in [0, 1)"),
        (("--chosen", "most_confident"), "Score it with `weighted-dpo score`"),
    ],
)
def test_bad_options_are_explained(pool, tmp_path, arguments, message):
    done = run(pool, "-o", tmp_path / "pairs.jsonl", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "pairs.jsonl").exists()


def test_an_output_of_another_kind_is_refused(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "pairs.csv")
    assert done.exit_code == 1
    assert "name the output *.jsonl or *.parquet" in done.output


def test_a_missing_file_and_a_bad_option_are_explained(pool, tmp_path):
    done = run(tmp_path / "nowhere.jsonl", "-o", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert "nowhere.jsonl: there is no such file" in done.output
    done = run(pool, "-o", pool)
    assert done.exit_code == 1
    assert "writing there would replace the input" in done.output
    done = run(pool, "-o", tmp_path / "pairs.jsonl", "--chosen-fallback", "best")
    assert done.exit_code == 2
    assert "'best' is not one of 'none'" in done.output


def test_one_solution_a_row_in_other_columns_gives_the_pairs_of_the_pool(pool, tmp_path):
    run(pool, "-o", tmp_path / "expected.jsonl")
    texts = [
        (row["problem"], one["solution"], int(row["reference_answer"]))
        for row in tiny_pool(8)
        for one in row["candidates"]
    ]
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("query", "response", "gold"))
        # Rows of one problem do not follow each other.
        out.writerows([*texts[::2], *texts[1::2]])
    columns = ("--column", "problem=query", "--column", "reference_answer=gold")
    done = run(tmp_path / "rows.csv", "-o", tmp_path / "pairs.jsonl", *columns)
    assert done.exit_code == 0, done.output
    found, expected = (
        {(row["prompt"], row["chosen"], row["rejected"]) for row in read_jsonl(tmp_path / f"{name}.jsonl")}
        for name in ("pairs", "expected")
    )
    assert found == expected
    assert len(found) == 6
    done = run(tmp_path / "rows.csv", "-o", tmp_path / "pairs.jsonl", "--column", "problem=question")
    assert done.exit_code == 1
    assert "there is no column 'question' to be 'problem'; there are: query, response, gold" in done.output


def test_labels_decide_where_there_are_no_answers_and_a_line_says_so(tmp_path, caplog):
    rows = tiny_pool(8)
    for row in rows:
        answer = row.pop("reference_answer")
        del row["reference_solution"]
        row["reward"] = [float(one["solution"].endswith(f"A: {answer}")) for one in row["candidates"]]
        row["candidates"] = [one["solution"] for one in row["candidates"]]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=1))
    done = run(tmp_path / "rows.json", "-o", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert "say which reward is that of a correct solution (--reward-threshold)" in caplog.text
    done = run(tmp_path / "rows.json", "-o", tmp_path / "pairs.jsonl", "--reward-threshold", 0.5)
    assert done.exit_code == 0, done.output
    assert "rows without a reference answer have their verdicts from the label 'reward'" in caplog.text
    assert len(list(read_jsonl(tmp_path / "pairs.jsonl"))) == 6
