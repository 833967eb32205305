"""The dimension `numerical_validity`: whether every equation and comparison of a solution holds as written."""

import re
from collections.abc import Iterator
from fractions import Fraction

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.checks.conversions import size
from trl_weighted_dpo.verifier.checks.readings import Pair, is_about, is_hypothetical, may_equal, pair
from trl_weighted_dpo.verifier.checks.rewriting import Solution, are_identical, broken_step, restated, rewritten
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding, finding, score_of
from trl_weighted_dpo.verifier.reading.grammar import Node, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import Passage, Side, Statement

DIMENSION = "numerical_validity"

MAX_FINDINGS = 50
"""Findings of one solution at most."""

MAX_CHECKS = 200
"""Pairs of sides of one solution that are looked at twice at most, because they differ as written."""

_MAX_QUOTED = 1_000
_PLACES = 2
_NEARLY = Fraction(1, 100)
_CALCULATOR = re.compile(r"<<[^<>]{0,400}>>")
_TAKEN_BACK = re.compile(
    r"[\s.,;:!?*$\\)\]-]{0,6}(?:but |no,? )?(?:wait|hmm|actually|(?:that|this|which)(?:'s| is| was) "
    r"(?:wrong|false)|let me (?:re|correct|check))\b",
    re.IGNORECASE,
)
_EQUAL = frozenset({"=", "is", "approx", "<=", ">="})
_SAID = {"<": "less than", ">": "more than", "<=": "at most", ">=": "at least", "!=": "different from"}


def check(facts: Facts) -> DimensionResult:
    """Checks every two sides that the solution equates or compares; `None` if it does so nowhere."""
    passage = facts.solution
    findings: list[Finding] = []
    checked = False
    checks = 0
    earlier: Statement | None = None
    before: Statement | None = None
    for statement in passage.statements:
        for index, sign in enumerate(statement.signs):
            if len(findings) >= MAX_FINDINGS or checks >= MAX_CHECKS:
                break
            left, right = statement.sides[index], statement.sides[index + 1]
            if left.node is None or right.node is None:
                continue
            # Equal values are mostly one object, and comparing fractions is slow.
            is_equal = left.value is not None and (left.value is right.value or left.value == right.value)
            if is_equal and sign in _EQUAL:
                checked = True
                continue
            sides = pair(passage.plain, left, right)
            if sides is not None:
                checked = True
                checks += 1
                if not _is_style(statement, index) and not _TAKEN_BACK.match(passage.plain, statement.span[1]):
                    _add(findings, _check(passage, sides, sign))
        if statement.source != "calculator":
            for left, right in _said_again(passage, before, statement):
                checked = True
                _add(findings, _check_again(passage, left, right))
            if before is not None and (broken := broken_step(passage, earlier, before, statement)) is not None:
                checked = True
                _add(findings, _broken(passage, before, statement, *broken))
            earlier, before = before, statement
        if len(findings) >= MAX_FINDINGS or checks >= MAX_CHECKS:
            break
    if not checked:
        return DimensionResult(None, (), ("equations to compute",))
    return DimensionResult(score_of(findings), tuple(findings))


def _said_again(passage: Passage, before: Statement | None, statement: Statement) -> Iterator[tuple[Side, Side]]:
    if before is not None and (sides := restated(passage, before, statement)) is not None:
        yield sides
    yield from rewritten(statement)


def _add(findings: list[Finding], new: Finding | None) -> None:
    """Adds a finding unless it is the same slip again: `<<3*4=13>>` within `3 * 4 = <<3*4=13>>13`."""
    if new is not None and not any(
        (item.step, item.expected, item.found) == (new.step, new.expected, new.found) for item in findings[-3:]
    ):
        findings.append(new)


def _check(passage: Passage, sides: Pair, sign: str) -> Finding | None:
    """Checks two sides whose values differ, or that are compared."""
    first, second = sides.values
    if sign in ("=", "is"):
        if may_equal(sides):
            return None
        return _unequal(passage, sides, "wrong_rounding" if _is_nearly(sides) else "wrong_equation")
    if sign == "approx":
        return None if is_about(first, second) or may_equal(sides) else _unequal(passage, sides, "wrong_equation")
    holds = {
        "<": first < second,
        ">": first > second,
        "<=": first <= second,
        ">=": first >= second,
        "!=": first != second,
    }[sign]
    span = _around(sides.left, sides.right)
    if holds or not sides.is_exact or is_hypothetical(sides):
        return None
    left, right = _text(passage, sides.left), _text(passage, sides.right)
    step = passage.step_at(sides.right.span[0])
    message = f"{left} is not {_SAID[sign]} {right}."
    return finding(DIMENSION, "wrong_comparison", span, message, found=f"{left} {sign} {right}", step=step)


