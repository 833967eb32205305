"""Values that cannot be: fewer than none of a thing, a part of a person, a part that is more than the whole."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.facts import Facts, answer_value
from trl_weighted_dpo.verifier.findings import HEURISTIC, RULE, Finding, finding
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import Side
from trl_weighted_dpo.verifier.reading.units import singular

# All but `_MANY` are searched in lower case, which takes half the time of searching in either case.
_AMOUNT_ASKED = re.compile(
    r"\bhow (?:many|much|old|long|far)\b|\b(?:what|calculate|find|determine)\b[^.?,]{0,20}"
    r"\b(?:total|number|amount|cost|price|age|distance|time)\b",
)
# Where less than nothing has a meaning, or the numbers count nothing.
_SIGNED = re.compile(
    r"\b(?:profits?|loss|temperatures?|degrees|below|differences?|net|owes?|negative|coordinates?|integers?|equation)\b"
    r"|[=\\^]|(?<![\w-])-\d",
)
_MANY = re.compile(
    r"\bhow many (?:more |total |other |of (?:the |these |those )?)?(?:[a-z]+ )?([a-z]+)\b",
    re.IGNORECASE,
)
_ON_AVERAGE = re.compile(r"\b(?:average|mean|expected|per|rate|round\w*)\b")
_WHOLE = frozenset([
    "people", "person", "child", "children", "kid", "student", "pupil", "boy", "girl", "man", "men", "woman", "women",
    "friend", "guest", "player", "customer", "worker", "car", "bus", "dog", "cat", "bird", "animal", "egg", "coin",
    "ticket", "email", "gun",
])  # fmt: skip
_SHARE_ASKED = re.compile(
    r"\bwhat (?:percent(?:age)?|fraction) of (?:the|his|her|their|all|people)\b",
)
_GROWTH = re.compile(
    r"\b(?:increas\w*|more|greater|profit|gain\w*|original\w*|compar\w*)\b",
)
_PROBABILITY = re.compile(r"\bprobab|\bchances?\b|\blikelihood\b")


@dataclass(frozen=True, slots=True)
class _Question:
    """What a problem asks for.

    Args:
        is_amount (`bool`): Whether it is an amount that cannot be below none.
        noun (`str`, *optional*): What is to be counted, if it surely comes whole.
        is_share (`bool`): Whether it is which part of a whole.
        is_chance (`bool`): Whether it is about probabilities.
    """

    is_amount: bool
    noun: str | None
    is_share: bool
    is_chance: bool


@lru_cache(maxsize=256)
def _question(problem: str) -> _Question:
    lowered = problem.lower()
    return _Question(
        is_amount=_AMOUNT_ASKED.search(lowered) is not None and _SIGNED.search(lowered) is None,
        noun=None if _ON_AVERAGE.search(lowered) else _asked(problem),
        is_share=_SHARE_ASKED.search(lowered) is not None and _GROWTH.search(lowered) is None,
        is_chance=_PROBABILITY.search(lowered) is not None,
    )


def impossible_values(facts: Facts) -> Iterator[Finding]:
    """Values of a solution that cannot be what they are said to be."""
    question = _question(facts.problem.plain)
    if question.is_chance or "robab" in facts.solution.plain:
        yield from _more_than_certain(facts)
    if question.is_amount:
        yield from _taken_away(facts)
    answer = facts.answer
    value = answer_value(answer.text) if answer is not None else None
    if answer is None or value is None or (value.numerator >= 0 and value.denominator == 1 and not question.is_share):
        return
    written = excerpt(facts.solution.text[slice(*answer.span)])
    if value < 0 and question.is_amount:
        message = f"The answer is {written}, but an amount cannot be less than none."
        channel = HEURISTIC if answer.is_weak else RULE
        yield _impossible("negative_count", answer.span, written, message, channel)
    if value.denominator != 1 and question.noun and not (answer.is_weak and "/" in written):
        message = f"The answer is {written}, but only whole numbers can count {question.noun}."
        yield _impossible("fractional_count", answer.span, written, message, HEURISTIC)
    if question.is_share and value > (1 if value <= 2 and "%" not in written else 100):
        message = f"The answer is {written}, but a part cannot be more than the whole."
        yield _impossible("share_above_100", answer.span, written, message, HEURISTIC)


def _impossible(kind: str, span: tuple[int, int], found: str, message: str, channel: str) -> Finding:
    return finding("logical_consistency", kind, span, message, found=found, channel=channel)


def _asked(problem: str) -> str | None:
    """What the problem asks how many there are of, if it surely comes whole."""
    found: str | None = None
    for match in _MANY.finditer(problem):
        words = match.group().split()[2:]
        found = next((word for word in words if singular(word.lower()) in _WHOLE), None)
    return found


def _taken_away(facts: Facts) -> Iterator[Finding]:
    """The first `a - b` below zero whose result is stated, with its sign or without."""
    solution = facts.solution
    for statement in solution.statements:
        for side, stated in itertools.pairwise(statement.sides):
            # Asking the numerator for the sign is several times as fast.
            if side.value is None or side.value.numerator >= 0 or side.node is None or stated.value is None:
                continue
            pair = _difference(side.node)
            if (
                pair is None
                or abs(stated.value) != -side.value
                or any(s.value is None and s.node for s in statement.sides)
            ):
                continue
            units = {m.unit for m in solution.mentions if m.unit and side.span[0] <= m.span[0] < side.span[1]}
            if len(units) > 1:
                continue
            message = f"{number(pair[1])} is taken from {number(pair[0])}, but there is not that much."
            written = excerpt(solution.text[slice(*side.span)])
            yield _impossible("more_removed_than_there", side.span, written, message, HEURISTIC)
            return


def _difference(node: Node) -> tuple[Fraction, Fraction] | None:
    """The two positive numbers of `a - b`."""
    if not isinstance(node, Operation) or node.name != "+" or len(node.operands) != 2:
        return None
    there, taken = node.operands
    if isinstance(taken, Operation) and taken.name == "neg" and isinstance(taken.operands[0], Number):
        taken = Number(-taken.operands[0].value)
    if not isinstance(there, Number) or not isinstance(taken, Number) or there.value <= 0 or taken.value >= 0:
        return None
    return there.value, -taken.value


def _more_than_certain(facts: Facts) -> Iterator[Finding]:
    """`P(A) = 3/2`, `probability of red = 120%`."""
    solution = facts.solution
    for statement in solution.statements:
        first = statement.sides[0]
        if not _is_event(first.node) and not _PROBABILITY.search(statement.label):
            continue
        for side, sign in zip(statement.sides[1:], statement.signs, strict=True):
            if sign in ("=", "is") and side.value is not None and _is_no_share(side, side.value):
                written = excerpt(solution.text[slice(*side.span)])
                message = f"{written} is given as a probability, but these lie between 0 and 1."
                yield _impossible("share_above_100", side.span, written, message, RULE)
                return


def _is_event(node: Node | None) -> bool:
    """`P`, `P(A)`"""
    if isinstance(node, Name):
        return node.text in ("P", "Pr")
    return isinstance(node, Operation) and node.name in ("apply P", "apply Pr")


def _is_no_share(side: Side, value: Fraction) -> bool:
    """Whether a value is no share of a whole, nor a percentage without its sign, such as 30."""
    if side.percent or not 0 <= value <= 100:
        return not 0 <= value <= 1
    is_fraction = isinstance(side.node, Operation) and side.node.name == "/"
    return value.denominator != 1 and value > 1 and (value <= 2 or is_fraction)
