"""Values as texts round them: to the digits shown, by binary floats, or on the way to a result."""

import math
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import Side

FLOAT_TAIL = Fraction(1, 10**9)
"""How far, relative, the tail of a binary float may be off."""

_FLOAT_PLACES = 10
_MAX_POWER = 1_000
_MAX_FLOAT = 10**15


def approximate(node: Node) -> Fraction | None:
    """The value of a tree whose only name is π, to the precision of a float; `None` for others."""
    value = _float(node)
    return Fraction(value) if value is not None and math.isfinite(value) else None


def _float(node: Node) -> float | None:
    if isinstance(node, Number):
        return float(node.value) if abs(node.value) < _MAX_FLOAT else None
    if isinstance(node, Name):
        return math.pi if node.text == "pi" else None
    operands: list[float] = []
    for operand in node.operands:
        value = _float(operand)
        if value is None:
            return None
        operands.append(value)
    first = operands[0]
    last = operands[-1]
    match node.name:
        case "+":
            return sum(operands)
        case "*":
            return math.prod(operands)
        case "/":
            return first / last if last else None
        case "neg":
            return -first
        case "%":
            return first / 100
        case "sqrt":
            return math.sqrt(first) if first >= 0 else None
        case "^":
            if first > 0 and abs(last * math.log(first)) < math.log(_MAX_POWER):
                return float(first**last)
            return None
        case _:
            return None


def shows_rounded(value: Fraction, shown: Side) -> bool:
    """Whether the number that a side shows is `value` rounded, or cut, to the digits that it shows.

    A value that these digits can show exactly is not rounded: 5.7 is no 5.6, though 5.67 may be shown as 5.6.
    """
    if shown.places is None or shown.value is None:
        return False
    unit = Fraction(1, 10**shown.places * (100 if shown.percent else 1))
    return (value / unit).denominator != 1 and abs(value - shown.value) < unit


def has_float_tail(value: Fraction, shown: Side) -> bool:
    """Whether a side shows `value` with the digits that a binary computation leaves."""
    if shown.places is None or shown.value is None or shown.places < _FLOAT_PLACES:
        return False
    return abs(value - shown.value) <= FLOAT_TAIL * max(abs(value), Fraction(1))


def rounds_whole(node: Node) -> bool:
    """Whether a computation is of the kind whose result people round to a whole number without saying so."""
    if isinstance(node, Number):
        return bool(node.places and node.places >= 2)
    if not isinstance(node, Operation):
        return node.text == "pi"
    return node.name in ("/", "%", "sqrt") or any(map(rounds_whole, node.operands))


def interval(node: Node) -> tuple[Fraction, Fraction] | None:
    """The values that a tree can have if each of its decimals of two or more places was rounded before, or `None`.

    `66.67 * 3` is between 199.995 and 200.025. Decimals of exactly two places count as exact in sums, where they are
    money.
    """
    if isinstance(node, Number):
        if not node.places or node.places < 2:
            return node.value, node.value
        half = Fraction(1, 2 * 10**node.places)
        return node.value - half, node.value + half
    if not isinstance(node, Operation):
        return None
    parts = []
    for operand in node.operands:
        if node.name == "+" and isinstance(operand, Number) and (operand.places or 0) < 3:
            part: tuple[Fraction, Fraction] | None = (operand.value, operand.value)
        else:
            part = interval(operand)
        if part is None:
            return None
        parts.append(part)
    match node.name:
        case "+":
            return sum((low for low, _ in parts), Fraction(0)), sum((high for _, high in parts), Fraction(0))
        case "neg":
            return -parts[0][1], -parts[0][0]
        case "%":
            return parts[0][0] / 100, parts[0][1] / 100
        case "*":
            low, high = parts[0]
            for part in parts[1:]:
                ends = [first * second for first in (low, high) for second in part]
                low, high = min(ends), max(ends)
            return low, high
        case "/":
            if parts[1][0] <= 0 <= parts[1][1]:
                return None
            ends = [first / second for first in parts[0] for second in parts[1]]
            return min(ends), max(ends)
        case _:
            return None
