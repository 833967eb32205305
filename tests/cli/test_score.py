"""`weighted-dpo score` as a person runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import Scorer, ScoringConfig
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.core.fingerprint import Fingerprint
from trl_weighted_dpo.core.models import load_tokenizer

POOL = [{**row, "note": f"n{index}"} for index, row in enumerate(tiny_pool(12))]
POOL[3] = {**POOL[3], "candidates": []}
POOL[5]["candidates"][0] |= {"profile": {"verdict": "incorrect"}, "generator": "g"}


def run(*arguments, **settings):
    return CliRunner().invoke(app, ["score", *map(str, arguments)], **settings)


@pytest.fixture
def pool(tmp_path):
    write_rows(tmp_path / "pool.jsonl", POOL)
    return tmp_path / "pool.jsonl"


def cells(output):
    """The rows of the table: name → value."""
    lines = [line.strip("│").split("│") for line in output.splitlines() if line.startswith("│")]
    return {name.strip(): value.strip() for name, value in lines}


@pytest.mark.parametrize(("source", "target"), [("jsonl", "jsonl"), ("parquet", "parquet"), ("jsonl", "parquet")])
def test_rows_get_scores_and_keep_all_else(tmp_path, tiny_model_dir, source, target):
    pool, output = tmp_path / f"pool.{source}", tmp_path / f"scored.{target}"
    write_rows(pool, POOL)
    done = run(pool, "-o", output, "--model", tiny_model_dir)
    assert done.exit_code == 0, done.output
    expected = Scorer(tiny_model(), load_tokenizer(str(tiny_model_dir)))(POOL)
    rows = [*RowFile(output)]
    assert len(rows) == len(POOL)
    for row, other, original in zip(rows, expected, POOL, strict=True):
        assert row["note"] == original["note"]
        assert row["rendered_reference"] == other["rendered_reference"]
        assert (row["reference_score"] or {}).get("digest") == (other["reference_score"] or {}).get("digest")
        assert [c["solution"] for c in row["candidates"]] == [c["solution"] for c in original["candidates"]]
        for one, two in zip(row["candidates"], other["candidates"], strict=True):
            assert one["score"]["digest"] == two["score"]["digest"]
            assert one["score"]["logp"] == pytest.approx(two["score"]["logp"], abs=1e-4)
    assert rows[5]["candidates"][0]["profile"] == {"verdict": "incorrect"}
    assert rows[5]["candidates"][0]["generator"] == "g"
    fingerprint = Fingerprint.from_json(rows[0]["fingerprint"])
    assert (fingerprint.max_length, fingerprint.truncation_mode, fingerprint.dtype) == (1024, "keep_start", "float32")
    assert fingerprint.model.startswith("weights:")
    assert not list(tmp_path.glob("*.journal*"))


def test_a_table_tells_what_was_found(pool, tmp_path, tiny_model_dir):
    done = run(pool, "-o", tmp_path / "out.jsonl", "--model", tiny_model_dir, "--max-length", 40)
    assert done.exit_code == 0, done.output
    expected = Scorer(tiny_model(), load_tokenizer(str(tiny_model_dir)), ScoringConfig(max_length=40))(POOL)
    scores = [candidate["score"] for row in expected for candidate in row["candidates"]]
    table = cells(done.output)
    truncated = sum(score["truncated"] for score in scores)
    assert truncated > 0
    assert table["problems"] == "12"
    assert table["with a scored reference"] == "11"
    assert table["candidates"] == str(len(scores))
    assert table["truncated"] == f"{truncated} ({truncated / len(scores):.1%})"
    assert table["completion tokens"].startswith(f"{sum(score['tokens'] for score in scores)} (")
    known = sorted(score["confidence"] for score in scores if score["confidence"] is not None)
    assert table["confidence"].split()[0] == f"{known[0]:.3g}"
    assert table["confidence"].split()[-1] == f"{known[-1]:.3g}"
    assert "tokens/s, prompts included" in table["speed"]
    assert "12 scored rows written to" in done.output


def test_options_reach_the_scorer(pool, tmp_path, tiny_model_dir):
    output = tmp_path / "out.jsonl"
    options = (
        "--max-length",
        0,
        "--prompt-template",
        "Q: {problem}\nA: ",
        "--dtype",
        "bfloat16",
        "--batch-tokens",
        200,
    )
    done = run(pool, "-o", output, "--model", tiny_model_dir, *options)
    assert done.exit_code == 0, done.output
    config = ScoringConfig(max_length=None, prompt_template="Q: {problem}\nA: ")
    expected = Scorer(tiny_model().bfloat16(), load_tokenizer(str(tiny_model_dir)), config)(POOL)
    for row, other in zip(RowFile(output), expected, strict=True):
        assert Fingerprint.from_json(row["fingerprint"]).dtype == "bfloat16"
        assert Fingerprint.from_json(row["fingerprint"]).max_length is None
        assert [c["score"]["digest"] for c in row["candidates"]] == [c["score"]["digest"] for c in other["candidates"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "row 0, column '(whole row)': got '{'. This line is not valid JSON"),
        ('{"problem": "p", "candidates": [{"solution": "s"}]}\n{"problem": 1}', "row 1, column 'candidates'"),
        ('{"problem": "p", "candidates": []}', "'candidates' is empty in all 1 rows, so there is nothing to score"),
        ("", "the file is empty, so there is nothing to score"),
        (
            '{"problem": "p", "candidates": [{"solution": "s", "score": 0.7}]}',
            "row 0, column 'candidates[0].score': got 0.7. Scores are objects, and this column would be replaced by "
            "one: rename your own.",
        ),
    ],
)
def test_a_bad_pool_is_told_before_a_model_is_loaded(tmp_path, content, message):
    (tmp_path / "pool.jsonl").write_text(content)
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "out.jsonl", "--model", tmp_path / "no model")
    assert done.exit_code == 1
    assert message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


@pytest.mark.parametrize(("value", "message"), [(2**63, "beyond 64 bits"), ({"\udc80": 1}, "is no valid Unicode")])
def test_what_parquet_cannot_hold_is_told_before_a_model_is_loaded(tmp_path, value, message):
    write_rows(tmp_path / "pool.jsonl", [*POOL, {**POOL[0], "own": value}])
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "out.parquet", "--model", tmp_path / "no model")
    assert done.exit_code == 1
    assert "out.parquet: rows 0 to 12: " in done.output
    assert message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


def test_an_option_that_the_tokenizer_has_no_use_for_is_told(pool, tmp_path, tiny_model_dir):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "chat")
    options = ("--model", tiny_model_dir, "--prompt-template", "{problem} ", "--system-prompt", "s")
    plain = run(pool, "-o", tmp_path / "out.jsonl", *options)
    chat = run(pool, "-o", tmp_path / "out.jsonl", *options, "--tokenizer", tmp_path / "chat")
    assert plain.exit_code == chat.exit_code == 0
    assert "--system-prompt is not used: the tokenizer has no chat template." in plain.stderr
    assert "--prompt-template is not used: the tokenizer has a chat template." in chat.stderr
    variables = ("--chat-template-kwargs", '{"enable_thinking": false}')
    plain = run(pool, "-o", tmp_path / "other.jsonl", *options, *variables)
    chat = run(pool, "-o", tmp_path / "other.jsonl", *options, *variables, "--tokenizer", tmp_path / "chat")
    assert (plain.exit_code, chat.exit_code) == (0, 1)
    assert "--chat-template-kwargs is not used: the tokenizer has no chat template." in plain.stderr
    assert "Error: The tokenizer's chat template has no variable 'enable_thinking'" in chat.stderr
    assert "--prompt-template" not in plain.stderr
    assert "--system-prompt" not in chat.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "no where"), "no where: no tokenizer could be loaded from there"),
        (("--prompt-template", "no place"), "prompt_template 'no place' lacks the placeholder {problem}"),
        (("--double-quant",), "(--double-quant) goes with load_in_4bit"),
        (("--backend", "vllm", "--load-in-4bit"), "--backend vllm scores with one process and a whole model"),
        (("-o", "out.csv"), "out.csv: name the output *.jsonl or *.parquet"),
        (("-o", "pool.jsonl"), "writing there would replace the input"),
    ],
)
def test_a_bad_option_is_explained(pool, tmp_path, tiny_model_dir, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    done = run("pool.jsonl", "-o", "out.jsonl", "--model", tiny_model_dir, *options)
    assert done.exit_code == 1
    assert message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


@pytest.mark.parametrize(
    ("option", "value"), [("--dtype", "float8"), ("--truncation-mode", "middle"), ("--backend", "tensorrt")]
)
def test_a_word_that_is_no_choice_is_a_usage_error(pool, tmp_path, tiny_model_dir, option, value):
    done = run(pool, "-o", tmp_path / "out.jsonl", "--model", tiny_model_dir, option, value)
    assert done.exit_code == 2
    assert f"'{value}' is not one of" in done.output


def test_a_missing_file_is_explained(tmp_path, tiny_model_dir):
    done = run(tmp_path / "nowhere.jsonl", "-o", tmp_path / "out.jsonl", "--model", tiny_model_dir)
    assert done.exit_code == 1
    assert "nowhere.jsonl: there is no such file" in done.output


def test_a_tokenizer_of_its_own_is_used(pool, tmp_path, tiny_model_dir):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    tokenizer.chat_template += "{% if add_generation_prompt %}[assistant]{% endif %}"
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    done = run(pool, "-o", tmp_path / "out.jsonl", "--model", tiny_model_dir, "--tokenizer", tmp_path / "tokenizer")
    assert done.exit_code == 0, done.output
    expected = Scorer(tiny_model(), load_tokenizer(str(tmp_path / "tokenizer")))(POOL)
    row = next(iter(RowFile(tmp_path / "out.jsonl")))
    assert row["candidates"][0]["score"]["digest"] == expected[0]["candidates"][0]["score"]["digest"]
    assert Fingerprint.from_json(row["fingerprint"]).template is not None


@pytest.mark.long
def test_killed_and_run_again_writes_the_same_file(tmp_path, tiny_model_dir):
    pool, output, journal = tmp_path / "pool.jsonl", tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    rows = tiny_pool(1000)
    write_rows(pool, rows)
    command = [sys.executable, "-m", "trl_weighted_dpo.cli", "score", str(pool), "--model", str(tiny_model_dir)]
    settings = {
        "stderr": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "OMP_NUM_THREADS": "1"},
    }
    process = subprocess.Popen([*command, "-o", str(output)], **settings)
    while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    kept = journal.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    second = subprocess.Popen([*command, "-o", str(output)], **settings)
    while second.poll() is None and not journal.stat().st_size > len(kept):
        time.sleep(0.001)
    assert journal.read_bytes()[: len(kept)] == kept
    assert second.wait() == 0
    subprocess.run([*command, "-o", str(tmp_path / "whole.jsonl")], check=True, **settings)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert [json.loads(line)["id"] for line in output.open()] == [row["id"] for row in rows]
    assert not list(tmp_path.glob("*.journal*"))
