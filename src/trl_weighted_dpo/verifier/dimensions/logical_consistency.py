"""The dimension `logical_consistency`: whether a solution agrees with itself, checked without the reference.

A derived value carried on as another one, a name with two values, a stated answer that was not derived, and values that
cannot be. Wrong solutions are mostly computed consistently from a wrong set-up, so this dimension fires seldom; when it
does, it is almost always right.
"""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.checks.carrying import ROUNDING, misquoted, wrongly_put_in
from trl_weighted_dpo.verifier.checks.conversions import USUAL_RATIOS
from trl_weighted_dpo.verifier.checks.impossible import impossible_values
from trl_weighted_dpo.verifier.checks.names import contradictions
from trl_weighted_dpo.verifier.facts import Facts, answer_value
from trl_weighted_dpo.verifier.findings import (
    HEURISTIC,
    RULE,
    DimensionResult,
    Finding,
    finding,
    placed,
    score_of,
)

DIMENSION = "logical_consistency"

_MAX_FINDINGS = 20
_LINE_START = 20
_PLAIN_NUMBER = re.compile(
    r"[\s$\\]{0,4}-?[\s$\\]{0,4}\d[\d,.]{0,30}[\s\\]{0,3}%?\.?(?:\s[a-z]{1,20})?\s{0,3}", re.IGNORECASE
)
_ANSWER_LINE = re.compile(r"(?:####|(?:^|\n)[\s*]{0,4}A\**[ ]?:)[\s*$\\]{0,6}$")
_HOW_MANY = re.compile(r"\bhow many\b", re.IGNORECASE)


def check(facts: Facts) -> DimensionResult:
    """Checks whether the solution agrees with itself; `None` if it has no numbers."""
    if not facts.solution.mentions:
        return DimensionResult(None, (), ("numbers in the solution",))
    findings: list[Finding] = []
    for item in itertools.islice(_findings(facts), _MAX_FINDINGS):
        if not any(item.kind == other.kind and _overlap(item, other) for other in findings):
            findings.append(item)
    return DimensionResult(score_of(findings), placed(facts.solution, findings))


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from wrongly_put_in(facts)
    yield from misquoted(facts)
    yield from contradictions(facts.solution)
    yield from _not_derived(facts)
    yield from impossible_values(facts)


def _not_derived(facts: Facts) -> Iterator[Finding]:
    """An answer that stands nowhere else, neither rounded nor in another unit, or that drops decimals of the last
    result though nothing is counted and rounding is not said."""
    answer, derived = facts.answer, facts.trace.derived
    if answer is None or answer.is_weak or not derived or facts.solution.was_cut:
        return
    value = answer_value(answer.text) if _PLAIN_NUMBER.fullmatch(answer.text or "") else None
    if value is None:
        return
    last = derived[-1].value
    if value == last:
        return
    written = excerpt(facts.solution.text[slice(*answer.span)])
    others = [mention.value for mention in facts.solution.mentions if not _within(mention.span, answer.span)]
    others += [mention.value for mention in facts.problem.mentions]
    others += [each for item in derived for each in (item.value, item.exact)]
    others += facts.thought.values if facts.thought is not None else ()
    if not any(_is_derived_from(other, value) for other in others):
        before = facts.solution.plain[max(0, answer.span[0] - _LINE_START) : answer.span[0]]
        channel = RULE if _ANSWER_LINE.search(before) else HEURISTIC
        message = f"The answer {written} stands nowhere else in the solution; the last result is {number(last)}."
        yield _not_from(last, answer.span, written, message, channel)
    elif value.denominator == 1 and last.denominator != 1 and abs(value) == abs(last) // 1 != round(abs(last)):
        texts = (facts.solution.plain, facts.problem.plain)
        if not any(map(ROUNDING.search, texts)) and not _HOW_MANY.search(facts.problem.plain):
            message = f"The last result is {number(last)}, but the answer drops its decimals."
            yield _not_from(last, answer.span, written, message, HEURISTIC)


def _not_from(last: Fraction, span: tuple[int, int], written: str, message: str, channel: str) -> Finding:
    return finding(
        DIMENSION, "answer_not_derived", span, message, expected=number(last), found=written, channel=channel
    )


def _is_derived_from(other: Fraction, value: Fraction) -> bool:
    low, high = sorted((abs(other), abs(value)))
    if low == high or (low and high / low in USUAL_RATIOS):
        return True
    return other.denominator != 1 and (high - low < 1 if value.denominator == 1 else high - low <= high / 100)


def _overlap(one: Finding, other: Finding) -> bool:
    return one.span is not None and other.span is not None and _within(one.span, other.span)


def _within(span: tuple[int, int], outer: tuple[int, int]) -> bool:
    return span[0] < outer[1] and outer[0] < span[1]
