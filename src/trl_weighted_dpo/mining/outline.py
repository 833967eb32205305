"""What two solutions of a problem have in common: steps, equations, beginning and answer."""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile

from rapidfuzz.distance import Indel

from trl_weighted_dpo.core.thinking import without_thought
from trl_weighted_dpo.verifier.facts import answer_value, read_passage
from trl_weighted_dpo.verifier.reading.answer import read_answer

MAX_WORDS = 2_000
"""Words, and likewise equations, of a solution that are compared; the cost grows with the product of two solutions'."""

_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+|\d[\d,]*(?:\.\d+)?|[^\s\w]")
_RELATIONS = frozenset({"=", "is", "approx"})


@dataclass(frozen=True, slots=True)
class Outline:
    """A solution as far as it is compared with others.

    Args:
        steps (`tuple[str, ...]`): Its steps in lower case with single spaces, without calculator annotations and
            without a last line that only gives the answer.
        routes (`tuple[str, ...]`): What each step computes: its equations, or the step itself if it has none.
        words (`tuple[str, ...]`): Words, numbers and signs of the steps.
        equations (`tuple[str, ...]`): Its equations, each once in a row, without spaces and units, numbers as short as
            possible: `5*2=10`.
        answer (`str`, *optional*): The answer's text.
        value (`Fraction`, *optional*): The answer's value, if it is a number.
    """

    steps: tuple[str, ...]
    routes: tuple[str, ...]
    words: tuple[str, ...]
    equations: tuple[str, ...]
    answer: str | None
    value: Fraction | None


def read_outline(text: str) -> Outline:
    """Reads the outline of a solution; of a long one the part that the verifier reads too."""
    passage = read_passage(without_thought(text))
    if not passage.statements:
        # All that is computed is computed in the thought.
        passage = read_passage(text)
    answer = read_answer(passage.text)
    stating = {statement.step for statement in passage.statements}
    answering = passage.step_at(answer.span[0]) if answer is not None and not answer.is_weak else None
    steps = {
        step.index: _plain_step(passage.plain[slice(*step.span)])
        for step in passage.steps
        if step.index != answering or step.index in stating
    }
    equations: list[str] = []
    by_step: dict[int, list[str]] = {}
    for statement in passage.statements:
        sides = [side for side in statement.sides if side.node is not None]
        if len(sides) > 1 and set(statement.signs) <= _RELATIONS:
            equation = "=".join(_plain_expression(passage.plain[slice(*side.span)]) for side in sides)
            # A calculator annotation repeats the equation that it stands in.
            if not equations or equations[-1] != equation:
                equations.append(equation)
                by_step.setdefault(statement.step, []).append(equation)
    written = answer.text if answer is not None else None
    words = _WORD.findall(" ".join(steps.values()))
    return Outline(
        steps=tuple(steps.values()),
        routes=tuple("; ".join(by_step.get(index, [step])) for index, step in steps.items()),
        words=tuple(words[:MAX_WORDS]),
        equations=tuple(equations[:MAX_WORDS]),
        answer=written,
        value=answer_value(written),
    )


def _plain_step(text: str) -> str:
    return " ".join(_CALCULATOR.sub("", text).lower().split())


def _plain_expression(text: str) -> str:
    return _NUMBER.sub(_plain_number, "".join(text.lower().split()).replace("$", ""))


def _plain_number(match: re.Match[str]) -> str:
    digits = match[0].replace(",", "")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


@dataclass(frozen=True, slots=True)
class ProximityParts:
    """How near a solution is to another one; each part in [0, 1], 1 for the same.

    Args:
        steps (`float`): Similarity of their words in order, `1 - d / (m + n)` with d the insertions and deletions that
            turn one into the other (normalised Indel similarity).
        equations (`float`, *optional*): The same of their equations; `None` if neither has any.
        prefix (`float`): Share of the longer one's steps that both begin with: the same equations, or the same words
            where a step has none.
        answer (`float`, *optional*): `1 - |a - b| / (|a| + |b|)` of their answers' values (Canberra distance), which
            needs no scale and tells 19 from 20 and -5 from 5; `None` unless both are numbers.
    """

    steps: float
    equations: float | None
    prefix: float
    answer: float | None


def proximity_parts(one: Outline, other: Outline) -> ProximityParts:
    """How near two solutions are to each other. Ours: parts that a person compares, of which no single one is enough:
    another wording leaves the equations, a slip at the end leaves all but the answer."""
    has_equations = bool(one.equations or other.equations)
    longest = max(len(one.routes), len(other.routes))
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one.routes, other.routes, strict=False))))
    return ProximityParts(
        steps=Indel.normalized_similarity(one.words, other.words),
        equations=Indel.normalized_similarity(one.equations, other.equations) if has_equations else None,
        prefix=shared / longest if longest else 1.0,
        answer=None if one.value is None or other.value is None else _numeric_proximity(one.value, other.value),
    )


def _numeric_proximity(a: Fraction, b: Fraction) -> float:
    if a == b:
        return 1.0
    return 1.0 - float(abs(a - b) / (abs(a) + abs(b)))


def why_alike(chosen: Outline, rejected: Outline) -> str | None:
    """Why two solutions of different worth are too alike to learn from; `None` if they are not.

    `"identical"` but for case and spaces; `"one continues the other"`, as where a text was cut off; `"same equations"`
    in other words, so that a reader cannot say what is worse about one: where the answers differ all the same, one of
    them does not follow from what stands above it, or was misread.
    """
    if chosen.steps == rejected.steps and chosen.answer == rejected.answer:
        return "identical"
    short, long = sorted((chosen.words, rejected.words), key=len)
    # A bare answer continues nothing.
    if short and short != long and long[: len(short)] == short:
        return "one continues the other"
    if chosen.equations and chosen.equations == rejected.equations:
        return "same equations"
    return None
