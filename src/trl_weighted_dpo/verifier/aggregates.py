"""Wrongness and absurdity, the two aggregates of an error profile, and its severity."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.printing import short_repr
from trl_weighted_dpo.verifier.findings import Finding
from trl_weighted_dpo.verifier.profile import DIMENSIONS

FORMAT_VERSION = 1
"""Layout of a calibration file."""

CASES = ("with_reference_solution", "without_reference_solution")
"""What a calibration file has weights for."""

_HINT = "Make one with `weighted-dpo calibrate`."
_DEFAULT = Path(__file__).with_name("calibration.json")

ABSURDITIES: dict[str, float] = {
    # A contradiction, or a count that cannot be, is what unreasonable means.
    "logical_consistency": 1.0,
    # Loops and fragments make no sense as a solution; a text that was cut off may have made sense so far.
    "structural_integrity": 0.8,
    # A false equation is an error that anyone can check, but also the slip of a reasonable mind.
    "numerical_validity": 0.7,
    # Steps out of order can hold a sound thought.
    "step_ordering": 0.5,
}
"""How absurd a solution is that shows the full signs of an error in one dimension alone.

Ours, with the reasons beside them: nobody has labelled absurdity, so nothing could be fitted. `final_answer` is not
among them: a wrong answer makes no solution unreasonable, and a right one none reasonable. Nor is the score of
`semantic_alignment`, which measures the distance from the reference as well, and that is large for reasonable wrong
solutions too.
"""

FROM_NOWHERE = 0.3
"""How absurd a solution is that works with a number from nowhere, or with another one than the problem gives. Ours: it
needs no reference to see, but the number may be known to everyone but the verifier."""

_FROM_NOWHERE = frozenset({"unknown_quantity", "misquoted_quantity"})


@dataclass(frozen=True, slots=True)
class Weight:
    """What one dimension adds to the log-odds that a solution is wrong.

    Args:
        present (`float`): Added if its score is 1; at least 0.
        absent (`float`): Taken off if its score is 0; at least 0.
    """

    present: float
    absent: float


@dataclass(frozen=True)
class Weights:
    """The weights of wrongness where the same is known.

    Args:
        bias (`float`): Log-odds of a wrong solution before anything is checked.
        dimensions (`Mapping[str, Weight]`): Of each of the six dimensions.

    Raises:
        `ValueError`: If a dimension is unknown or missing, or a number is not finite, or a weight is below 0.
    """

    bias: float
    dimensions: Mapping[str, Weight]

    def __post_init__(self) -> None:
        for name in (*self.dimensions, *DIMENSIONS):
            if name not in DIMENSIONS:
                raise ValueError(f"there is no dimension {name!r}; the dimensions are {', '.join(DIMENSIONS)}")
            if name not in self.dimensions:
                raise ValueError(f"the weights of {name} are missing")
        if not _is_number(self.bias):
            raise ValueError(f"bias is {self.bias!r}, but it is a finite number")
        for name, weight in self.dimensions.items():
            for part, value in (("present", weight.present), ("absent", weight.absent)):
                if not _is_number(value) or value < 0:
                    raise ValueError(f"{part!r} of {name} is {value!r}, but weights are finite numbers of at least 0")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights of wrongness.

    A reference solution changes what scores mean: without one, `semantic_alignment` sees numbers from nowhere at most.

    Args:
        with_solution (`Weights`): Where there is a reference solution.
        without_solution (`Weights`): Where there is none.
    """

    with_solution: Weights
    without_solution: Weights

    def weights(self, has_solution: bool) -> Weights:
        """The weights for solutions of a problem that has a reference solution, or has none."""
        return self.with_solution if has_solution else self.without_solution


def wrongness(scores: Mapping[str, float | None], weights: Weights) -> float | None:
    """How probably the answer or a step is wrong: `σ(bias + Σ_d (present_d · s_d - absent_d · (1 - s_d)))`.

    The sum is over those of the six dimensions `d` that were checked, with scores `s_d`; `None` if none was. Dimensions
    that were added have no fitted weights and are left out. Ours, because

    * with `present, absent ≥ 0` it never falls when a score rises, and lies in (0, 1);
    * each term can be read: a full sign of an error adds `present_d` to the log-odds, its absence takes off `absent_d`;
    * a dimension that was not checked has no term at all. If dimensions were independent, each term would be the
      logarithm of a likelihood ratio, and leaving it out would be exact; a mean over the checked ones would instead
      call a solution that nothing speaks against as surely right without a reference answer as with one that agrees;
    * it is a logistic regression, so its weights are fitted by a convex problem (see [`~verifier.calibration`]) and its
      values are probabilities that can be checked.

    Args:
        scores (`Mapping[str, float | None]`): Score in [0, 1] of each dimension, `None` where it was not checked.
        weights (`Weights`): Bias and weights.
    """
    log_odds, is_checked = weights.bias, False
    for dimension in DIMENSIONS:
        if (score := scores.get(dimension)) is not None:
            weight = weights.dimensions[dimension]
            log_odds += weight.present * score - weight.absent * (1.0 - score)
            is_checked = True
    return sigmoid(log_odds) if is_checked else None


