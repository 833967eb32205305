"""Evaluation pairs that lack what the training set has: weight 1, or a note that names the signals."""

import pytest

from trl_weighted_dpo import plugins
from trl_weighted_dpo.weighting import WeightingConfig, compute_weights

NEEDED = {
    "wrongness": ("rejected_wrongness",),
    "severity": ("rejected_severity",),
    "absurdity": ("rejected_absurdity",),
    "confidence_gap": ("chosen_confidence", "rejected_confidence"),
    "perplexity": ("rejected_nll",),
    "reward_margin": ("reward_margin",),
    "score_margin": ("score_chosen", "score_rejected"),
}
TRAIN = {name: [0.2, 0.4, 0.9] for names in NEEDED.values() for name in names} | {"chosen_confidence": [0.1, 0.1, 0.2]}


class Brought:
    @staticmethod
    @plugins.hookimpl
    def weighted_dpo_raw_weights():
        return {"test_hard": lambda columns, config: columns["hardness"]}


def evaluated(columns, size, config, train=TRAIN):
    _, statistics, _ = compute_weights(train, 3, config)
    weights, _, summary = compute_weights(columns, size, config, statistics, "the eval dataset")
    return weights.tolist(), summary.notes


@pytest.mark.parametrize("control", [None, "inverse"])
@pytest.mark.parametrize(("scheme", "missing"), [(scheme, name) for scheme, names in NEEDED.items() for name in names])
def test_a_needed_column_without_values_weighs_one_and_says_so(scheme, missing, control):
    config = WeightingConfig(scheme=control or scheme, control_of=scheme)
    columns = {name: values[:2] for name, values in TRAIN.items()} | {missing: [None, None]}
    expected = f"There is no signal that the scheme {config.scheme!r} takes in the eval dataset: its pairs weigh 1."
    assert evaluated(columns, 2, config) == ([1.0, 1.0], (expected,))
    del columns[missing]
    assert evaluated(columns, 2, config) == ([1.0, 1.0], (expected,))


def test_verifier_names_the_signals_that_are_missing():
    columns = {"rejected_severity": [0.2, 0.9], "rejected_wrongness": [0.5, 0.5]}
    weights, notes = evaluated(columns, 2, WeightingConfig())
    assert max(weights) < 1.0
    assert notes == (
        "Signals that the training set has are missing in the eval dataset: chosen_confidence, rejected_confidence, "
        "rejected_nll. They count 0 there, so that its raw weights are lower than the training set's.",
    )


def test_verifier_without_any_of_trainings_signals_weighs_one():
    train = {"rejected_severity": [0.2, 0.4, 0.9]}
    # Training had no NLL, so that it counts in no raw weight.
    weights, notes = evaluated({"rejected_nll": [0.5, 2.0]}, 2, WeightingConfig(), train)
    assert weights == [1.0, 1.0]
    assert notes == ("There is no signal that the scheme 'verifier' takes in the eval dataset: its pairs weigh 1.",)


def test_evaluation_pairs_with_all_signals_give_no_note():
    assert evaluated({name: values[:2] for name, values in TRAIN.items()}, 2, WeightingConfig())[1] == ()


def test_a_plugins_scheme_names_the_columns_that_are_missing(monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    plugins.register(Brought, "brought")
    train = {"hardness": [0.5, 0.5, 1.0], "rejected_nll": [1.0, 1.0, 1.0]}
    _, notes = evaluated({"hardness": [0.5]}, 1, WeightingConfig(scheme="test_hard"), train)
    assert notes == (
        "Signals that the training set has are missing in the eval dataset: rejected_nll. They count 0 there, so that "
        "its raw weights are lower than the training set's, if 'test_hard' takes them.",
    )
