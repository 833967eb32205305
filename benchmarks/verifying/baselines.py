"""What anyone would try first. Each reads numbers by a plain regular expression, none uses the verifier's reading."""

import re

from .data import Solution
from .metrics import SOUND

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_NUMBERS = re.compile(_NUMBER)
_STATED = re.compile(rf"(?:=|\bis\b)[ ]?\$?[ ]?(?:<<[^<>]{{0,80}}>>)?(-?{_NUMBER})")
_COMPUTED = re.compile(rf"=[ ]?\$?[ ]?(?:<<[^<>]{{0,80}}>>)?[ ]?\$?(-?{_NUMBER})")
_EQUATION = re.compile(rf"({_NUMBER})[ ]?([-+*/x×÷])[ ]?\$?({_NUMBER})[ ]?=[ ]?\$?({_NUMBER})")


def step_one(item: Solution, answer_is_wrong: bool) -> int:
    """The second step if the answer is wrong: the first of many solutions only says what is to be found."""
    return min(1, len(item.steps) - 1) if answer_is_wrong else SOUND


def wrong_equation(item: Solution) -> int:
    """The first step with an `a op b = c` that is false; needs no reference."""
    for index, step in enumerate(item.steps):
        for match in _EQUATION.finditer(step):
            left, right, result = (_value(match[group]) for group in (1, 3, 4))
            computed = {
                "+": left + right,
                "-": left - right,
                "/": left / right if right else None,
                "÷": left / right if right else None,
            }.get(match[2], left * right)
            if computed is None or abs(computed - result) > 0.01 * max(1.0, abs(result)):
                return index
    return SOUND


def unknown_number(item: Solution, answer_is_wrong: bool) -> int:
    """If the answer is wrong, the first step with a number after `=` or `is` that neither the problem nor the reference
    has, else the last step."""
    if not answer_is_wrong:
        return SOUND
    known = _values(f"{item.problem} {item.reference_solution or ''} {item.reference_answer or ''}")
    for index, step in enumerate(item.steps):
        if any(abs(_value(match[1])) not in known for match in _STATED.finditer(step)):
            return index
    return len(item.steps) - 1


def other_results(visible: str, reference: str) -> float:
    """Jaccard distance between the numbers after `=` in `visible` and those in `reference` but for the last."""
    found = {_value(match[1]) for match in _COMPUTED.finditer(visible)}
    expected = {_value(match[1]) for match in list(_COMPUTED.finditer(reference))[:-1]}
    both = found | expected
    return 1 - len(found & expected) / len(both) if both else 0.0


def _values(text: str) -> set[float]:
    return {_value(match) for match in _NUMBERS.findall(text)}


def _value(text: str) -> float:
    return round(float(text.replace(",", "")), 6)
