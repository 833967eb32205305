"""Estimators, intervals and tests, against closed forms, enumeration and published examples."""

from itertools import combinations
from math import comb, sqrt

import numpy as np
import pytest
from scipy.stats import bootstrap

from trl_weighted_dpo.evaluation.statistics import (
    bootstrap_interval,
    difference,
    estimate,
    holm,
    mcnemar,
    pass_at_k,
    wilson_interval,
    with_holm,
)


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_is_the_share_of_all_subsets_with_a_correct_sample(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_pass_at_k_does_not_overflow():
    assert pass_at_k(2000, 3, 1000) == pytest.approx(1 - comb(1997, 1000) / comb(2000, 1000), rel=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_is_no_sample(n, c, k):
    with pytest.raises(ValueError, match=r"it needs 0 <= c <= n and 1 <= k <= n"):
        pass_at_k(n, c, k)


def test_wilson_interval_of_a_published_example():
    """8 of 10 at 95 %: 0.4902 to 0.9433."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)


@pytest.mark.parametrize(("correct", "total"), [(0, 20), (20, 20), (7, 31), (601, 1352)])
def test_wilson_interval_is_its_formula(correct, total):
    z, p = 1.959963984540054, correct / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    assert wilson_interval(correct, total) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_no_interval_of_nothing():
    assert wilson_interval(0, 0) is None
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([0.5]) is None


def test_resampling_says_nothing_where_all_problems_agree():
    assert bootstrap_interval([0.0] * 50) is None
    assert bootstrap_interval([1.0] * 50 + [0.5]) is not None


def test_bootstrap_interval_is_scipys_paired_one_of_the_difference():
    rng = np.random.default_rng(3)
    first, second = rng.random(400), rng.random(400) + 0.1
    ours = bootstrap_interval(second - first, seed=5)
    theirs = bootstrap(
        (second, first), lambda a, b, axis: np.mean(a - b, axis=axis), paired=True, vectorized=True,
        n_resamples=10_000, method="percentile", rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-3)
    # Of a mean of many values it is that of the normal approximation.
    half = 1.96 * (second - first).std() / sqrt(400)
    middle = (second - first).mean()
    assert ours == pytest.approx((middle - half, middle + half), abs=2e-3)


def test_bootstrap_interval_repeats_for_a_seed_and_whatever_the_batch(monkeypatch):
    values = np.random.default_rng(0).random(50)
    expected = bootstrap_interval(values, resamples=999, seed=1)
    assert bootstrap_interval(values, resamples=999, seed=1) == expected
    assert bootstrap_interval(values, resamples=999, seed=2) != expected
    monkeypatch.setattr("trl_weighted_dpo.evaluation.statistics._BATCH_VALUES", 70)
    assert bootstrap_interval(values, resamples=999, seed=1) == expected


def test_mcnemar_of_a_textbook_table():
    """Approval of a prime minister in two surveys (Agresti, Categorical Data Analysis): 150 and 86 changed their mind,
    exact p = 3.716e-05, as R's `exact2x2::mcnemar.exact` has it."""
    assert mcnemar(86, 150) == mcnemar(150, 86) == pytest.approx(3.716e-05, abs=5e-9)


def test_mcnemar_is_the_sign_test():
    assert mcnemar(11, 1) == pytest.approx(2 * (1 + 12) / 2**12)


def test_mcnemar_without_discordant_problems():
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1.0


def test_holm_is_that_of_rs_p_adjust():
    """`p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_among_comparisons_that_are_tested():
    adjusted = with_holm([{"p": 0.01}, {"difference": 0.5}, {"p": 0.03}])
    assert adjusted == [{"p": 0.01, "p_holm": 0.02}, {"difference": 0.5}, {"p": 0.03, "p_holm": 0.03}]


def test_estimate_of_right_and_wrong_and_of_shares():
    binary = estimate(np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 0, 0]), True, 0.95, 1000, 0)
    assert binary["correct"] == 8
    assert binary["value"] == 0.8
    assert binary["method"] == "wilson"
    assert binary["interval"] == pytest.approx([0.4902, 0.9433], abs=5e-5)
    shares = np.array([0.25, 0.75, 0.5, 1.0])
    of_shares = estimate(shares, False, 0.9, 1000, 4)
    assert of_shares == {
        "problems": 4, "value": 0.625, "interval": list(bootstrap_interval(shares, 0.9, 1000, 4)), "method": "bootstrap"
    }  # fmt: skip


def test_difference_with_mcnemars_table():
    first = np.array([1.0] * 30 + [1.0] * 1 + [0.0] * 11 + [0.0] * 8)
    second = np.array([1.0] * 30 + [0.0] * 1 + [1.0] * 11 + [0.0] * 8)
    found = difference(first, second, True, 0.95, 2000, 0)
    assert {name: found[name] for name in ("both", "gained", "lost", "neither")} == {
        "both": 30, "gained": 11, "lost": 1, "neither": 8
    }  # fmt: skip
    assert found["difference"] == pytest.approx(0.2)
    assert found["p"] == pytest.approx(2 * 13 / 2**12)
    low, high = found["interval"]
    assert 0 < low < 0.2 < high
    assert "p" not in difference(first * 0.5, second, False, 0.95, 2000, 0)