def severity(scores: Mapping[str, float | None], weights: Weights) -> float | None:
    """How much of a profile shows an error: `Σ_d w_d · s_d / Σ_d w_d` with `w_d = present_d + absent_d`, in [0, 1].

    The sums are over those of the six dimensions `d` that were checked, with scores `s_d`; `None` if none was, or none
    of them has any weight. Ours: the log-odds of [`wrongness`] rise by `w_d` when `s_d` goes from 0 to 1, so this is
    how far they have come from those of a spotless solution to those of one with full signs of an error everywhere.
    Near either end wrongness itself, a probability, hardly tells solutions apart; this is graded, and orders them alike
    where the same dimensions were checked. A dimension counts what labelled solutions say it is worth, one without any
    weight nothing. The two weights are added because the fit cannot tell one from the other where a dimension is always
    checked.

    Args:
        scores (`Mapping[str, float | None]`): Score in [0, 1] of each dimension, `None` where it was not checked.
        weights (`Weights`): Those of wrongness.
    """
    checked = [
        (weights.dimensions[name].present + weights.dimensions[name].absent, score)
        for name in DIMENSIONS
        if (score := scores.get(name)) is not None
    ]
    total = sum(weight for weight, _ in checked)
    return sum(weight * score for weight, score in checked) / total if total else None


def absurdity(scores: Mapping[str, float | None], evidence: Iterable[Finding]) -> float | None:
    """How unreasonable a solution is in itself: `1 - (1 - c) · Π_d (1 - a_d · s_d)` with the constants `a_d` of
    `ABSURDITIES`, and with `c = FROM_NOWHERE` if a number comes from nowhere, else 0.

    The product is over the dimensions `d` that were checked, with scores `s_d`; `None` if none was. Dimensions that
    were added are left out: nothing says how unreasonable what they find is. Ours: a solution is absurd as soon as one
    thing in it is, and five reasonable dimensions do not make up for that, so this is no mean. A dimension that was not
    checked leaves the product as it is; one that comes in never lowers it, as a mean would be by dimensions in which
    nothing was found.

    Args:
        scores (`Mapping[str, float | None]`): Score in [0, 1] of each dimension, `None` where it was not checked.
        evidence (`Iterable[Finding]`): What was found.
    """
    checked = [constant * score for name, constant in ABSURDITIES.items() if (score := scores[name]) is not None]
    if scores["semantic_alignment"] is not None:
        checked.append(FROM_NOWHERE if any(_is_from_nowhere(item) for item in evidence) else 0.0)
    return 1.0 - math.prod(1.0 - part for part in checked) if checked else None


def _is_from_nowhere(item: Finding) -> bool:
    return item.kind in _FROM_NOWHERE and item.dimension in DIMENSIONS


def sigmoid(log_odds: float) -> float:
    """`1 / (1 + exp(-log_odds))`, without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


@lru_cache(maxsize=1)
def default_calibration() -> Calibration:
    """The calibration that comes with the package, fitted on human-labelled solutions; the file says how."""
    return _calibration(_DEFAULT, json.loads(_DEFAULT.read_text(encoding="utf-8")))


def read_calibration(path: str | Path, verifier_version: str) -> Calibration:
    """Reads a file that `weighted-dpo calibrate` wrote.

    Args:
        path (`str` or `Path`): The file.
        verifier_version (`str`): Version of the verifier that will use it; scores of another mean something else.

    Raises:
        `ValueError`: If the file is not one, was changed by hand, or was fitted for another version of the verifier.
        `OSError`: If it cannot be read.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: this is no JSON file ({error}). {_HINT}") from error
    calibration = _calibration(path, content)
    if "digest" in content and content["digest"] != digest(content):
        raise ValueError(
            f"{path}: it was changed after it was fitted: its digest is not that of its content. {_HINT} To use "
            "weights of your own, take the digest out."
        )
    if content.get("verifier_version") != verifier_version:
        raise ValueError(
            f"{path}: it was fitted for version {content.get('verifier_version')!r} of the verifier, whose scores mean "
            f"something else; this is version {verifier_version!r}. Run `weighted-dpo calibrate` again."
        )
    return calibration


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of what a calibration file holds beside it, so that a file that was changed by hand is noticed."""
    rest = {name: value for name, value in content.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _calibration(path: Path, content: Any) -> Calibration:
    if not isinstance(content, dict) or "format_version" not in content:
        raise ValueError(f"{path}: this is no calibration file: it has no 'format_version'. {_HINT}")
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format_version is {content['format_version']!r}, but this package reads {FORMAT_VERSION}. {_HINT}"
        )
    return Calibration(*(_weights(path, name, content.get(name)) for name in CASES))


def _weights(path: Path, case: str, content: Any) -> Weights:
    if not isinstance(content, dict) or not isinstance(content.get("weights"), dict):
        raise ValueError(f"{path}: {case!r} is {short_repr(content)}, but it is 'bias' and 'weights'. {_HINT}")
    dimensions = {}
    for name, parts in content["weights"].items():
        if not isinstance(parts, dict) or parts.keys() != {"present", "absent"}:
            raise ValueError(
                f"{path}: {case!r}: {name!r} is {short_repr(parts)}, but it is 'present' and 'absent'. {_HINT}"
            )
        dimensions[name] = Weight(parts["present"], parts["absent"])
    try:
        return Weights(content.get("bias"), dimensions)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}: {case!r}: {error}. {_HINT}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
