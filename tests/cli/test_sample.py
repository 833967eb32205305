"""`weighted-dpo sample` as a person runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from tests.sampling.serving import serving
from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import plugins
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.core.models import load_model, load_tokenizer
from trl_weighted_dpo.sampling import Sample, SamplingConfig
from trl_weighted_dpo.sampling.files import sample_file
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

PROBLEMS = [{name: value for name, value in row.items() if name != "candidates"} for row in tiny_pool(6)]


def run(*arguments):
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


@pytest.fixture
def problems(tmp_path):
    write_rows(tmp_path / "problems.jsonl", PROBLEMS)
    return tmp_path / "problems.jsonl"


def cells(output):
    """The rows of the table: name → value."""
    lines = [line.strip("│").split("│") for line in output.splitlines() if line.startswith("│")]
    return {name.strip(): value.strip() for name, value in lines}


def test_options_reach_the_sampler_and_a_table_tells_what_was_made(problems, tmp_path, tiny_model_dir):
    (tmp_path / "shots.jsonl").write_text(json.dumps({"problem": "1+1?", "solution": "A: 2"}))
    done = run(
        problems, "-o", tmp_path / "pool.jsonl", "--model", tiny_model_dir, "-k", 3, "--temperature", 1.1, "--top-p",
        0.9, "--top-k", 30, "--max-new-tokens", 12, "--seed", 5, "--stop", "an", "--stop", "9", "--prompt-template",
        "Q: {problem}\n", "--system-prompt", "s", "--few-shot", tmp_path / "shots.jsonl", "--batch-tokens", 500,
        "--dtype", "float32", "--limit", 5, "--generator", "sft",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    config = SamplingConfig(
        3, 1.1, 0.9, 30, 12, ("an", "9"), 5, "Q: {problem}\n", few_shot=(("1+1?", "A: 2"),), batch_tokens=500
    )
    sampler = TransformersSampler(load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir)))
    report = sample_file(PROBLEMS[:5], tmp_path / "expected.jsonl", sampler, config, generator="sft")
    assert (tmp_path / "pool.jsonl").read_bytes() == (tmp_path / "expected.jsonl").read_bytes()
    table = cells(done.output)
    assert (table["problems"], table["samples"]) == ("5", "15")
    assert table["distinct"] == f"{report.distinct} ({report.distinct / 15:.1%})"
    assert table["truncated"] == f"{report.truncated} ({report.truncated / 15:.1%})"
    assert table["tokens"] == f"{report.tokens} ({report.tokens / 15:.0f} each)"
    assert table["speed"].endswith(" tokens/s")
    assert "of an earlier run" not in table
    assert "5 pool rows written to" in done.output
    assert "--system-prompt is not used: the tokenizer has no chat template." in done.stderr
    assert not [*tmp_path.glob("*.journal*")]


def test_temperature_0_is_one_sample_and_problems_may_have_other_columns(tmp_path, tiny_model_dir):
    rows = [{"frage": row["problem"], "antwort": row["reference_answer"]} for row in PROBLEMS[:2]]
    write_rows(tmp_path / "fragen.jsonl", rows)
    columns = ("--column", "problem=frage", "--column", "reference_answer=antwort")
    options = ("--model", tiny_model_dir, "--temperature", 0, "--max-new-tokens", 5)
    done = run(tmp_path / "fragen.jsonl", "-o", tmp_path / "pool.parquet", *columns, *options)
    assert done.exit_code == 0, done.output
    pool = [*RowFile(tmp_path / "pool.parquet")]
    assert [row["problem"] for row in pool] == [row["problem"] for row in PROBLEMS[:2]]
    assert [row["reference_answer"] for row in pool] == [row["reference_answer"] for row in PROBLEMS[:2]]
    assert [len(row["candidates"]) for row in pool] == [1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "no where"), "no where: no tokenizer could be loaded from there"),
        (("--backend", "tensorrt"), "There is no sampler 'tensorrt'; there are: transformers, vllm, server"),
        (("--backend", "server"), "The backend 'server' needs base_url (--base-url)"),
        (("--base-url", "x"), "The backend 'transformers' has no option 'base_url'; it has: tokenizer, adapter, dtype"),
        (("--option", "threads"), "--option threads: give a name and a value, as in --option concurrency=32"),
        (("--column", "problem=a", "--column", "problem=b"), "--column problem is given twice: 'a' and 'b'"),
        (("--column", "problem=text"), "there is no column 'text' to be 'problem'; there are: id, problem"),
        (("--preset", "gsm9k"), "There is no preset 'gsm9k'"),
        (("--split", "train"), "a file has no splits"),
        (("--top-p", "0"), "--top-p 0.0: give a number in (0, 1]"),
        (("--temperature", "0", "-k", "4"), "temperature 0 gives the same text each time, but completions is 4"),
        (("--prompt-template", "no place"), "prompt_template 'no place' lacks the placeholder {problem}"),
        (("--few-shot", "nowhere.jsonl"), "nowhere.jsonl: there is no such file"),
        (("-o", "out.csv"), "out.csv: name the output *.jsonl or *.parquet"),
        (("-o", "problems.jsonl"), "writing there would replace the input"),
        (("--max-new-tokens", "600"), "is more than the model's 512 positions. Lower max_new_tokens"),
    ],
)
def test_a_bad_option_is_explained(problems, tmp_path, tiny_model_dir, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    done = run("problems.jsonl", "-o", "out.jsonl", "--model", tiny_model_dir, *options)
    assert done.exit_code == 1
    assert message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["problems.jsonl"]


def test_a_server_is_sampled_from(problems, tmp_path):
    with serving(TransformersSampler(tiny_model(), tiny_tokenizer())) as server:
        options = ("--backend", "server", "--base-url", server.url, "--tokenizer", "none", "--option", "concurrency=2")
        done = run(problems, "-o", tmp_path / "pool.jsonl", "--model", "tiny", *options, "-k", 2, "--max-new-tokens", 4)
        assert done.exit_code == 0, done.output
        assert {body["prompt"] for body in server.bodies} == {row["problem"] + "\n" for row in PROBLEMS}
    assert [len(row["candidates"]) for row in RowFile(tmp_path / "pool.jsonl")] == [2] * 6


class Echo:
    """A sampler of a plugin: the prompt and the seed."""

    tokenizer = None

    def __init__(self, model, options):
        self.identity, self.mark = f"echo {model}", options["mark"]

    def generate(self, requests, config):
        for place, request in enumerate(requests):
            yield place, Sample(f"{self.mark} {request.prompt.strip()} {request.seed}", False, 3)


class EchoPlugin:
    @plugins.hookimpl
    def weighted_dpo_samplers(self):
        return {"echo_for_tests": Echo}


def test_a_plugin_brings_a_backend(problems, tmp_path):
    if "echo_for_tests" not in plugins.samplers():
        plugins.register(EchoPlugin(), "echo for tests")
    output = tmp_path / "pool.jsonl"
    done = run(problems, "-o", output, "--model", "m", "--backend", "echo_for_tests", "--option", "mark=!", "-k", 2)
    assert done.exit_code == 0, done.output
    rows = [*RowFile(output)]
    assert all(row["candidates"][0]["solution"].startswith(f"! {row['problem']} ") for row in rows)
    assert cells(done.output)["distinct"] == "12 (100.0%)"


@pytest.mark.long
def test_killed_and_run_again_writes_the_same_file_and_samples_nothing_twice(tmp_path, tiny_model_dir):
    source, output, journal = tmp_path / "pool.jsonl", tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    write_rows(source, tiny_pool(60))
    command = [sys.executable, "-m", "trl_weighted_dpo.cli", "sample", str(source), "--model", str(tiny_model_dir)]
    command += ["-k", "4", "--max-new-tokens", "24", "--batch-tokens", "400"]
    settings = {"stderr": subprocess.DEVNULL, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    process = subprocess.Popen([*command, "-o", str(output)], stdout=subprocess.DEVNULL, **settings)
    while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") > 20):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    kept = journal.read_bytes().count(b"\n") - 1
    assert 20 <= kept < 240
    again = subprocess.run([*command, "-o", str(output)], stdout=subprocess.PIPE, text=True, check=True, **settings)
    assert cells(again.stdout)["of an earlier run"] == f"{kept} ({kept / 240:.1%})"
    sampler = TransformersSampler(load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir)))
    config = SamplingConfig(4, max_new_tokens=24)
    problems = [{name: value for name, value in row.items() if name != "candidates"} for row in tiny_pool(60)]
    sample_file(problems, tmp_path / "whole.jsonl", sampler, config)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not [*tmp_path.glob("*.journal*")]
