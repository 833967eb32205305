"""Each scheme by hand: its formula, what it needs, how evaluation pairs are weighed, controls and plugins."""

import math
import re
import sys

import numpy as np
import pytest

from trl_weighted_dpo import plugins
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.settings.weighting import CONTROLS
from trl_weighted_dpo.weighting import RAW_WEIGHTS, SCHEMES, WeightingConfig, compute_weights, weight_columns

LINEAR = {"lambda_": 1.0, "clip_min": 0.0, "clip_max": 1e6}
"""Settings under which w = r / mean(r)."""


def normalised(columns, scheme, **settings):
    """r / mean(r) of a scheme."""
    size = len(next(iter(columns.values())))
    return compute_weights(columns, size, WeightingConfig(scheme=scheme, **{**LINEAR, **settings}))[0]


def over_mean(raw):
    return pytest.approx(np.array(raw) / np.mean(raw), rel=1e-12)


def test_the_schemes_are_the_formulas_the_controls_and_the_ready_ones():
    assert set(SCHEMES) == {"auto", "uniform", "column", *RAW_WEIGHTS, *CONTROLS}


@pytest.mark.parametrize(
    ("scheme", "column"),
    [
        ("wrongness", "rejected_wrongness"),
        ("severity", "rejected_severity"),
        ("absurdity", "rejected_absurdity"),
    ],
)
def test_schemes_of_one_signal_are_that_signal(scheme, column):
    assert normalised({column: [0.25, 0.5, None, 1.0]}, scheme) == over_mean([0.25, 0.5, 0.0, 1.0])


def test_confidence_gap_counts_only_what_the_model_prefers_wrongly():
    columns = {"chosen_confidence": [0.5, 0.9, 0.2, None], "rejected_confidence": [0.75, 0.1, 0.3, 0.9]}
    assert normalised(columns, "confidence_gap") == over_mean([0.25, 0.0, 0.1, 0.0])


def test_perplexity_is_the_nll_by_its_median_capped_at_three():
    assert normalised({"rejected_nll": [1.0, 2.0, 9.0, None]}, "perplexity") == over_mean([0.5, 1.0, 3.0, 0.0])


def test_perplexity_by_a_median_of_zero_is_refused():
    with pytest.raises(ValueError, match="the median of 'rejected_nll' is 0"):
        normalised({"rejected_nll": [0.0, 0.0, 1.0]}, "perplexity")


def test_reward_margin_is_the_probability_that_the_rejected_one_is_preferred():
    expected = [1 / (1 + math.exp(m)) for m in (-2.0, 0.0, 3.0)]
    assert normalised({"reward_margin": [-2.0, 0.0, 3.0]}, "reward_margin") == over_mean(expected)


def test_reward_margins_of_any_size_are_weighed():
    assert normalised({"reward_margin": [-1e30, 1e30, None]}, "reward_margin").tolist() == [3.0, 0.0, 0.0]


def test_score_margin_weighs_clear_preferences_or_close_ones():
    scores = {"score_chosen": [8.0, 5.0, 5.0, None], "score_rejected": [5.0, 5.5, 4.0, 1.0]}
    assert normalised(scores, "score_margin") == over_mean([3.0, 0.0, 1.0, 0.0])
    falling = [1 / (1 + math.exp(m)) for m in (3.0, -0.5, 1.0)]
    assert normalised(scores, "score_margin", score_direction="falling") == over_mean([*falling, 0.0])
    with pytest.raises(ValueError, match=r"no column 'score_chosen' and no 'score_rejected' .*Bring both scores"):
        normalised({"rejected_nll": [1.0]}, "score_margin")


def test_other_schemes_do_not_look_at_scores():
    columns = {"rejected_wrongness": "float64", "score_chosen": "string"}
    assert weight_columns(WeightingConfig(), columns) == ["rejected_wrongness"]
    assert weight_columns(WeightingConfig("score_margin"), columns) == ["rejected_wrongness", "score_chosen"]


SIGNALS = {
    "rejected_wrongness": [0.2, 0.8, 1.0, 0.0],
    "chosen_confidence": [0.5, 0.5, 0.9, None],
    "rejected_confidence": [0.7, 0.4, 0.9, 0.8],
    "rejected_nll": [1.0, 2.0, 9.0, None],
}


def test_verifier_adds_severity_gap_and_nll():
    weights = normalised(SIGNALS, "verifier", severity=2.0, confidence_gap=10.0, nll=1.0)
    assert weights == over_mean([0.4 + 2.0 + 0.5, 1.6 + 0.0 + 1.0, 2.0 + 0.0 + 3.0, 0.0])


def test_verifier_takes_severity_where_there_is_one_and_else_wrongness():
    columns = {"rejected_wrongness": [0.9, 1.0, 1.0], "rejected_severity": [0.5, None, 0.25]}
    assert normalised(columns, "verifier") == over_mean([0.5, 0.0, 0.25])
    columns["rejected_severity"] = [None, None, None]
    assert normalised(columns, "verifier") == over_mean([0.9, 1.0, 1.0])


def test_the_column_that_stands_for_severity_is_recorded():
    def recorded(columns, **settings):
        return compute_weights(columns, 2, WeightingConfig(**settings))[1].severity_column

    wrongness, severity = {"rejected_wrongness": [0.9, 1.0]}, {"rejected_severity": [0.5, None]}
    assert recorded({**wrongness, **severity}) == "rejected_severity"
    assert recorded({**wrongness, "rejected_severity": [None, None]}) == "rejected_wrongness"
    assert recorded({"rejected_nll": [1.0, 2.0]}) is None
    assert recorded(wrongness, scheme="inverse") == "rejected_wrongness"
    assert recorded({**wrongness, **severity}, scheme="severity") is None


def test_evaluation_takes_the_signal_that_training_took():
    """Evaluation pairs without severity do not fall back to wrongness, which has another scale."""
    train = {"rejected_severity": [0.25, 0.75], "rejected_nll": [1.0, 1.0]}
    config = WeightingConfig(**LINEAR)
    _, statistics, _ = compute_weights(train, 2, config)
    assert statistics.raw_mean == 1.5
    evaluation = {"rejected_wrongness": [1.0], "rejected_severity": [None], "rejected_nll": [2.0]}
    assert compute_weights(evaluation, 1, config, statistics)[0] == pytest.approx([2.0 / 1.5])


def test_evaluation_without_what_the_scheme_reads_weighs_one():
    train = {"rejected_severity": [0.25, 0.75], "rejected_absurdity": [0.1, 0.2]}
    _, statistics, _ = compute_weights(train, 2, WeightingConfig())
    weights, _, summary = compute_weights(
        {"rejected_absurdity": [0.3]}, 1, WeightingConfig(), statistics, "the eval set"
    )
    assert weights.tolist() == [1.0]
    assert summary.notes == ("There is no signal that the scheme 'verifier' takes in the eval set: its pairs weigh 1.",)


@pytest.mark.parametrize("scheme", ["verifier", "perplexity", "inverse", "confidence_gap"])
def test_training_pairs_as_evaluation_pairs_weigh_the_same(scheme):
    config = WeightingConfig(scheme=scheme)
    weights, statistics, _ = compute_weights(SIGNALS, 4, config)
    again, kept, _ = compute_weights(SIGNALS, 4, config, statistics)
    assert again.tolist() == weights.tolist()
    assert kept is statistics


def test_inverse_is_one_over_the_normalised_raw_weight():
    raw = np.array([0.2, 0.4, 0.6])
    weights = normalised({"rejected_severity": raw}, "inverse", clip_max=10.0, control_of="severity")
    assert weights == over_mean(raw.mean() / raw)


def test_inverse_of_a_raw_weight_of_zero_is_at_the_upper_bound():
    raw = [0.0] + [0.5] * 99
    weights = normalised({"rejected_severity": raw}, "inverse", clip_max=4.0, control_of="severity")
    mean = 49.5 / 100
    turned = np.array([4.0] + [mean / 0.5] * 99)
    u = np.minimum(turned / turned.mean(), 4.0)
    assert weights == pytest.approx(u / u.mean(), rel=1e-12)


def test_inverse_weighs_evaluation_pairs_by_the_training_sets_means():
    config = WeightingConfig(scheme="inverse", **LINEAR)
    _, statistics, _ = compute_weights({"rejected_severity": [0.25, 0.75]}, 2, config)
    # mean(r) = 0.5, so that r' is 2 and 2/3, with mean 4/3.
    weights, _, _ = compute_weights({"rejected_severity": [1.0]}, 1, config, statistics)
    assert weights == pytest.approx([0.5 / (4 / 3)])


def test_shuffled_gives_the_same_weights_to_other_pairs():
    columns = {"rejected_severity": np.linspace(0.01, 1.0, 200)}
    straight, statistics, summary = compute_weights(columns, 200, WeightingConfig(scheme="verifier"))
    shuffled, shuffled_statistics, shuffled_summary = compute_weights(columns, 200, WeightingConfig(scheme="shuffled"))
    assert sorted(shuffled) == sorted(straight)
    assert shuffled.tolist() != straight.tolist()
    assert abs(np.corrcoef(straight, shuffled)[0, 1]) < 0.2
    assert shuffled_statistics.raw_mean == statistics.raw_mean
    assert shuffled_summary.histogram == summary.histogram


