"""Evaluations of pools on disk: verified here or before, resumed, and what is wrong with them."""

import json

import pytest

from tests.evaluation.pools import pool_file
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import read_jsonl, write_jsonl
from trl_weighted_dpo.core.pools import PoolFile
from trl_weighted_dpo.evaluation.files import ModelFiles, evaluate_files
from trl_weighted_dpo.evaluation.pools import read_answered
from trl_weighted_dpo.settings.evaluation import EvaluationConfig
from trl_weighted_dpo.verifier import MathVerifier, Verdict
from trl_weighted_dpo.verifier.files import RowsWithProfiles, verify_into

FAST = EvaluationConfig(resamples=200)


def opened(*arguments, **columns):
    return PoolFile(pool_file(*arguments, **columns))


def test_real_pool(shared_data, tmp_path):
    """Labels of the data: 601 of 1352 are right, in 190 of 338 problems both kinds are there."""
    pool = shared_data / "gsm8k_solutions_pool.jsonl"
    report = evaluate_files(tmp_path, [ModelFiles("gpt3", samples=pool)], FAST)
    found = report["models"]["gpt3"]["measures"]
    assert report["models"]["gpt3"]["candidates"] == {"samples": 1352}
    assert found["accuracy"]["verdicts"] == {"correct": 601, "incorrect": 751, "undecided": 0}
    assert found["accuracy"]["value"] == pytest.approx(601 / 1352)
    labels = [[candidate["is_correct"] for candidate in row["candidates"]] for row in read_jsonl(pool)]
    assert found["pass@4"]["value"] == pytest.approx(sum(map(any, labels)) / 338)
    assert sum(any(own) and not all(own) for own in labels) == 190
    rows = list(read_jsonl(tmp_path / "problems.jsonl"))
    verdicts = [row["models"]["gpt3"]["samples"]["verdicts"] for row in rows]
    assert [[verdict == "correct" for verdict in own] for own in verdicts] == labels
    classes = report["slices"][1]["groups"]
    assert sum(group["problems"] for group in classes.values()) == 338
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report


def test_verdicts_of_the_verifier(tmp_path):
    pool = read_answered(opened(tmp_path / "pool.jsonl", "ciu"), tmp_path / "journal")
    assert [one.verdict for one in pool.outcomes["p0"]] == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNDECIDED]


def test_profiles_of_a_pool_are_used(tmp_path):
    plain = pool_file(tmp_path / "pool.jsonl", "ci", "cc")
    rows = list(read_jsonl(plain))
    with MathVerifier() as verifier:
        verify_into(tmp_path / "journal", rows, verifier)
    verified = list(RowsWithProfiles(rows, tmp_path / "journal"))
    # What the profile says counts, not the text.
    verified[0]["candidates"][1]["profile"]["verdict"] = "correct"
    write_jsonl(tmp_path / "verified.jsonl", verified)
    pool = read_answered(PoolFile(tmp_path / "verified.jsonl"), tmp_path / "other")
    assert [one.verdict for one in pool.outcomes["p0"]] == [Verdict.CORRECT, Verdict.CORRECT]
    assert not (tmp_path / "other").exists()


def test_a_second_run_verifies_nothing_twice(tmp_path, monkeypatch):
    pool = pool_file(tmp_path / "pool.jsonl", "ci", "cc")
    first = evaluate_files(tmp_path / "out", [ModelFiles("a", samples=pool)], FAST)
    monkeypatch.setattr(MathVerifier, "verify", lambda *_: pytest.fail("verified again"))
    assert evaluate_files(tmp_path / "out", [ModelFiles("a", samples=pool)], FAST) == first
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.samples.profiles", "evaluation.json", "problems.jsonl"
    ]  # fmt: skip


def test_a_changed_pool_is_verified_anew(tmp_path):
    models = [ModelFiles("a", samples=pool_file(tmp_path / "pool.jsonl", "ci", "cc"))]
    assert evaluate_files(tmp_path, models, FAST)["models"]["a"]["measures"]["accuracy"]["value"] == 0.75
    pool_file(tmp_path / "pool.jsonl", "ii", "cc")
    assert evaluate_files(tmp_path, models, FAST)["models"]["a"]["measures"]["accuracy"]["value"] == 0.5


def test_pools_without_ids_are_matched_by_their_problems(tmp_path):
    files = [pool_file(tmp_path / f"{name}.jsonl", *letters, id=None) for name, letters in (("a", "ci"), ("b", "cc"))]
    models = [ModelFiles(path.stem, greedy=path) for path in files]
    (own,) = evaluate_files(tmp_path, models, FAST)["comparisons"]
    assert (own["gained"], own["lost"]) == (1, 0)


def test_something_must_tell_right_from_wrong(tmp_path, caplog):
    bare = {"reference_answer": None, "reference_solution": None}
    path = pool_file(tmp_path / "pool.jsonl", "ci", "cc", **bare)
    with pytest.raises(ValueError, match=r"pool\.jsonl: no problem has a 'reference_answer' or 'reference_solution'"):
        read_answered(PoolFile(path), tmp_path / "journal")
    assert not (tmp_path / "journal").exists()
    rows = list(read_jsonl(pool_file(path, "ci", "cc")))
    write_jsonl(path, [rows[0], {**rows[1], **bare}])
    pool = read_answered(PoolFile(path), tmp_path / "journal")
    assert [one.verdict for one in pool.outcomes["p1"]] == [Verdict.UNDECIDED] * 2
    assert "1 of 2 problems have neither reference answer nor solution" in caplog.text


def test_bad_rows(tmp_path):
    path = tmp_path / "pool.jsonl"
    with pytest.raises(SchemaError, match=r"row 1, column 'id': got 'x'\. It is that of row 0 too"):
        read_answered(opened(path, "c", "i", id="x"), tmp_path / "journal")
    with pytest.raises(SchemaError, match=r"row 1, column 'candidates': got \[\]\. A problem without candidates"):
        read_answered(opened(path, "c", ""), tmp_path / "journal")
    with pytest.raises(SchemaError, match="candidate 0: row 0, column 'verdict': the column is missing"):
        read_answered(opened(path, "c", candidates=[{"solution": "x", "profile": {}}]), tmp_path / "journal")
    path.write_text("")
    with pytest.raises(ValueError, match="the file is empty"):
        read_answered(PoolFile(path), tmp_path / "journal")
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("name", ["", "../a", "a/b", "-a", "a b"])
def test_names_that_cannot_name_files(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be the name of a model"):
        ModelFiles(name, samples=tmp_path / "pool.jsonl")
