"""Evaluations of models that are sampled: what is done once is not done again, and what has changed is."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from tests.tiny import save_tiny_model, tiny_pool
from trl_weighted_dpo import plugins
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import read_jsonl, write_jsonl
from trl_weighted_dpo.evaluation.sampled import SampledModel, sample_model
from trl_weighted_dpo.sampling import Sample, SamplingConfig

pytestmark = pytest.mark.long

OPTIONS = ("-k", "3", "--max-new-tokens", "12", "--resamples", "200")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for seed, name in enumerate("ab"):
        save_tiny_model(folder / name, seed)
    rows = [{key: value for key, value in row.items() if key != "candidates"} for row in tiny_pool(6)]
    write_jsonl(folder / "problems.jsonl", [{**row, "level": str(index % 2)} for index, row in enumerate(rows)])
    return folder


def run(world, output, *arguments):
    models = ("--model", str(world / "a"), "--model", f"second={world / 'b'}")
    arguments = [str(world / "problems.jsonl"), *models, "-o", str(output), *OPTIONS, *arguments]
    return CliRunner().invoke(app, ["evaluate", *arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def evaluated(world):
    done = run(world, world / "out")
    assert done.exit_code == 0, done.output
    return world / "out"


def test_models_are_sampled_verified_and_compared(world, evaluated):
    report = json.loads((evaluated / "evaluation.json").read_text())
    assert list(report["models"]) == ["a", "second"]
    assert report["models"]["a"]["candidates"] == {"greedy": 6, "samples": 18}
    assert list(report["models"]["a"]["measures"]) == ["greedy", "accuracy", "pass@2", "pass@3", "maj@3"]
    assert report["slices"][0]["by"] == "column level"
    problems = [row["id"] for row in read_jsonl(world / "problems.jsonl")]
    for name in ("a.greedy", "a.samples", "second.greedy", "second.samples"):
        rows = list(read_jsonl(evaluated / f"{name}.jsonl"))
        assert [row["id"] for row in rows] == problems
        assert {len(row["candidates"]) for row in rows} == {1 if "greedy" in name else 3}
        assert {candidate["generator"] for row in rows for candidate in row["candidates"]} == {name.split(".")[0]}
    assert [row["id"] for row in read_jsonl(evaluated / "problems.jsonl")] == problems


def test_greedy_candidates_are_those_of_generate(world, evaluated):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(world / "a") for kind in (AutoModelForCausalLM, AutoTokenizer))
    for row in read_jsonl(evaluated / "a.greedy.jsonl"):
        ids = tokenizer(row["problem"] + "\n", return_tensors="pt")
        made = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert row["candidates"][0]["solution"] == tokenizer.decode(made)


def loads(monkeypatch):
    """The models that are loaded from here on."""
    loaded = []
    find = plugins.find

    def spied(kind, name):
        make = find(kind, name)
        return lambda model, options: loaded.append(model) or make(model, options)

    monkeypatch.setattr(plugins, "find", spied)
    return loaded


def test_a_second_run_loads_no_model(world, evaluated, monkeypatch):
    before = (evaluated / "evaluation.json").read_text()
    loaded = loads(monkeypatch)
    done = run(world, evaluated)
    assert done.exit_code == 0, done.output
    assert loaded == []
    assert (evaluated / "evaluation.json").read_text() == before


def test_only_what_is_missing_or_changed_is_sampled(world, evaluated, tmp_path, monkeypatch):
    out = shutil.copytree(evaluated, tmp_path / "out")
    greedy, samples = (out / f"second.{kind}.jsonl" for kind in ("greedy", "samples"))
    first, kept = samples.read_text(), greedy.stat().st_mtime_ns
    samples.unlink()
    loaded = loads(monkeypatch)
    assert run(world, out).exit_code == 0
    assert loaded == [str(world / "b")]
    assert samples.read_text() == first
    assert greedy.stat().st_mtime_ns == kept
    # Other settings of the samples leave the greedy candidates.
    assert run(world, out, "--temperature", "1.5", "--seed", "3").exit_code == 0
    assert loaded == [str(world / name) for name in "bab"]
    assert samples.read_text() != first
    assert greedy.stat().st_mtime_ns == kept


def test_a_model_with_other_weights_is_sampled_anew(world, evaluated, tmp_path, monkeypatch):
    copy = tmp_path / "world"
    shutil.copytree(world, copy)
    assert run(copy, copy / "out").exit_code == 0
    before = (copy / "out" / "a.greedy.jsonl").read_text()
    save_tiny_model(copy / "a", seed=7)
    loaded = loads(monkeypatch)
    assert run(copy, copy / "out").exit_code == 0
    assert loaded == [str(copy / "a")]
    assert (copy / "out" / "a.greedy.jsonl").read_text() != before


def test_another_backend_samples_anew(tmp_path):
    class Named:
        tokenizer, identity = None, "named"

        def __init__(self, model, options):
            made.append(model)

        def generate(self, requests, config):
            yield from ((place, Sample("A: 1", False, 1)) for place in range(len(requests)))

    made, problems = [], [{"id": "p", "problem": "1?", "reference_answer": "1"}]
    configs = {"greedy": SamplingConfig(1, temperature=0.0)}
    for backend in ("vllm", "vllm", "server"):
        sample_model(tmp_path, SampledModel("m", "w", {}, backend), problems, configs, Named)
    assert made == ["w", "w"]


def test_no_samples_but_greedy_candidates(world, tmp_path):
    done = run(world, tmp_path / "out", "-k", "0", "--limit", "2", "--baseline", "second")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["baseline"] == "second"
    assert list(report["models"]["a"]["measures"]) == ["greedy"]
    assert report["problems"]["count"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "m=/x"), "--model needs problems to sample"),
        (("problems.jsonl", "--pool", "m=p.jsonl"), "problems.jsonl: pools hold their problems"),
        (("p", "--pool", "m=p.jsonl", "--model", "m=x"), "--model m=x: m has a pool already"),
        (("p", "--model", "x/merged", "--model", "y/merged"), "two models are called 'merged'"),
        (("p", "--model", "m=x", "--adapter", "n=y"), "--adapter n=...: no --model is called 'n'"),
        (("p", "--model", "m=x", "--baseline", "n"), "--baseline n: there is no such model; there are: m"),
        (("p", "--model", "m=x", "--temperature", "0"), "--temperature 0 is what the greedy candidate"),
        (("p", "--model", "m=x", "--backend", "none"), "There is no sampler 'none'"),
        (("bare.jsonl", "--model", "m=x"), "bare.jsonl: no problem has a 'reference_answer' or 'reference_solution'"),
        (("p.jsonl", "--model", "m=x", "--backend", "server", "--tokenizer", "none"), "'server' needs base_url"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", tiny_pool(1))
    write_jsonl(tmp_path / "bare.jsonl", [{"problem": "1+1?"}])
    done = CliRunner().invoke(app, ["evaluate", *arguments, "-o", "out"])
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "out").exists()
