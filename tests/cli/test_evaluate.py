"""`weighted-dpo evaluate` from pools."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.evaluation.pools import pool_file
from trl_weighted_dpo.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})


def test_two_models_are_compared(tmp_path):
    pools = {name: pool_file(tmp_path / f"{name}.jsonl", *own) for name, own in (("a", "ccii"), ("b", "cccu"))}
    done = run(*(f"--greedy={name}={path}" for name, path in pools.items()), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Against a, on the same problems" in done.output
    assert "regress to the mean" in " ".join(done.output.split())
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["baseline"] == "a"
    (own,) = report["comparisons"]
    assert (own["gained"], own["lost"], own["p"]) == (1, 0, 1.0)
    assert report["models"]["b"]["measures"]["greedy"]["verdicts"]["undecided"] == 1


def test_samples_and_greedy_candidates_of_one_model(tmp_path):
    samples, greedy = pool_file(tmp_path / "s.jsonl", "cci", "iii"), pool_file(tmp_path / "g.jsonl", "c", "i")
    done = run("--pool", f"m={samples}", "--greedy", f"m={greedy}", "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert list(report["models"]["m"]["measures"]) == ["greedy", "accuracy", "pass@2", "pass@3", "maj@3"]
    assert report["slices"][-1]["is_independent"]


def test_settings_reach_the_report(tmp_path):
    pool = pool_file(tmp_path / "p.jsonl", "cci", "iii", grade="A")
    options = ("--difficulty", "grade", "--confidence", "0.9", "--resamples", "300", "--json")
    report = json.loads(run("--pool", f"m={pool}", "-o", tmp_path / "out", *options).stdout)
    assert report["settings"]["difficulty"] == "grade"
    assert (report["settings"]["confidence"], report["settings"]["resamples"]) == (0.9, 300)
    assert list(report["slices"][0]["groups"]) == ["A"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to evaluate"),
        (("--pool", "a.jsonl"), "--pool a.jsonl: give NAME=FILE"),
        (("--pool", "m="), "--pool m=: give NAME=FILE"),
        (("--pool", "m=missing.jsonl"), "missing.jsonl: there is no such file"),
        (("--pool", "m=x", "--pool", "m=y"), "--pool m=y: m has the pool x already"),
        (("--pool", "a/b=x"), "'a/b' cannot be the name of a model"),
        (("--pool", "m=x", "--confidence", "2"), "--confidence 2.0: give a number in (0, 1)"),
        (("--pool", f"m={__file__}", "-k", "4"), "--completions is for models that are sampled, but there is no"),
        (("--pool", f"m={__file__}", "--limit", "4"), "--limit is for models that are sampled, but there is no"),
        (("--pool", f"m={__file__}", "--tokenizer", "x"), "--tokenizer is for models that are sampled"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    done = run(*arguments, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["problems.jsonl", "evaluation.json", "m.greedy.jsonl"])
@pytest.mark.parametrize("kind", ["pool", "problems", "few-shot"])
def test_what_is_read_is_not_replaced(tmp_path, name, kind):
    path = pool_file(tmp_path / name, "c")
    before = path.read_bytes()
    other = pool_file(tmp_path / "other.jsonl", "c")
    given = {
        "pool": ["--pool", f"n={path}", "--model", "m=x", str(other)],
        "problems": [path, "--model", "m=x"],
        "few-shot": [other, "--model", "m=x", "--few-shot", path],
    }
    done = run(*given[kind], "-o", tmp_path)
    assert done.exit_code == 1
    assert f"{path} would be replaced there. Name another folder as output." in done.output
    assert path.read_bytes() == before


def test_it_needs_no_torch(tmp_path):
    pool = pool_file(tmp_path / "p.jsonl", "cci", "iii")
    code = (
        "import sys; from trl_weighted_dpo.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print('LOADED', [name for name in ('torch', 'transformers', 'trl', 'datasets') if name in sys.modules])"
    )
    arguments = ["evaluate", "--pool", f"m={pool}", "-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr
