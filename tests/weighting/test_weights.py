"""Signals → weights: the formula by hand, which scheme is in force, and bad input."""

import numpy as np
import pyarrow as pa
import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.weighting import (
    WeightingConfig,
    check_signals,
    check_weights,
    compute_weights,
    effective_sample_size,
    resolve_scheme,
)

SIGNALS = {
    "rejected_wrongness": [0.2, 0.8, 1.0, 0.0],
    "chosen_confidence": [0.5, 0.5, 0.9, None],
    "rejected_confidence": [0.7, 0.4, 0.9, 0.8],
    "rejected_nll": [1.0, 2.0, 9.0, None],
}


def test_weights_by_hand():
    columns = {"rejected_wrongness": [0.01, 0.01, 0.01, 0.01, 0.01, 0.95]}
    weights, statistics, summary = compute_weights(columns, 6, WeightingConfig(lambda_=0.5))
    u = np.array([0.2] * 5 + [5.0])  # 0.01 / mean 0.16667 = 0.06 and 0.95 / 0.16667 = 5.7, clipped
    interpolated = 1 + 0.5 * (u - 1)
    assert weights == pytest.approx(interpolated / interpolated.mean(), rel=1e-12)
    assert statistics.raw_mean == pytest.approx(1 / 6)
    assert (summary.at_clip_min, summary.at_clip_max) == pytest.approx((5 / 6, 1 / 6))
    assert summary.ess == pytest.approx(weights.sum() ** 2 / (6 * (weights**2).sum()))


def test_median_of_nll_is_the_training_sets():
    _, statistics, _ = compute_weights(SIGNALS, 4, WeightingConfig())
    assert statistics.nll_median == 2.0


def test_evaluation_pairs_use_the_training_statistics():
    train = {"rejected_wrongness": [0.1, 0.2, 0.3]}
    config = WeightingConfig(lambda_=1.0)
    _, statistics, _ = compute_weights(train, 3, config)
    weights, kept, _ = compute_weights({"rejected_wrongness": [0.4]}, 1, config, statistics)
    assert weights == pytest.approx([2.0])
    assert kept is statistics


def test_all_signals_zero_give_uniform_weights():
    weights, _, _ = compute_weights({"rejected_wrongness": [0.0, 0.0]}, 2, WeightingConfig())
    assert weights.tolist() == [1.0, 1.0]


def test_a_ready_column_is_untouched_and_its_mean_reported():
    weights, _, summary = compute_weights({"weight": [2.0, 0.0, 4]}, 3, WeightingConfig())
    assert weights.tolist() == [2.0, 0.0, 4.0]
    assert summary.scheme == "column"
    assert summary.ess == pytest.approx(36 / (3 * 20))
    assert len(summary.notes) == 1
    assert summary.notes[0].startswith("The mean of the 'weight' column is 2, so the learning rate")


def test_a_ready_column_near_mean_one_is_not_remarked_on():
    assert compute_weights({"weight": [0.95, 1.1]}, 2, WeightingConfig())[2].notes == ()


def test_normalised_column_has_mean_one_and_carries_to_evaluation():
    config = WeightingConfig(normalize_column=True)
    weights, statistics, _ = compute_weights({"weight": [1.0, 3.0]}, 2, config)
    assert weights.tolist() == [0.5, 1.5]
    assert compute_weights({"weight": [4.0]}, 1, config, statistics)[0].tolist() == [2.0]
    with pytest.raises(ValueError, match="all weights are 0"):
        compute_weights({"weight": [0.0]}, 1, config)


@pytest.mark.parametrize("train", [{"weight": [2.0, 2.0]}, {"rejected_wrongness": [0.5, 1.0]}])
def test_evaluation_without_the_columns_weighs_one_and_says_so(train):
    _, statistics, _ = compute_weights(train, 2, WeightingConfig())
    weights, _, summary = compute_weights({}, 2, WeightingConfig(), statistics, "the eval dataset")
    assert weights.tolist() == [1.0, 1.0]
    assert "in the eval dataset: its pairs weigh 1." in summary.notes[0]


