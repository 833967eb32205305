"""The dimension `answer_unit`: whether a solution says what its answer counts.

If the problem asks "how many hours", the answer's number should stand beside a unit somewhere in the solution. Whether
it is the right one is left to `semantic_alignment`.
"""

import re

from trl_weighted_dpo import DimensionResult, Evidence, Facts
from trl_weighted_dpo.verifier.facts import answer_value

DIMENSION = "answer_unit"
SCORE = 0.5
"""Ours: leaving the unit out is careless, and no error by itself."""

_NAMES = (
    *("dollar", "cent", "second", "minute", "hour", "day", "week", "month", "year"),
    *("inch", "foot", "yard", "mile", "meter", "kilometer", "gram", "kilogram", "pound", "ounce", "liter", "gallon"),
)
_UNITS = frozenset((*_NAMES, *(f"{name}s" for name in _NAMES), "inches", "feet"))
_ASKED = re.compile(r"\bhow many ([a-z]+)")


def check(facts: Facts) -> DimensionResult:
    """Checks whether the answer has a unit; if the problem asks for none or there is no number, nothing is checked."""
    asked = [word for word in _ASKED.findall(facts.problem.plain.lower()) if word in _UNITS]
    answer = answer_value(facts.answer.text) if facts.answer is not None else None
    if not asked or facts.answer is None or answer is None:
        return DimensionResult(None)
    if any(mention.value == answer and mention.unit in _UNITS for mention in facts.solution.mentions):
        return DimensionResult(0.0)
    message = f"The problem asks how many {asked[-1]}, but the answer stands beside no unit."
    span = facts.answer.span
    step = facts.solution.step_at(span[0])
    finding = Evidence(DIMENSION, "no_unit", "heuristic", step, span, asked[-1], facts.answer.text, message)
    return DimensionResult(SCORE, (finding,))
