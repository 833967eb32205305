import math
import random

import pytest

from trl_weighted_dpo.verifier.probabilities import auroc, brier_score, calibration_error, log_loss, reliability, wins


def test_log_loss_and_brier_score_in_closed_form() -> None:
    probabilities, labels = [0.9, 0.2, 0.5], [True, False, True]

    assert log_loss(probabilities, labels) == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3)
    assert brier_score(probabilities, labels) == pytest.approx((0.01 + 0.04 + 0.25) / 3)


def test_a_certain_mistake_has_a_large_but_finite_loss() -> None:
    assert log_loss([1.0, 0.0], [False, True]) == pytest.approx(-math.log(1e-15), rel=1e-3)
    assert log_loss([1.0, 0.0], [True, False]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([0.5, 0.5, 0.5], [0, 1, 1], 0.5),
        ([0.0, 0.0, 1.0, 1.0], [0, 1, 0, 1], 0.5),
        ([0.0, 0.5, 0.5, 1.0], [0, 0, 1, 1], 0.875),
        ([3, 1, 2], [1, 0, 0], 1.0),
        ([0.2, 0.3], [1, 1], None),
        ([], [], None),
    ],
)
def test_auroc_by_hand(scores, labels, expected) -> None:
    assert auroc(scores, labels) == expected


def test_auroc_is_the_share_of_pairs_ranked_right() -> None:
    rng = random.Random(0)
    scores, labels = [rng.choice(range(6)) for _ in range(200)], [rng.random() < 0.3 for _ in range(200)]
    positives = [score for score, label in zip(scores, labels, strict=True) if label]
    negatives = [score for score, label in zip(scores, labels, strict=True) if not label]
    won = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)

    assert wins(scores, labels) == (won, len(positives) * len(negatives))


def test_bins_hold_equal_counts_from_small_to_large() -> None:
    probabilities = [index / 100 for index in range(100)]
    labels = [index % 4 == 0 for index in range(100)]
    bins = reliability(probabilities, labels, bins=4)

    assert [bin.count for bin in bins] == [25, 25, 25, 25]
    assert [bin.predicted for bin in bins] == pytest.approx([0.12, 0.37, 0.62, 0.87])
    assert [bin.observed for bin in bins] == pytest.approx([7 / 25, 6 / 25, 6 / 25, 6 / 25])
    expected = (abs(0.12 - 0.28) + abs(0.37 - 0.24) + abs(0.62 - 0.24) + abs(0.87 - 0.24)) / 4
    assert calibration_error(probabilities, labels, bins=4) == pytest.approx(expected)


def test_equal_probabilities_share_a_bin_so_that_their_order_does_not_matter() -> None:
    probabilities, labels = [0.3] * 10 + [0.7] * 10, [True] * 3 + [False] * 7 + [True] * 7 + [False] * 3

    assert [(bin.count, bin.observed) for bin in reliability(probabilities, labels)] == [(10, 0.3), (10, 0.7)]
    assert calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-12)
