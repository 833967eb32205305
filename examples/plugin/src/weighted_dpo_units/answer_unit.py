"""The dimension `answer_unit`: whether a solution says what its answer counts.

If the problem asks "how many hours", the answer's number should stand beside a unit somewhere in the solution. Whether
it is the right one is left to `semantic_alignment`.
"""

import re

from trl_weighted_dpo import DimensionResult, Finding, SolutionView

DIMENSION = "answer_unit"
SCORE = 0.5
"""Ours: leaving the unit out is careless, and no error by itself."""

_NAMES = (
    *("dollar", "cent", "second", "minute", "hour", "day", "week", "month", "year"),
    *("inch", "foot", "yard", "mile", "meter", "kilometer", "gram", "kilogram", "pound", "ounce", "liter", "gallon"),
)
_UNITS = frozenset((*_NAMES, *(f"{name}s" for name in _NAMES), "inches", "feet"))
_ASKED = re.compile(r"\bhow many ([a-z]+)")


def check(view: SolutionView) -> DimensionResult:
    """Checks whether the answer has a unit; if the problem asks for none or there is no number, nothing is checked."""
    asked = [word for word in _ASKED.findall(view.problem.lower()) if word in _UNITS]
    answer = view.answer
    if not asked or answer is None or answer.value is None:
        return DimensionResult(None)
    if any(number.value == answer.value and number.unit in _UNITS for number in view.numbers):
        return DimensionResult(0.0)
    message = f"The problem asks how many {asked[-1]}, but the answer stands beside no unit."
    finding = Finding(DIMENSION, "no_unit", "heuristic", answer.step, answer.span, asked[-1], answer.text, message)
    return DimensionResult(SCORE, (finding,))