@pytest.mark.parametrize(
    ("scheme", "columns", "expected"),
    [
        ("auto", ["weight", "rejected_wrongness"], "column"),
        ("auto", ["prompt", "rejected_nll"], "verifier"),
        ("auto", ["prompt"], "uniform"),
        ("uniform", ["weight"], "uniform"),
        ("verifier", ["weight", "rejected_wrongness"], "verifier"),
        ("column", ["weight"], "column"),
    ],
)
def test_schemes_resolve(scheme, columns, expected):
    assert resolve_scheme(WeightingConfig(scheme=scheme), columns) == expected


def test_naming_a_scheme_overrides_the_column_and_says_so():
    weights, _, summary = compute_weights({"weight": [3.0]}, 1, WeightingConfig(scheme="uniform"))
    assert weights.tolist() == [1.0]
    assert "overrides it" in summary.notes[0]


@pytest.mark.parametrize(
    ("config", "columns", "streaming", "message"),
    [
        (WeightingConfig(scheme="column"), ["prompt"], False, "has no 'weight' column"),
        (WeightingConfig(scheme="verifier"), ["prompt"], False, "has none of the signals"),
        (WeightingConfig(scheme="shuffled"), ["prompt"], False, "'shuffled' of 'verifier' but .* none of the signals"),
        (
            WeightingConfig(scheme="severity"),
            ["prompt", "rejected_nll"],
            False,
            r"no column 'rejected_severity' \(it has: prompt, rejected_nll\)\. Mine the pairs",
        ),
        (
            WeightingConfig(scheme="confidence_gap"),
            ["prompt"],
            False,
            "no column 'chosen_confidence' and no 'rejected_confidence' .*weighted-dpo score",
        ),
        (
            WeightingConfig(scheme="inverse", control_of="reward_margin"),
            ["rejected_nll"],
            False,
            "'inverse' of 'reward_margin' but the training set has no column 'reward_margin'",
        ),
        (WeightingConfig(scheme="shuffled"), ["rejected_nll"], True, "takes ready weights only"),
        (WeightingConfig(scheme="severity"), ["rejected_severity"], True, "takes ready weights only"),
        (WeightingConfig(), ["rejected_wrongness"], True, "takes ready weights only"),
        (WeightingConfig(scheme="verifier"), ["rejected_wrongness"], True, "takes ready weights only"),
        (WeightingConfig(scheme="column", normalize_column=True), ["weight"], True, "whole training set"),
        (WeightingConfig(normalize_column=True), ["weight"], True, "whole training set"),
    ],
)
def test_schemes_that_cannot_be_are_refused(config, columns, streaming, message):
    with pytest.raises(ValueError, match=message):
        resolve_scheme(config, columns, streaming)


def test_streaming_takes_ready_or_no_weights():
    assert resolve_scheme(WeightingConfig(), ["weight"], streaming=True) == "column"
    assert resolve_scheme(WeightingConfig(), ["prompt"], streaming=True) == "uniform"
    assert resolve_scheme(WeightingConfig(scheme="uniform"), ["rejected_nll"], streaming=True) == "uniform"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -0.1, "1.0", True, 1e39, 10**400])
def test_bad_weights_are_named_by_row_and_value(value):
    with pytest.raises(SchemaError, match=r"pairs\.jsonl: row 1, column 'weight': got .*A weight is a finite number"):
        check_weights([1.0, value], "pairs.jsonl")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1.5, "0.5", True])
def test_bad_signals_are_named_by_row_and_value(value):
    with pytest.raises(
        SchemaError, match=r"the train dataset: row 2, column 'rejected_wrongness': .*number in \[0, 1\]"
    ):
        compute_weights({"rejected_wrongness": [0.5, None, value]}, 3, WeightingConfig(), source="the train dataset")


