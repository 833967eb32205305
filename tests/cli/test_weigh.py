"""`weighted-dpo weigh` as a person runs it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_pairs
from trl_weighted_dpo import plugins
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.weighting import WeightingConfig, compute_weights
from trl_weighted_dpo.weighting import files as weighting_files

ROWS = [{**row, "problem_id": f"problem {index}"} for index, row in enumerate(tiny_pairs(40))]
SIGNALS = ("rejected_wrongness", "chosen_confidence", "rejected_confidence", "rejected_nll")


@pytest.fixture(params=["jsonl", "parquet"])
def pairs(tmp_path, request):
    path = tmp_path / f"pairs.{request.param}"
    write_rows(path, ROWS)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["weigh", *map(str, arguments)])


def run_json(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["weightings"]


def weights_of(rows, **settings):
    columns = {name: [row.get(name) for row in rows] for name in SIGNALS}
    return compute_weights(columns, len(rows), WeightingConfig(**settings))[0]


def test_one_scheme_is_shown_with_its_pairs(pairs):
    (shown,) = run_json(pairs, "--scheme", "verifier", "--lambda", 1.0, "--nll", 2.0, "--top", 2)
    expected = weights_of(ROWS, lambda_=1.0, nll=2.0)
    heaviest, lightest = shown["heaviest"], shown["lightest"]
    assert [pair["weight"] for pair in heaviest] == sorted(expected, reverse=True)[:2]
    assert [pair["weight"] for pair in lightest] == sorted(expected)[:2]
    row = int(np.argmax(expected))
    assert heaviest[0]["row"] == row
    assert heaviest[0]["problem_id"] == f"problem {row}"
    assert heaviest[0]["signals"] == {name: ROWS[row][name] for name in SIGNALS}
    assert shown["summary"]["max"] == max(expected)
    assert shown["settings"]["nll"] == 2.0


def test_tables_are_for_people(pairs):
    done = run(pairs, "--top", 1)
    assert done.exit_code == 0, done.output
    assert "verifier (λ = 0.3)" in done.output
    assert "effective sample size of u" in done.output
    assert "█" in done.output
    row = int(np.argmax(weights_of(ROWS)))
    assert f"problem {row}" in done.output


def test_schemes_are_compared(pairs):
    shown = run_json(pairs, "--scheme", "verifier", "--scheme", "inverse", "--scheme", "uniform")
    assert [weighting["summary"]["scheme"] for weighting in shown] == ["verifier", "inverse", "uniform"]
    assert shown[1]["rank_correlation"] == pytest.approx(-1.0)
    assert shown[2]["rank_correlation"] is None
    done = run(pairs, "--scheme", "verifier", "--scheme", "inverse")
    assert "Weights of 40 pairs, λ = 0.3" in done.output
    assert "inverse of verifier" in done.output
    assert "-1.00" in done.output


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_weights_are_written_beside_the_pairs(pairs, tmp_path, suffix):
    output = tmp_path / f"weighed.{suffix}"
    done = run(pairs, "--scheme", "perplexity", "-o", output)
    assert done.exit_code == 0, done.output
    assert "40 pairs with weights written to" in done.output
    expected = weights_of(ROWS, scheme="perplexity").tolist()
    assert list(RowFile(output)) == [{**row, "weight": weight} for row, weight in zip(ROWS, expected, strict=True)]
    # Ready weights are taken untouched.
    (shown,) = run_json(output)
    assert shown["summary"]["scheme"] == "column"
    assert shown["summary"]["max"] == max(expected)


def test_warnings_are_printed(tmp_path):
    path = tmp_path / "pairs.jsonl"
    severities = [0.01] * 3 + [0.5] * 7
    write_rows(path, [{**row, "rejected_severity": s} for row, s in zip(ROWS, severities, strict=False)])
    done = run(path, "--scheme", "severity")
    assert "30% of u sit at clip_min (0.2)" in " ".join(done.output.split())


def test_a_value_out_of_range_is_a_usage_error(pairs):
    done = run(pairs, "--lambda", "2")
    assert done.exit_code == 2
    assert "2.0 is not in the range 0<=x<=1" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "severity"], "no column 'rejected_severity' (it has: rejected_wrongness, "),
        (["--scheme", "hard"], "Unknown weighting scheme 'hard'. Choose one of auto, uniform"),
        (["--scheme", "uniform", "--scheme", "verifier", "-o", "out.jsonl"], "holds the weights of one scheme"),
        (["-o", "out.txt"], "name the output *.jsonl or *.parquet"),
    ],
)
def test_what_cannot_be_is_explained(pairs, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = run(pairs, *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert list(tmp_path.glob("out*")) == []


def test_a_bad_signal_is_named_by_file_and_row(tmp_path):
    for suffix in ("jsonl", "parquet"):
        path = tmp_path / f"pairs.{suffix}"
        write_rows(path, [*ROWS, {**ROWS[0], "rejected_wrongness": 1.5}])
        done = run(path)
        assert done.exit_code == 1
        assert f"pairs.{suffix}: row 40, column 'rejected_wrongness': got 1.5." in done.output


def test_what_is_no_file_of_pairs_is_refused(tmp_path):
    for suffix in ("jsonl", "parquet"):
        path = tmp_path / f"pool.{suffix}"
        write_rows(path, [{"problem": "p", "candidates": [{"solution": "s"}]}])
        done = run(path)
        assert done.exit_code == 1
        assert "this is a pool of candidates. Make pairs of it" in done.output
    (tmp_path / "empty.jsonl").write_text("")
    assert "there are no pairs in it" in run(tmp_path / "empty.jsonl").output


def test_of_parquet_only_the_columns_of_numbers_are_read(tmp_path, monkeypatch):
    path = tmp_path / "pairs.parquet"
    write_rows(path, ROWS)
    read = []
    original = pq.ParquetFile.read

    def recorded(self, columns=None, **settings):
        read.extend(columns)
        return original(self, columns=columns, **settings)

    monkeypatch.setattr(pq.ParquetFile, "read", recorded)
    run_json(path, "--scheme", "verifier", "--scheme", "perplexity")
    assert sorted(read) == sorted(SIGNALS)


def test_columns_that_begin_or_end_within_a_file_are_null_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(weighting_files, "_BATCH_ROWS", 3)
    rows = [{"chosen": "a", "rejected": "b"} for _ in range(10)]
    rows[4]["rejected_nll"], rows[8]["rejected_severity"] = 2, 0.5
    write_rows(tmp_path / "pairs.jsonl", rows)
    columns, size = weighting_files.file_columns(RowFile(tmp_path / "pairs.jsonl"), [WeightingConfig()])
    assert size == 10
    assert columns["rejected_nll"].to_pylist() == [None] * 4 + [2.0] + [None] * 5
    assert columns["rejected_severity"].to_pylist() == [None] * 8 + [0.5, None]


class Brought:
    @staticmethod
    @plugins.hookimpl
    def weighted_dpo_raw_weights():
        return {"test_length": lambda columns, config: columns["length"]}


def test_a_plugins_scheme_reads_other_columns_of_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    plugins.register(Brought, "brought")
    rows = [{**row, "length": index + 2, "mixed": "x" if index == 9 else index} for index, row in enumerate(ROWS[:10])]
    for suffix in ("jsonl", "parquet"):
        path = tmp_path / f"pairs.{suffix}"
        write_rows(path, rows if suffix == "jsonl" else [{**row, "mixed": "x"} for row in rows])
        (shown,) = run_json(path, "--scheme", "test_length", "--lambda", 1, "--top", 1)
        assert shown["heaviest"][0]["weight"] == pytest.approx(11 / 6.5)
        assert "mixed" not in shown["heaviest"][0]["signals"]


def test_only_signals_are_shown_of_the_columns_that_a_plugin_may_read(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    plugins.register(Brought, "brought")
    path = tmp_path / "pairs.jsonl"
    write_rows(path, [{**row, "length": index + 2, "reward_margin": -12.3456} for index, row in enumerate(ROWS[:10])])
    (shown,) = run_json(path, "--scheme", "test_length")
    assert set(shown["heaviest"][0]["signals"]) == {*SIGNALS, "reward_margin"}
    assert "-12.35" in run(path, "--scheme", "test_length").output