def test_shuffled_depends_on_its_seed_alone():
    columns = {"rejected_severity": np.linspace(0.01, 1.0, 10)}

    def shuffled(seed):
        np.random.seed(seed + 100)  # The state of the process does not matter.
        return compute_weights(columns, 10, WeightingConfig(scheme="shuffled", shuffle_seed=seed, **LINEAR))[0]

    # numpy promises that this permutation never changes.
    order = [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]
    assert shuffled(42) == over_mean(columns["rejected_severity"][order])
    assert shuffled(42).tolist() == shuffled(42).tolist() != shuffled(43).tolist()


def test_all_weights_equal_after_an_inverse_of_zeros():
    weights = normalised({"rejected_severity": [0.0, 0.0]}, "inverse")
    assert weights.tolist() == [1.0, 1.0]


class Brought:
    """A plugin with formulas, good and bad."""

    @staticmethod
    @plugins.hookimpl
    def weighted_dpo_raw_weights():
        return {
            "test_nearness": lambda columns, config: np.nan_to_num(columns["proximity"]) ** 2,
            "test_short": lambda columns, config: np.ones(2),
            "test_negative": lambda columns, config: columns["proximity"] - 0.5,
            "test_unknown": lambda columns, config: columns["proximity"],
            "test_dividing": lambda columns, config: 1 / 0,
            "test_exiting": lambda columns, config: sys.exit(3),
            "test_texts": lambda columns, config: ["heavy"],
            "test_changing": lambda columns, config: np.multiply(columns["proximity"], 2, out=columns["proximity"]),
        }


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    plugins.register(Brought, "brought")


def test_a_plugins_formula_is_a_scheme(plugin):
    columns = {"proximity": [0.5, 1.0, None], "rejected_nll": [1.0, 1.0, 1.0]}
    assert normalised(columns, "test_nearness") == over_mean([0.25, 1.0, 0.0])
    assert normalised(columns, "inverse", control_of="test_nearness", clip_max=5.0).argmin() == 1


@pytest.mark.parametrize(
    ("scheme", "error", "message"),
    [
        ("test_short", ValueError, r"'test_short' gave raw weights of shape \(2,\) for 3 pairs"),
        ("test_negative", SchemaError, r"row 1, column 'raw weight of the scheme test_negative': got -0\.25\."),
        ("test_unknown", SchemaError, r"row 2, column 'raw weight of the scheme test_unknown': got nan\. A raw weight"),
    ],
)
def test_bad_raw_weights_of_a_plugin_are_named(plugin, scheme, error, message):
    with pytest.raises(error, match=message):
        normalised({"proximity": [1.0, 0.25, None]}, scheme)


def test_a_plugin_that_misses_a_column_says_which(plugin):
    with pytest.raises(
        ValueError, match=r"'test_nearness' .* looked for 'proximity', .* there are: rejected_nll, relative_nll"
    ):
        normalised({"rejected_nll": [1.0]}, "test_nearness")


def test_unknown_schemes_list_those_of_plugins(plugin):
    with pytest.raises(ValueError, match=r"Unknown weighting scheme 'hard'\. Choose one of auto, .*test_nearness"):
        WeightingConfig(scheme="hard")


def test_a_plugin_is_given_every_column_of_numbers(plugin):
    types = {"prompt": "string", "proximity": "double", "kind": "string", "hardness": "float", "pair_weight": "double"}
    assert weight_columns(WeightingConfig(scheme="test_nearness"), types) == ["proximity", "hardness"]
    assert weight_columns(WeightingConfig(), types) == []


@pytest.mark.parametrize(
    ("scheme", "cause"),
    [
        ("test_dividing", "ZeroDivisionError: division by zero"),
        ("test_exiting", "SystemExit: 3"),
        ("test_texts", "ValueError: could not convert string to float: 'heavy'"),
        ("test_changing", "ValueError: output array is read-only"),
    ],
)
def test_a_formula_that_fails_is_named_with_its_plugin_and_the_cause(plugin, scheme, cause):
    message = f"'{scheme}' (of brought (no version): {scheme}) failed: {cause}. Mend, update or uninstall the plugin"
    with pytest.raises(ValueError, match=re.escape(message)):
        normalised({"proximity": [1.0, 0.25, 0.5]}, scheme)


def test_verifier_says_that_an_nll_whose_median_is_zero_counts_nothing():
    columns = {"rejected_severity": [0.4, 0.5, 0.6], "rejected_nll": [0.0, 0.0, 9.0]}
    _, _, summary = compute_weights(columns, 3, WeightingConfig())
    assert "The median of 'rejected_nll' is 0, so nothing can be measured by it: it counts 0" in summary.notes[-1]
    assert "median" not in str(compute_weights(columns, 3, WeightingConfig(nll=0.0))[2].notes)
