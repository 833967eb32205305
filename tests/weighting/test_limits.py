"""The numbers that docs/weighting.md gives: defaults, and what lies on either side of a limit."""

from dataclasses import asdict

import pytest

from tests.weighting.test_diagnostics import notes
from trl_weighted_dpo.weighting import WeightingConfig


def test_the_defaults_are_the_documented_ones():
    assert asdict(WeightingConfig()) == {
        "scheme": "auto", "lambda_": 0.3, "clip_min": 0.2, "clip_max": 5.0, "severity": 1.0, "confidence_gap": 1.0,
        "nll": 1.0, "normalize_column": False, "control_of": "verifier", "shuffle_seed": 42,
        "score_direction": "rising",
    }  # fmt: skip


@pytest.mark.parametrize(("values", "is_noted"), [([1, 1, 0, 0], False), ([1, 1, 1, 1, 0, 0, 0, 0, 0], True)])
def test_an_effective_sample_size_under_one_half_is_noted(values, is_noted):
    assert any("The effective sample size" in note for note in notes(values, clip_min=0.0).notes) == is_noted


@pytest.mark.parametrize(("count", "is_noted"), [(20, False), (21, True)])
def test_more_than_a_fifth_at_the_bounds_is_noted(count, is_noted):
    summary = notes([0.01] * count + [0.5] * (100 - count))

    assert summary.at_clip_min == count / 100
    assert any("sit at clip_min" in note for note in summary.notes) == is_noted
