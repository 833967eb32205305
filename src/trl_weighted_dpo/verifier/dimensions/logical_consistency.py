"""The dimension `logical_consistency`: whether a solution agrees with itself, checked without the reference.

A derived value carried on as another one, a name with two values, a stated answer that was not derived, and values that
cannot be. Wrong solutions are mostly computed consistently from a wrong set-up, so this dimension fires seldom; when it
does, it is almost always right.
"""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction

from trl_weighted_dpo.verifier.checks.carrying import ROUNDING, Clash, excerpt, misquoted, shown, wrongly_put_in
from trl_weighted_dpo.verifier.checks.impossible import impossible_values
from trl_weighted_dpo.verifier.checks.names import contradictions
from trl_weighted_dpo.verifier.dimensions import DimensionResult, combined
from trl_weighted_dpo.verifier.facts import Facts, answer_value
from trl_weighted_dpo.verifier.profile import Evidence

DIMENSION = "logical_consistency"

SEVERITY = {
    # A number put into a formula for a label with another value, and equations that no values satisfy: the text
    # contradicts itself, whatever the problem says.
    ("carried_wrong", "rule"): 0.9,
    ("two_values", "rule"): 0.9,
    ("two_values", "heuristic"): 0.5,
    # A number from nowhere that looks like a result may still be a number of its own.
    ("carried_wrong", "heuristic"): 0.4,
    # An answer that stands nowhere else was not derived; one with its decimals dropped may have been rounded silently.
    ("answer_not_derived", "rule"): 0.9,
    ("answer_not_derived", "heuristic"): 0.4,
    # No amount is below zero; an answer that was only guessed from the text may not be the answer.
    ("negative_count", "rule"): 0.9,
    ("negative_count", "heuristic"): 0.5,
    # A difference may be taken the wrong way round and still be used as its absolute value.
    ("more_removed_than_there", "heuristic"): 0.5,
    # Depends on a list of things that come whole.
    ("fractional_count", "heuristic"): 0.5,
    # A probability above 1 cannot be; of a percentage, only the words of the problem tell of what it is.
    ("share_above_100", "rule"): 0.9,
    ("share_above_100", "heuristic"): 0.4,
}
"""How grave each kind of finding is, by its channel.

Ours: 0.9 where the text contradicts itself, at most 0.5 where that hangs on a list of words or a likeness. On the
development data nearly all solutions with any of them are wrong, but those are a few dozen.
"""

_MAX_FINDINGS = 20
_LINE_START = 20
_CONVERSIONS = frozenset(map(Fraction, (10, 12, 60, 100, 1000)))
_PLAIN_NUMBER = re.compile(
    r"[\s$\\]{0,4}-?[\s$\\]{0,4}\d[\d,.]{0,30}[\s\\]{0,3}%?\.?(?:\s[a-z]{1,20})?\s{0,3}", re.IGNORECASE
)
_ANSWER_LINE = re.compile(r"(?:####|(?:^|\n)[\s*]{0,4}A\**[ ]?:)[\s*$\\]{0,6}$")
_HOW_MANY = re.compile(r"\bhow many\b", re.IGNORECASE)


def check(facts: Facts) -> DimensionResult:
    """Checks whether the solution agrees with itself; `None` if it has no numbers."""
    if not facts.solution.mentions:
        return DimensionResult(None, (), ("numbers in the solution",))
    clashes: list[Clash] = []
    for clash in itertools.islice(_clashes(facts), _MAX_FINDINGS):
        if not any(clash.kind == other.kind and _within(clash.span, other.span) for other in clashes):
            clashes.append(clash)
    evidence = tuple(
        Evidence(
            DIMENSION,
            clash.kind,
            clash.channel,
            facts.solution.step_at(clash.span[0]),
            clash.span,
            clash.expected,
            clash.found,
            clash.message,
        )
        for clash in clashes
    )
    return DimensionResult(combined(SEVERITY[item.kind, item.channel] for item in evidence), evidence)


def _clashes(facts: Facts) -> Iterator[Clash]:
    yield from wrongly_put_in(facts)
    yield from misquoted(facts)
    yield from contradictions(facts.solution)
    yield from _not_derived(facts)
    yield from impossible_values(facts)


def _not_derived(facts: Facts) -> Iterator[Clash]:
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
    written = excerpt(facts.solution.text, answer.span)
    others = [mention.value for mention in facts.solution.mentions if not _within(mention.span, answer.span)]
    others += [mention.value for mention in facts.problem.mentions]
    others += [each for item in derived for each in (item.value, item.exact)]
    if not any(_is_derived_from(other, value) for other in others):
        before = facts.solution.plain[max(0, answer.span[0] - _LINE_START) : answer.span[0]]
        channel = "rule" if _ANSWER_LINE.search(before) else "heuristic"
        message = f"The answer {written} stands nowhere else in the solution; the last result is {shown(last)}."
        yield Clash("answer_not_derived", channel, answer.span, shown(last), written, message)
    elif value.denominator == 1 and last.denominator != 1 and abs(value) == abs(last) // 1 != round(abs(last)):
        texts = (facts.solution.plain, facts.problem.plain)
        if not any(map(ROUNDING.search, texts)) and not _HOW_MANY.search(facts.problem.plain):
            message = f"The last result is {shown(last)}, but the answer drops its decimals."
            yield Clash("answer_not_derived", "heuristic", answer.span, shown(last), written, message)


def _is_derived_from(other: Fraction, value: Fraction) -> bool:
    low, high = sorted((abs(other), abs(value)))
    if low == high or (low and high / low in _CONVERSIONS):
        return True
    return other.denominator != 1 and (high - low < 1 if value.denominator == 1 else high - low <= high / 100)


def _within(span: tuple[int, int], outer: tuple[int, int]) -> bool:
    return span[0] < outer[1] and outer[0] < span[1]
