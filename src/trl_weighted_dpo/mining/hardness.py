"""How hard a negative is: confidence × proximity × flaw, each in [0, 1]."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trl_weighted_dpo.mining.outline import ProximityParts
from trl_weighted_dpo.settings.mining import BUILT_IN_HARDNESS, PROXIMITY_PARTS, HardnessConfig


@dataclass(frozen=True, slots=True)
class HardnessSignals:
    """What is known of a negative.

    Args:
        confidence (`float`, *optional*): Its confidence, not below the floor, to its power; `None` without scores.
        proximity (`float`): Of the nearest correct candidate, in [0, 1], to its power.
        flaw (`float`): In [0, 1], to its power.
        wrongness, absurdity, severity (`float`, *optional*): Of its profile; `None` where nothing was checked.
    """

    confidence: float | None
    proximity: float
    flaw: float
    wrongness: float | None
    absurdity: float | None
    severity: float | None


HardnessFunction = Callable[[HardnessSignals], float]


def product(signals: HardnessSignals) -> float:
    """`confidence · proximity · flaw`: a hard negative has all three. Without scores, `proximity · flaw`."""
    confidence = 1.0 if signals.confidence is None else signals.confidence
    return confidence * signals.proximity * signals.flaw


HARDNESSES: dict[str, HardnessFunction] = {BUILT_IN_HARDNESS: product}
"""Hardness functions that come with the package, by name."""


def proximity(parts: ProximityParts, config: HardnessConfig) -> float:
    """Weighted mean of the parts that are known, in [0, 1]."""
    known = {name: value for name in PROXIMITY_PARTS if (value := getattr(parts, name)) is not None}
    return _weighted_mean(known, config, parts.steps)


def flaw(wrongness: float | None, severity: float | None, absurdity: float | None, config: HardnessConfig) -> float:
    """Weighted mean of the parts that are known, in [0, 1]; 1 if none is: the candidate is as flawed as any.

    Ours. Wrongness is near 1 for a wrong answer, which keeps a near miss with sound steps in; severity and absurdity
    lift those whose steps can be seen to be wrong.
    """
    parts = {"wrongness": wrongness, "severity": severity, "absurdity": absurdity}
    return _weighted_mean({name: value for name, value in parts.items() if value is not None}, config, 1.0)


def _weighted_mean(known: Mapping[str, float], config: HardnessConfig, otherwise: float) -> float:
    weights = {name: getattr(config, name) for name in known}
    total = sum(weights.values())
    return sum(weights[name] * value for name, value in known.items()) / total if total else otherwise


def hardness_signals(
    confidence: float | None,
    nearest: ProximityParts,
    wrongness: float | None,
    absurdity: float | None,
    severity: float | None,
    config: HardnessConfig,
) -> HardnessSignals:
    """The factors of hardness from what was measured."""
    raised = None if confidence is None else max(confidence, config.confidence_floor) ** config.confidence_power
    return HardnessSignals(
        confidence=raised,
        proximity=proximity(nearest, config) ** config.proximity_power,
        flaw=flaw(wrongness, severity, absurdity, config) ** config.flaw_power,
        wrongness=wrongness,
        absurdity=absurdity,
        severity=severity,
    )


def checked_hardness(function: HardnessFunction, signals: HardnessSignals, name: str) -> float:
    """A negative's hardness.

    Raises:
        `ValueError`: If the function fails or gives no number in [0, 1]; names it and what it was given.
    """
    try:
        value = function(signals)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"The hardness {name!r} failed for {signals}: {type(error).__name__}: {error}. Mend the plugin."
        ) from error
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"The hardness {name!r} gave {value!r} for {signals}, but hardness is a number in [0, 1].")
    return float(value)
