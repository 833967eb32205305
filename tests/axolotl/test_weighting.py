"""The weighting settings of the `weighted_dpo:` block."""

import pytest
from pydantic import ValidationError

from trl_weighted_dpo import plugins
from trl_weighted_dpo.axolotl.args import WeightedDPOBlockConfig


class Brought:
    @staticmethod
    @plugins.hookimpl
    def weighted_dpo_raw_weights():
        return {"test_ones": lambda columns, config: next(iter(columns.values())) * 0 + 1}


def test_schemes_of_the_package_and_of_plugins_are_accepted(monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    assert WeightedDPOBlockConfig(scheme="perplexity").scheme == "perplexity"
    plugins.register(Brought, "brought")
    settings = WeightedDPOBlockConfig(scheme="inverse", control_of="test_ones", shuffle_seed=3)
    assert (settings.scheme, settings.control_of, settings.shuffle_seed) == ("inverse", "test_ones", 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "hard"}, "Unknown weighting scheme 'hard'. Choose one of auto, uniform, column, verifier"),
        ({"control_of": "uniform"}, "Choose one of verifier, wrongness"),
        ({"shuffle_seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_no_one_brings_is_refused_with_the_names(settings, message):
    with pytest.raises(ValidationError) as caught:
        WeightedDPOBlockConfig(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "settings",
    [("clip_max",), ("severity",), ("nll",), ("hardness", "wrongness"), ("hardness", "steps")],
    ids=".".join,
)
def test_numbers_are_finite(settings, value):
    for name in reversed(settings):
        value = {name: value}
    with pytest.raises(ValidationError, match="finite number"):
        WeightedDPOBlockConfig(**value)
