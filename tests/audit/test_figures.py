"""The figures of an audit against closed forms and other implementations."""

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from trl_weighted_dpo.audit.contamination import NgramIndex, words
from trl_weighted_dpo.audit.lengths import pooled, within_pairs
from trl_weighted_dpo.audit.signals import robust_deviations


def test_the_share_within_pairs_has_wilsons_interval():
    chosen = [10] * 50
    rejected = [11] * 31 + [9] * 19
    expected = binomtest(31, 50).proportion_ci(method="wilson")
    assert within_pairs(chosen, rejected) == pytest.approx((0.62, expected.low, expected.high))
    assert within_pairs([1, 2, 3, 4], [1, 2, 4, 3])[0] == 0.5


def test_the_pooled_area_is_that_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    chosen, rejected = rng.integers(50, 90, 200), rng.integers(55, 100, 200)
    expected = mannwhitneyu(rejected, chosen).statistic / 200**2
    assert pooled(chosen, rejected)[0] == pytest.approx(expected)


def test_the_pooled_interval_covers_the_truth_for_lengths_that_go_together():
    # Both lengths follow the problem: without their covariance, the interval would be far too wide.
    rng = np.random.default_rng(1)
    areas, widths = [], []
    for _ in range(400):
        problem = rng.normal(size=100)
        chosen = np.rint(1000 * (problem + 0.5 * rng.normal(size=100)))
        rejected = np.rint(1000 * (problem + 0.5 * rng.normal(size=100)))
        area, lower, upper = pooled(chosen, rejected)
        areas.append(area)
        widths.append(upper - lower)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(areas), rel=0.1)


def test_lengths_that_are_always_larger_give_the_bounds():
    assert pooled([1, 2, 3], [4, 5, 6]) == (1.0, 1.0, 1.0)
    assert within_pairs([1, 2, 3], [4, 5, 6])[0::2] == (1.0, 1.0)


def test_deviations_are_those_of_the_median_absolute_deviation():
    weights = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    assert robust_deviations(weights) == pytest.approx(np.abs(weights - 3) / 1.4826)


def test_one_other_weight_among_equal_ones_stands_out():
    weights = np.ones(100)
    assert not robust_deviations(weights).any()
    weights[7] = 1.5
    assert robust_deviations(weights)[7] == pytest.approx(100 / 1.2533)
    assert not np.delete(robust_deviations(weights), 7).any()


def test_words_are_letters_or_numbers():
    assert words("Tom's $1,200.50 is 3/4 of \\frac{x_1}{2}!") == [
        "tom", "s", "1,200.50", "is", "3", "4", "of", "frac", "x", "1", "2",
    ]  # fmt: skip


def test_an_index_finds_every_ngram_and_no_other_order_of_its_words():
    text = words("one two three four five six seven eight nine ten eleven twelve thirteen fourteen")
    index = NgramIndex(13)
    index.add(text, 5)
    index.finish()
    assert index.find(["so", *text[1:]], is_problem=True) == (5, text[1:])
    assert index.find(text[::-1], is_problem=True) is None
    assert index.find(text[:12], is_problem=True) is None


def test_an_index_finds_every_ngram_of_long_texts_and_none_by_chance():
    rng = np.random.default_rng(0)
    vocabulary = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    problems = [list(rng.choice(vocabulary, 40)) for _ in range(50)]
    index = NgramIndex(13)
    for place, problem in enumerate(problems):
        index.add(problem, place)
    index.finish()
    for place, problem in enumerate(problems):
        other = [word.upper() for word in rng.choice(vocabulary, 200)]
        assert index.find(other, is_problem=False) is None
        start, at = int(rng.integers(0, 28)), int(rng.integers(0, 200))
        assert index.find(other[:at] + problem[start : start + 13] + other[at:], is_problem=False) == (
            place,
            problem[start : start + 13],
        )