def test_nll_may_pass_one_and_numpy_numbers_are_numbers():
    check_signals({"rejected_nll": [7.0, None, np.float32(2.5)], "rejected_confidence": [np.float64(0.5), 1, None]})
    with pytest.raises(SchemaError, match="column 'rejected_nll': got 'x'"):
        compute_weights({"rejected_nll": ["x"]}, 1, WeightingConfig())


def test_missing_signals_are_noted():
    _, _, summary = compute_weights(
        {"rejected_wrongness": [0.5, 1.0], "rejected_nll": [None, None]}, 2, WeightingConfig()
    )
    missing = "chosen_confidence, rejected_confidence, rejected_nll"
    assert summary.notes == (f"Signals without values count 0 in the raw weight: {missing}.",)


def test_weights_that_come_out_uniform_are_noted():
    _, _, summary = compute_weights({"rejected_absurdity": [0.5, 1.0]}, 2, WeightingConfig())
    assert "All raw weights are 0, so every pair weighs 1: this is uniform DPO." in summary.notes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "hard"}, "Unknown weighting scheme 'hard'. Choose one of auto"),
        ({"lambda_": 1.5}, r"lambda is 1\.5\. Give a number in \[0, 1\]: how far weights move from 1"),
        ({"lambda_": float("nan")}, r"lambda is nan\. Give a number in \[0, 1\]"),
        ({"clip_min": 1.1}, r"clip_min is 1\.1\. Give a number in \[0, 1\]"),
        ({"clip_max": float("inf")}, r"clip_max is inf\. Give a number of at least 1"),
        ({"nll": -1.0}, r"nll is -1\.0\. Give a number of at least 0: coefficient c"),
        (
            {"scheme": "inverse", "control_of": "uniform"},
            "control_of is 'uniform', .* Choose one of verifier, wrongness",
        ),
        ({"shuffle_seed": -1}, r"shuffle_seed is -1\. Give a whole number in \[0, 4294967296\)"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WeightingConfig(**settings)


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="no pairs to weigh"):
        compute_weights({}, 0, WeightingConfig())


def test_effective_sample_size_of_zeros_is_zero():
    assert effective_sample_size(np.zeros(3)) == 0.0


def test_the_first_bad_row_is_named_in_a_column_of_any_kind():
    values = [0.5] * 3000 + [1.5] + [0.5] * 10 + [-1.0]
    for column in (values, np.array(values), pa.array(values), pa.chunked_array([values[:7], values[7:]])):
        with pytest.raises(SchemaError, match=r"row 3000, column 'rejected_severity': got 1\.5\. "):
            check_signals({"rejected_severity": column})


def test_columns_of_any_kind_give_the_same_weights():
    values = [0.5, None, 1.0, 0.25]
    expected, _, _ = compute_weights({"rejected_severity": values}, 4, WeightingConfig())
    for column in (pa.array(values), pa.chunked_array([values[:1], values[1:]]), tuple(values)):
        assert compute_weights({"rejected_severity": column}, 4, WeightingConfig())[0].tolist() == expected.tolist()


def test_a_reward_margin_may_be_negative_but_is_finite():
    check_signals({"reward_margin": [-3.5, None, 2, 1e30]})
    with pytest.raises(SchemaError, match=r"row 1, column 'reward_margin': got -inf\. This signal is a finite number"):
        check_signals({"reward_margin": [0.0, float("-inf")]})


def test_a_named_scheme_whose_column_is_all_null_is_refused():
    columns = {"rejected_severity": [None, None], "rejected_nll": [1.0, 2.0]}
    with pytest.raises(
        ValueError, match=r"needs values in 'rejected_severity', .*\(columns with values: rejected_nll\)"
    ):
        compute_weights(columns, 2, WeightingConfig(scheme="severity"))


def test_signals_that_are_partly_missing_are_counted():
    columns = {"rejected_severity": [0.5, None, 0.5, None]}
    _, _, summary = compute_weights(columns, 4, WeightingConfig(scheme="severity"))
    assert summary.notes[0] == "Signals that are null in some pairs count 0 there: rejected_severity (2 of 4)."
