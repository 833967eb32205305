"""Stages that need no model, for real: what is run, what is up to date and why, and what fails."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from tests.tiny import tiny_pool
from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.pipeline import stages
from trl_weighted_dpo.pipeline.reading import read_recipe
from trl_weighted_dpo.pipeline.running import Selection, run_recipe
from trl_weighted_dpo.pipeline.stages import Stage
from trl_weighted_dpo.settings import PairingConfig

pytestmark = pytest.mark.long

PROGRAM = Path(sys.executable).with_name("weighted-dpo")
NAMES = ("verify", "mine", "weigh")


def run(folder, *arguments, code=0):
    done = subprocess.run(
        [PROGRAM, "run", "run.yaml", *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(folder, **changes):
    """A recipe; `None` leaves a key out."""
    recipe = {
        "output_dir": "out", "model": "owner/model", "sample": {"file": "pool.jsonl"}, "verify": {}, "mine": {},
        "weigh": {}, **changes,
    }  # fmt: skip
    given = {key: value for key, value in recipe.items() if value is not None}
    (folder / "run.yaml").write_text(yaml.safe_dump(given))


def headlines(said):
    """What is said of each stage: its name, and why it is run, or that it is not."""
    found = [line for line in said.splitlines() if line.startswith("[") and "] round-1/" in line]
    return {line.split()[1].removeprefix("round-1/").rstrip(":"): line for line in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_rows(folder / "pool.jsonl", tiny_pool(12))
    write(folder)
    return folder


def test_a_recipe_is_run_kept_and_run_again_for_a_reason(folder):
    said = run(folder)
    lines = headlines(said)
    assert list(lines) == list(NAMES)
    assert lines["mine"] == "[2/3] round-1/mine → out/round-1/pairs.jsonl (not done yet)"
    assert "  weighted-dpo mine out/round-1/verified.jsonl --output out/round-1/pairs.jsonl --seed 0" in said
    pairs = list(RowFile(folder / "out" / "round-1" / "pairs.jsonl"))
    manifest = json.loads((folder / "out" / "round-1" / "mine.manifest.json").read_text())
    assert manifest["rows"] == len(pairs) == 9
    reading = {"column": [], "split": None, "reward_threshold": None}
    assert manifest["settings"] == asdict(PairingConfig(seed=0)) | reading
    assert manifest["result_versions"] == {name: stages._results()[name] for name in ("mining", "verifier")}
    assert manifest["command"].startswith("weighted-dpo mine ")
    assert (
        f"9 pairs written to {Path('out/round-1/pairs.jsonl')}"
        in (folder / "out" / "logs" / "round-1-mine.log").read_text()
    )
    weights = json.loads((folder / "out" / "round-1" / "weights.json").read_text())
    assert weights["weightings"][0]["summary"]["pairs"] == 9
    assert "replaced by pool.jsonl" in said

    lines = headlines(run(folder))
    assert [lines[name].endswith(": up to date") for name in NAMES] == [True, True, True]

    write(folder, mine={"pairs_per_problem": 2})
    lines = headlines(run(folder))
    assert lines["verify"].endswith(": up to date")
    assert lines["mine"].endswith("(settings changed: pairs_per_problem 1 -> 2)")
    assert lines["weigh"].endswith("(pairs changed)")
    assert len(RowFile(folder / "out" / "round-1" / "pairs.jsonl")) == 18

    # A setting that leaves the pairs as they are runs mining again, and nothing after it.
    write(folder, mine={"pairs_per_problem": 2, "max_candidates": 60})
    lines = headlines(run(folder))
    assert lines["mine"].endswith("(settings changed: max_candidates 64 -> 60)")
    assert lines["weigh"].endswith(": up to date")

    (folder / "out" / "round-1" / "verified.jsonl").write_text("")
    lines = headlines(run(folder))
    assert lines["verify"].endswith("(the output was changed)")
    # Verified as before: what comes after is up to date.
    assert lines["mine"].endswith(": up to date")


def test_a_release_with_another_default_or_verifier_runs_stages_again(tmp_path, monkeypatch):
    write_rows(tmp_path / "pool.jsonl", tiny_pool(4))
    write(tmp_path, weigh=None)
    run(tmp_path)
    monkeypatch.chdir(tmp_path)

    def reasons():
        said = []
        run_recipe(read_recipe(Path("run.yaml")), Selection(), said.append, dry_run=True)
        return [line.splitlines()[0] for line in said]

    assert reasons() == []
    monkeypatch.setattr(PairingConfig.__dataclass_fields__["max_candidates"], "default", 32)
    assert reasons() == ["round-1/mine: settings changed: max_candidates 64 -> 32"]
    versions = stages._results()
    monkeypatch.setattr(stages, "_results", lambda: {**versions, "verifier": "next"})
    change = f"version changed: verifier {versions['verifier']} -> next"
    assert reasons() == [f"round-1/verify: {change}", "round-1/mine: pool is yet to be made"]


def test_parts_of_a_run(tmp_path):
    write_rows(tmp_path / "pool.jsonl", tiny_pool(4))
    write(tmp_path)
    said = run(tmp_path, "--dry-run")
    assert not (tmp_path / "out").exists()
    assert "round-1/verify: not done yet" in said
    assert "round-1/mine: pool is yet to be made" in said
    error = run(tmp_path, "--only", "mine", code=1)
    assert "Error: round-1/mine reads out/round-1/verified.jsonl, which is not there. Run the stages before it" in error
    assert list(headlines(run(tmp_path, "--until", "mine"))) == ["verify", "mine"]
    assert list(headlines(run(tmp_path, "--from", "round-1/weigh"))) == ["weigh"]
    assert "Error: --only score: the recipe leaves it out (skipped)." in run(tmp_path, "--only", "score", code=1)


def test_a_stage_that_fails_is_named_with_its_log_and_leaves_no_manifest(tmp_path):
    rows = tiny_pool(4)
    rows[2]["candidates"][1]["solution"] = 5
    write_rows(tmp_path / "pool.jsonl", rows)
    write(tmp_path)
    said = run(tmp_path, code=1)
    reason = "pool.jsonl: row 2, column 'candidates[1].solution': got 5. Give the candidate's full text."
    assert reason in said
    log = tmp_path / "out" / "logs" / "round-1-verify.log"
    assert reason in log.read_text()
    failed = f"Error: round-1/verify failed (exit code 1); what it said is in {log.relative_to(tmp_path)}."
    assert failed in said
    assert not (tmp_path / "out" / "round-1" / "verify.manifest.json").exists()
    # weigh prints its output: nothing half-written is left of it.
    write_rows(tmp_path / "pairs.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b", "rejected_wrongness": 7}])
    write(tmp_path, sample=None, verify=None, mine={"file": "pairs.jsonl"})
    assert "rejected_wrongness" in run(tmp_path, code=1)
    assert not (tmp_path / "out" / "round-1" / "weights.json").exists()


def test_other_versions_are_told_and_run_nothing_again(tmp_path):
    write_rows(tmp_path / "pool.jsonl", tiny_pool(4))
    write(tmp_path, mine=None, weigh=None)
    run(tmp_path)
    path = tmp_path / "out" / "round-1" / "verify.manifest.json"
    manifest = json.loads(path.read_text())
    now = manifest["versions"]["trl-weighted-dpo"]
    manifest["versions"]["trl-weighted-dpo"] = "0.0.1"
    path.write_text(json.dumps(manifest))
    said = run(tmp_path)
    assert f"round-1/verify: up to date; made with trl-weighted-dpo 0.0.1 (now {now})" in said


STAGES = [
    Stage("problems", Path("a"), ("x",)), Stage("round-1/score", Path("b"), ("x",)),
    Stage("round-1/mine", Path("c"), left_out="skipped"), Stage("round-2/score", Path("d"), ("x",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), [True, True, True, True]),
        (Selection(only="score"), [False, True, False, True]),
        (Selection(only="round-2/score"), [False, False, False, True]),
        (Selection(first="score"), [False, True, True, True]),
        (Selection(last="score"), [True, True, True, True]),
        (Selection(first="problems", last="round-1/score"), [True, True, False, False]),
    ],
)
def test_selections(selection, chosen):
    assert selection.of(STAGES) == chosen


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(only="scroe"), "--only scroe: there is no such stage. Did you mean score?"),
        (Selection(first="x"), "--from x: there is no such stage. There are: problems, score, mine."),
        (Selection(last="mine"), "--until mine: the recipe leaves it out"),
        (Selection(only="score", last="score"), "--only goes without --from and --until"),
        (Selection(first="round-2/score", last="problems"), "--from round-2/score comes after --until problems"),
    ],
)
def test_selections_that_are_refused(selection, message):
    with pytest.raises(ValueError, match=message):
        selection.of(STAGES)
