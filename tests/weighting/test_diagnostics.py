"""What a set of weights looks like, and when a person is told to look closer."""

import numpy as np
import pytest

from trl_weighted_dpo.weighting import WeightingConfig, compute_weights
from trl_weighted_dpo.weighting.diagnostics import (
    Histogram,
    effective_sample_size,
    histogram,
    rank_correlation,
    top_decile_share,
)


def test_a_histogram_counts_in_equal_bins():
    counted = histogram(np.array([0.0, 0.1, 0.5, 0.9, 1.0]), bins=2)
    assert counted == Histogram((0.0, 0.5, 1.0), (2, 3))


@pytest.mark.parametrize("values", [[2.0], [1.0, 1.0], [1.0, 1.0 + 1e-15], [0.0]])
def test_equal_values_fall_into_one_bin(values):
    counted = histogram(np.array(values))
    assert counted.counts == (len(values),)
    assert counted.edges == (values[0], values[-1])


def test_effective_sample_size_by_hand():
    assert effective_sample_size(np.array([3.0, 1.0])) == 16 / (2 * 10)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25


def test_the_heaviest_tenth_by_hand():
    assert top_decile_share(np.array([9.0, *[1.0] * 9])) == 0.5
    # Of 15 pairs, one and a half.
    assert top_decile_share(np.array([1.0] * 13 + [4.0, 3.0])) == pytest.approx((4 + 1.5) / 20)
    assert top_decile_share(np.zeros(4)) == 0.0


@pytest.mark.parametrize("size", [1, 3, 10, 14, 1000])
def test_uniform_weights_give_the_heaviest_tenth_a_tenth(size):
    assert top_decile_share(np.full(size, 2.5)) == pytest.approx(0.1)


def test_rank_correlation_by_hand():
    first = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(first, np.array([1.0, 3.0, 2.0, 9.0])) == pytest.approx(0.8)
    assert rank_correlation(first, 1 / first) == pytest.approx(-1.0)
    assert rank_correlation(first, np.ones(4)) is None


def notes(values, **settings):
    config = WeightingConfig(scheme="severity", **settings)
    return compute_weights({"rejected_severity": values}, len(values), config)[2]


def test_even_raw_weights_give_no_notes():
    assert notes([0.3, 0.4, 0.5, 0.6]).notes == ()


def test_a_small_effective_sample_size_of_u_is_noted():
    summary = notes([0.05] * 8 + [1.0, 1.0], clip_min=0.0)
    assert summary.ess_u == pytest.approx(2.4**2 / (10 * (8 * 0.05**2 + 2)))
    assert summary.ess > 0.8
    assert summary.notes == (
        "The effective sample size of u is 29%, under 50%: few pairs count (the heaviest tenth holds 42%). Look at "
        "them with `weighted-dpo weigh`; if they are not worth it, lower clip_max (5) or choose another scheme.",
    )


def test_many_u_at_a_bound_are_noted():
    summary = notes([0.01] * 3 + [0.5] * 7)
    assert summary.at_clip_min == 0.3
    assert summary.at_clip_max == 0.0
    assert summary.notes == (
        "30% of u sit at clip_min (0.2) and 0% at clip_max (5): more than 20% at a bound, where weights no longer "
        "tell pairs apart. Widen the bounds, or choose a scheme whose signal is graded and known for more pairs.",
    )


def test_both_bounds_count_together():
    summary = notes([0.0] * 3 + [0.03] * 15 + [1.0] * 2)
    assert (summary.at_clip_min, summary.at_clip_max) == (0.15, 0.1)
    assert "15% of u sit at clip_min (0.2) and 10% at clip_max (5)" in summary.notes[-1]


def test_a_fifth_at_a_bound_is_not_noted():
    assert notes([0.01] * 2 + [0.5] * 8).notes == ()


def test_evaluation_pairs_are_not_warned_about():
    config = WeightingConfig(scheme="severity")
    _, statistics, _ = compute_weights({"rejected_severity": [0.4, 0.5]}, 2, config)
    summary = compute_weights({"rejected_severity": [0.01, 0.01]}, 2, config, statistics)[2]
    assert summary.at_clip_min == 1.0
    assert summary.notes == ()


def test_schemes_without_u_have_no_figures_of_it():
    summary = compute_weights({"weight": [0.5, 1.5]}, 2, WeightingConfig())[2]
    assert summary.ess_u is None
    assert summary.histogram_u is None
    assert summary.at_clip_min == summary.at_clip_max == 0.0


def test_bounds_that_leave_no_room_hold_no_u():
    summary = notes([0.1, 0.5, 0.9], clip_min=1.0, clip_max=1.0)
    assert (summary.at_clip_min, summary.at_clip_max) == (0.0, 0.0)
    assert summary.notes == ()


def test_weights_that_are_all_zero_train_on_no_pair():
    summary = compute_weights({"weight": [0.0, 0.0]}, 2, WeightingConfig())[2]
    assert summary.notes == ("All values of the 'weight' column are 0, so no pair is trained on.",)