def _check_again(passage: Passage, left: Side, right: Side) -> Finding | None:
    """Checks two sides that must be the same though no sign joins them, or though they have names."""
    if left.value is not None and left.value == right.value:
        return None
    sides = pair(passage.plain, left, right)
    if sides is not None:
        return _check(passage, sides, "=")
    if left.node is None or right.node is None or are_identical(left.node, right.node):
        return None
    first, second = _text(passage, left), _text(passage, right)
    step = passage.step_at(right.span[0])
    message = f"{first} and {second} are not the same expression."
    return finding(DIMENSION, "wrong_identity", _around(left, right), message, found=second, step=step)


def _broken(passage: Passage, before: Statement, statement: Statement, right: Solution, wrong: Solution) -> Finding:
    first, second = _quoted(passage, before.span), _quoted(passage, statement.span)
    expected = f"{right.name} {right.sign} {number(right.value, _PLACES)}"
    found = f"{wrong.name} {wrong.sign} {number(wrong.value, _PLACES)}"
    message = f"From {first} follows {expected}, but {second} means {found}."
    step = passage.step_at(statement.sides[1].span[0])
    return finding(DIMENSION, "wrong_solving_step", statement.span, message, expected=expected, found=second, step=step)


def _is_style(statement: Statement, index: int) -> bool:
    """Whether the sign is used for something else than equality: `4 boxes = 4 * 12`, `3 + 2 = 5 * 2 = 10`."""
    left, right = statement.sides[index], statement.sides[index + 1]
    if isinstance(right.node, Operation):
        first: Node = right.node
        while isinstance(first, Operation) and first.name in ("+", "*", "/"):
            first = first.operands[0]
        if isinstance(first, Number) and first.value == left.value:
            return True
    if left.places is None:
        return False
    if left.percent and not right.percent:
        return True
    if left.unit in ("", "dollar") or left.unit == right.unit:
        return False
    return right.unit == "" or size(left.unit, right.unit) is None


def _is_nearly(sides: Pair) -> bool:
    """Whether a decimal is off by less than a hundredth of what it should be."""
    first, second = sides.values
    return any((sides.left.places, sides.right.places)) and abs(first - second) < _NEARLY * abs(first)


def _unequal(passage: Passage, sides: Pair, kind: str) -> Finding:
    computed, shown, value, other = sides.left, sides.right, *sides.values
    if sides.right.places is None and sides.left.places is not None:
        computed, shown, value, other = sides.right, sides.left, *reversed(sides.values)
    expected = _number(value, shown)
    computed_text, found = _text(passage, computed), _text(passage, shown)
    if shown.places is None:
        message = f"{computed_text} is {expected}, but {found} is {number(other, _PLACES)}."
    elif computed.places is not None:
        message = f"{_text(passage, sides.left)} and {_text(passage, sides.right)} are not the same."
    else:
        message = f"{computed_text} is {expected}, not {found}."
    step = passage.step_at(sides.right.span[0])
    span = _around(sides.left, sides.right)
    return finding(DIMENSION, kind, span, message, expected=expected, found=found, step=step)


def _around(left: Side, right: Side) -> tuple[int, int]:
    """The span of two sides, of which the second may stand within a statement that the first ends."""
    return min(left.span[0], right.span[0]), max(left.span[1], right.span[1])


def _text(passage: Passage, side: Side) -> str:
    return _quoted(passage, side.span)


def _quoted(passage: Passage, span: tuple[int, int]) -> str:
    """A place as the solution writes it, without the calculator's marks."""
    return excerpt(_CALCULATOR.sub("", passage.text[span[0] : min(span[1], span[0] + _MAX_QUOTED)]))


def _number(value: Fraction, like: Side) -> str:
    """A value as a person writes it, in percent if the side that it should have been on is."""
    if like.percent:
        return number(value * 100, _PLACES) + "%"
    return number(value, max(_PLACES, like.places or 0))
