"""`weighted-dpo audit` as a person runs it."""

import json

import pytest
from typer.testing import CliRunner

from tests.audit.test_audit import clean_pairs, references
from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, write_rows


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


@pytest.fixture(params=["jsonl", "parquet"])
def files(tmp_path, request):
    """Clean pairs, and pairs with a defect of each severity."""
    clean = clean_pairs()
    dirty = clean_pairs()
    dirty[3] |= {"rejected": dirty[3]["chosen"]}
    dirty[9] = dirty[4]
    for name, rows in (("clean", clean), ("dirty", dirty)):
        write_rows(tmp_path / f"{name}.{request.param}", rows)
    write_rows(tmp_path / "pool.jsonl", references(clean))
    return tmp_path / f"clean.{request.param}", tmp_path / f"dirty.{request.param}", tmp_path / "pool.jsonl"


def test_a_clean_file_exits_with_0(files):
    clean, _, pool = files
    done = run(clean, "--reference", pool, "--fail-on", "warning")
    assert done.exit_code == 0, done.output
    assert "Audit of 40 pairs" in done.output
    assert "fail" not in done.stdout


def test_findings_exit_with_1_and_are_explained(files):
    _, dirty, pool = files
    done = run(dirty, "--reference", pool)
    assert done.exit_code == 1, done.output
    assert "row 3 (p3): chosen and rejected are the same but for case and white space" in done.output
    assert "row 9 (p4): the same pair as row 4" in done.output


@pytest.mark.parametrize(
    ("fail_on", "tolerated", "code"),
    [("error", (), 0), ("warning", (), 1), ("never", (), 0), ("warning", ("--tolerate", "duplicate=0.1"), 0)],
)
def test_the_exit_code_follows_the_severity_that_is_asked_for(tmp_path, fail_on, tolerated, code):
    rows = clean_pairs()
    write_rows(tmp_path / "pairs.jsonl", [*rows, rows[0]])
    done = run(tmp_path / "pairs.jsonl", "--fail-on", fail_on, *tolerated)
    assert done.exit_code == code, done.output


def test_json_names_all_rows(files):
    _, dirty, pool = files
    done = run(dirty, "--reference", pool, "--json", "--examples", 0)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {name: check["rows"] for name, check in checks.items() if check["rows"]} == {
        "mislabelled": [3],
        "identical": [3],
        "duplicate": [9],
    }
    assert checks["identical"]["status"] == "fail"
    assert checks["identical"]["share"] == 1 / 40


@pytest.mark.parametrize(("fail_on", "dropped"), [("error", {3}), ("warning", {3, 9}), ("never", {3})])
def test_what_is_written_without_the_rows_that_were_found_passes(files, tmp_path, fail_on, dropped):
    _, dirty, pool = files
    output = tmp_path / f"cleaned{dirty.suffix}"
    done = run(dirty, "--reference", pool, "--fail-on", fail_on, "--drop-to", output)
    assert done.exit_code == (0 if fail_on == "never" else 1), done.output
    assert f"{40 - len(dropped)} of 40 pairs written to {output}" in done.output.replace("\n", "")
    assert list(RowFile(output)) == [row for index, row in enumerate(RowFile(dirty)) if index not in dropped]
    assert run(output, "--reference", pool, "--fail-on", fail_on).exit_code == 0


def test_tokens_are_counted_as_training_counts_them(tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    rows = clean_pairs()
    rows[5] |= {"chosen": "So " * 200 + "A: 1", "rejected": "So " * 200 + "A: 2"}
    write_rows(tmp_path / "pairs.jsonl", rows)
    done = run(tmp_path / "pairs.jsonl", "--max-length", 150, "--tokenizer", tmp_path / "model", "--render", "--json")
    assert done.exit_code == 1, done.output
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["truncated_to_equal"]["rows"] == [5]
    assert checks["length_predictable"]["figures"]["unit"] == "tokens"


def test_evaluation_files_may_have_another_column(files, tmp_path):
    clean, _, _ = files
    write_rows(tmp_path / "test.jsonl", [{"question": clean_pairs()[8]["prompt"]}])
    done = run(clean, "--eval", tmp_path / "test.jsonl", "--eval-column", "question", "--json")
    assert done.exit_code == 1, done.output
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert 8 in checks["contaminated"]["rows"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["pairs.jsonl", "--max-length", "9"], "--max-length and --render need --tokenizer"),
        (["pairs.jsonl", "--tokenizer", "nowhere"], "nowhere: there is no such folder"),
        (["pairs.jsonl", "--tolerate", "prefix"], "--tolerate prefix: give a check and a share"),
        (["pairs.jsonl", "--tolerate", "typo=0.1"], "No check 'typo' finds rows"),
        (["pairs.jsonl", "--drop-to", "out.csv"], "out.csv: name the output *.jsonl or *.parquet"),
        (["pairs.jsonl", "--drop-to", "pairs.jsonl"], "writing there would replace the input"),
        (["pairs.jsonl", "--scheme", "typo"], "typo"),
        (["pairs.jsonl", "--system-prompt", "x"], "and --chat-template-kwargs need --render"),
        (["empty.jsonl"], "empty.jsonl: there are no pairs"),
        (["pairs.jsonl", "--eval", "empty.jsonl"], "empty.jsonl: there are no evaluation problems in it."),
        (["pairs.jsonl", "--scheme", "severity"], "pairs.jsonl: The weighting scheme is 'severity' but"),
        (["pool.jsonl"], "A pair row needs 'chosen' and 'rejected'; there are: id, problem, reference_answer."),
        (["broken.jsonl"], "This line is not valid JSON"),
    ],
)
def test_what_cannot_be_audited_exits_with_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_rows("pairs.jsonl", clean_pairs())
    write_rows("pool.jsonl", references(clean_pairs()))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text("{\n")
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_every_word_of_a_note_is_printed_at_80_columns(files):
    clean, _, _ = files
    done = CliRunner().invoke(app, ["audit", str(clean)], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    notes = " ".join(done.stdout.split())
    assert "mislabelled: 40 without a reference: only that the two answers differ" in notes
    assert "truncated_to_equal: needs a maximum length and a tokenizer" in notes
    assert "weights_clipped: 0.0% at the lower bound, 0.0% at the upper one" in notes
    assert "…" not in done.stdout
