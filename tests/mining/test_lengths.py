"""Matched lengths: the difference in length is distributed the same both ways."""

import random

from hypothesis import given
from hypothesis import strategies as st

from trl_weighted_dpo.mining.lengths import BIN_WIDTH, log_ratio, matched_pairs


def test_equal_lengths_are_kept_and_a_surplus_is_dropped_easiest_first():
    differences = [0.0, 0.05, 0.06, 0.07, -0.02]
    keep = matched_pairs(differences, hardness=[0.1, 0.2, 0.9, 0.5, 0.1], ties=[0, 1, 2, 3, 4])
    assert keep == [True, False, True, False, True]


def test_ties_decide_among_equally_hard_pairs():
    assert matched_pairs([0.05, 0.05, -0.05], [0.5] * 3, ties=[9, 1, 5]) == [False, True, True]


@given(st.lists(st.floats(-3, 3), max_size=60), st.integers(0, 9))
def test_each_bin_has_as_many_longer_as_shorter(differences, seed):
    rng = random.Random(seed)
    hardness = [rng.random() for _ in differences]
    keep = matched_pairs(differences, hardness, list(range(len(differences))))
    bins = {}
    for difference, is_kept in zip(differences, keep, strict=True):
        if is_kept and difference:
            bins.setdefault(int(abs(difference) / BIN_WIDTH), []).append(difference > 0)
    assert all(2 * sum(sides) == len(sides) for sides in bins.values())


def test_log_ratio_is_antisymmetric_and_finite():
    assert log_ratio(3, 7) == -log_ratio(7, 3)
    assert log_ratio(0, 0) == 0.0
