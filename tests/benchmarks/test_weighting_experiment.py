"""The experiment's arithmetic: paired differences with their intervals, arms, kinds of faults."""

import shutil
from dataclasses import asdict

import numpy as np
import pytest
from benchmarks.weighting_experiment import data, report, running
from benchmarks.weighting_experiment.arms import CHOSEN, HARD, RANDOM, SFT, screening, weighted, with_sft
from benchmarks.weighting_experiment.finalists import COMPARISONS, FINALISTS
from benchmarks.weighting_experiment.running import fault, is_true
from benchmarks.weighting_experiment.statistics import accuracy, difference, rank_correlation
from examples.tiny_math.world import Event, Problem
from scipy.stats import norm, spearmanr

from tests.conftest import REPOSITORY


def text(marks):
    return "".join(str(int(mark)) for mark in marks)


def test_the_mean_difference_is_over_runs_and_problems():
    first = {(0, 0): "1110", (1, 0): "1000"}
    second = {(0, 0): "1000", (1, 0): "1000"}
    assert accuracy(first) == pytest.approx(50.0)
    assert difference(first, second).mean == pytest.approx(25.0)


def test_a_model_without_pair_seeds_is_matched_by_its_own_seed():
    first = {(0, 0): "11", (0, 1): "10", (1, 0): "01"}
    assert difference(first, {(0, 0): "00", (1, 0): "01"}).mean == pytest.approx(100 * (1 + 0.5 + 0) / 3)


def test_with_runs_that_agree_the_interval_is_that_over_problems():
    rng = np.random.default_rng(0)
    one, other = rng.random(2000) < 0.6, rng.random(2000) < 0.5
    runs = [(model, pair) for model in range(3) for pair in range(5)]
    found = difference({run: text(one) for run in runs}, {run: text(other) for run in runs})
    each = one.astype(float) - other
    half = 100 * norm.ppf(0.975) * each.std() / np.sqrt(len(each))
    assert found.mean == pytest.approx(100 * each.mean())
    assert found.upper - found.mean == pytest.approx(half, rel=0.08)
    assert found.mean - found.lower == pytest.approx(half, rel=0.08)


def test_runs_that_differ_widen_the_interval():
    same = text(np.zeros(1000))
    runs = [(model, pair) for model in range(3) for pair in range(5)]
    # One SFT model gains 30 points on all problems alike, the others none.
    gaining = {run: text(np.arange(1000) % 10 < 3 * (run[0] == 0)) for run in runs}
    found = difference(gaining, dict.fromkeys(runs, same))
    assert found.mean == pytest.approx(10.0)
    assert found.lower == pytest.approx(0.0)
    assert found.upper > 25.0
    assert not found.excludes_zero


def test_rank_correlation_is_spearman():
    rng = np.random.default_rng(1)
    x = rng.random(200)
    y = x + rng.random(200)
    found = rank_correlation(x, y)
    assert found.mean == pytest.approx(spearmanr(x, y).statistic)
    assert 0.5 < found.lower < found.mean < found.upper < 0.9


def test_arms_have_names_of_their_own():
    arms = screening()
    assert len({arm.name for arm in arms}) == len(arms) > 30
    assert weighted(with_sft(RANDOM)).name == "random, verifier λ=1, 5 sft"
    assert weighted(RANDOM, "shuffled").name == "random, shuffled verifier λ=1"
    assert CHOSEN.name == "SFT on the chosen"
    assert len(FINALISTS) <= 8
    assert {arm for _, *pair in COMPARISONS for arm in pair} <= set(FINALISTS)


def test_faults_are_told_apart():
    problem = Problem(0, 5, "apples", 10, (Event("gain", 5), Event("lose", 4)), 0)
    assert fault(problem, "10+5=15\n15+4=19\n#### 19") == "misconception"
    assert fault(problem, "10+5=16\n16-4=12\n#### 12") == "slip"
    assert fault(problem, "10+5=15\n#### 15") == "other"


@pytest.mark.parametrize(
    ("equation", "truth"),
    [("2+2=4", True), ("2+2=5", False), ("9-4=5", True), ("3*4=13", False), ("12/4=3", True), ("13/4=3", False)],
)
def test_equations(equation, truth):
    left, result = equation.split("=")
    operator = next(sign for sign in "+-*/" if sign in left)
    assert is_true(*left.split(operator)[:1], operator, left.split(operator)[1], result) is truth


@pytest.mark.long
def test_runs_from_the_pool_to_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SIZES", {"test": 40, "harder": 10, "validation": 40, "pool": 60})
    monkeypatch.setattr(data, "SAMPLES", 4)
    monkeypatch.setattr(running, "BATCH", 4)
    running.sets_of.cache_clear()
    shutil.copytree(REPOSITORY / "examples" / "tiny_math" / "sft_model", tmp_path / "sft-0")
    data.make_pool(tmp_path, 0)
    pool = data.read_pool(tmp_path, 0)
    assert (len(pool), len(pool[0]["candidates"])) == (60, 4)
    hard, random = (data.mined(pool, strategy, "verified", 0) for strategy in ("hard", "random"))
    assert [(pair["problem_id"], pair["chosen"]) for pair in hard] == [
        (pair["problem_id"], pair["chosen"]) for pair in random
    ]
    assert [pair["rejected"] for pair in hard] != [pair["rejected"] for pair in random]

    untouched = running.run(tmp_path, SFT, 0, 0, ("test", "harder"))
    assert {name: len(marks) for name, marks in untouched["solved"].items()} == {"test": 40, "harder": 10}
    assert 10 < untouched["solved"]["test"].count("1") < 30
    wrong = sum(untouched["faults"]["test"].values())
    assert wrong == untouched["solved"]["test"].count("0")

    dpo = running.run(tmp_path, weighted(with_sft(HARD)), 0, 0, ("test", "harder"))
    assert dpo["pairs"] == len(hard)
    assert dpo["effective_share"] < 0.99
    assert dpo["rejected_displacement"] < dpo["chosen_displacement"]
    chosen = running.run(tmp_path, CHOSEN, 0, 0, ("test", "harder"))
    assert chosen["steps"] == dpo["steps"] == -(-len(hard) // running.BATCH)

    records = [
        {"step": "final", "arm": asdict(arm), "sft_seed": 0, "pair_seed": 0, **record}
        for arm, record in ((SFT, untouched), (weighted(with_sft(HARD)), dpo), (CHOSEN, chosen))
    ]
    table = "\n".join(report.arms_table(report.gather(records, "final"), "test", "harder"))
    assert f"| {100 * chosen['solved']['test'].count('1') / 40:.1f} |" in table
    running.sets_of.cache_clear()
