"""Hardness: confidence × proximity × flaw in closed form, monotone, in [0, 1]."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trl_weighted_dpo.mining.hardness import (
    HardnessConfig,
    checked_hardness,
    flaw,
    hardness_signals,
    product,
    proximity,
)
from trl_weighted_dpo.mining.outline import ProximityParts

share = st.floats(0.0, 1.0)
NEAR = ProximityParts(steps=0.8, equations=0.5, prefix=0.25, answer=0.9)


def signals(confidence=0.5, near=NEAR, wrongness=0.9, absurdity=0.3, severity=0.6, **settings):
    return hardness_signals(confidence, near, wrongness, absurdity, severity, HardnessConfig(**settings))


def test_proximity_is_the_weighted_mean_of_what_is_known():
    assert proximity(NEAR, HardnessConfig()) == pytest.approx(0.3 * 0.8 + 0.3 * 0.5 + 0.2 * 0.25 + 0.2 * 0.9)
    unknown = ProximityParts(steps=0.8, equations=None, prefix=0.25, answer=None)
    assert proximity(unknown, HardnessConfig()) == pytest.approx((0.3 * 0.8 + 0.2 * 0.25) / 0.5)
    assert proximity(unknown, HardnessConfig(steps=0, prefix=0)) == 0.8


def test_flaw_is_the_weighted_mean_of_what_is_known():
    assert flaw(0.9, 0.6, 0.3, HardnessConfig()) == pytest.approx(0.6)
    assert flaw(0.9, 0.6, 0.3, HardnessConfig(wrongness=0, absurdity=2)) == pytest.approx((0.6 + 0.6) / 3)
    assert flaw(None, 0.6, None, HardnessConfig()) == 0.6
    assert flaw(None, None, None, HardnessConfig()) == 1.0


def test_the_product_has_a_floor_under_confidence():
    near = proximity(NEAR, HardnessConfig())
    assert product(signals(confidence=0.5)) == pytest.approx(0.5 * near * 0.6)
    assert product(signals(confidence=1e-9)) == pytest.approx(0.1 * near * 0.6)
    assert product(signals(confidence=None)) == pytest.approx(near * 0.6)


def test_a_power_of_0_leaves_a_factor_out():
    assert product(signals(confidence_power=0, flaw_power=0)) == pytest.approx(proximity(NEAR, HardnessConfig()))
    assert product(signals(proximity_power=2)) == pytest.approx(0.5 * proximity(NEAR, HardnessConfig()) ** 2 * 0.6)


@given(share, share, share, share, share, share)
def test_hardness_lies_in_0_to_1_and_never_falls_when_a_signal_rises(conf, steps, answer, wrong, absurd, more):
    def hardness(conf, steps, answer, wrong, absurd):
        return product(signals(conf, ProximityParts(steps, 0.5, 0.5, answer), wrong, absurd, wrong))

    values = [conf, steps, answer, wrong, absurd]
    base = hardness(*values)
    assert 0.0 <= base <= 1.0
    for place, value in enumerate(values):
        raised = [*values[:place], value + (1 - value) * more, *values[place + 1 :]]
        assert hardness(*raised) >= base - 1e-12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence_floor": 1.5}, r"hardness\.confidence_floor is 1\.5\. Give a number in \[0, 1\]"),
        ({"steps": -1}, r"hardness\.steps is -1\. Give a number of at least 0"),
        ({"flaw_power": float("nan")}, r"hardness\.flaw_power is nan\. Give a number"),
        ({"steps": 0, "equations": 0, "prefix": 0, "answer": 0}, "of proximity are all 0"),
        ({"wrongness": 0, "severity": 0, "absurdity": 0}, "of the flaw are all 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        HardnessConfig(**settings)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), None])
def test_a_function_that_gives_no_share_is_named(value):
    with pytest.raises(ValueError, match=r"The hardness 'mine' gave .* number in \[0, 1\]"):
        checked_hardness(lambda _: value, signals(), "mine")


def test_a_function_that_fails_is_named():
    with pytest.raises(ValueError, match=r"The hardness 'mine' failed for .*: ZeroDivisionError: .*Mend the plugin"):
        checked_hardness(lambda _: 1 / 0, signals(), "mine")
