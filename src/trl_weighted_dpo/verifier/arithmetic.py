"""Exact arithmetic on untrusted text: a grammar with cost limits, never `eval`.

[`exact`] turns a tree of the grammar into a fraction. Length, depth, digits, exponents and factorials are bounded
before anything is computed, so that each call does a bounded amount of work whatever the text says.
"""

import math
from collections.abc import Mapping
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.grammar import MAX_EXPONENT, Name, Node, Number, TooCostlyError

MAX_BITS = 20_000
MAX_FACTORIAL = 500
MAX_DEGREE = 100
"""Degree of a root that is looked for among the rational numbers."""


class NotExactError(ValueError):
    """The tree has no value among the rational numbers that plain arithmetic can find."""


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if base < 0:
            # A real root to one, a complex number to another.
            raise NotExactError("a fractional power of a negative number")
        root = _root(base, exponent.denominator)
        return _power(root, Fraction(exponent.numerator))
    if base == 0 and exponent <= 0:
        raise NotExactError("zero to a power that is not positive")
    if abs(exponent) > MAX_EXPONENT or _bits(base) * abs(exponent) > MAX_BITS:
        raise TooCostlyError("power too large")
    return base**exponent.numerator


def _root(value: Fraction, degree: int) -> Fraction:
    """The real root; a negative number has one of an odd degree."""
    if not 2 <= degree <= MAX_DEGREE or (value < 0 and degree % 2 == 0):
        raise NotExactError("not a rational number")
    top, bottom = _whole_root(abs(value.numerator), degree), _whole_root(value.denominator, degree)
    if top**degree != abs(value.numerator) or bottom**degree != value.denominator:
        raise NotExactError("not a rational number")
    return Fraction(top if value >= 0 else -top, bottom)


def _whole_root(value: int, degree: int) -> int:
    """The largest whole number whose power is at most `value`, by Newton's method from above."""
    if degree == 2 or value < 2:
        return math.isqrt(value)
    root = 1 << -(-value.bit_length() // degree)
    while True:
        smaller = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if smaller >= root:
            return root
        root = smaller


def exact(node: Node, values: Mapping[str, Fraction] | None = None) -> Fraction:
    """Returns the exact value of a tree.

    Args:
        node (`Node`): The tree.
        values (`Mapping[str, Fraction]`, *optional*): The values of names; a name that is not here has none.

    Raises:
        `NotExactError`: If it has a name without a value, an irrational root, or no value (a division by zero).
        `TooCostlyError`: If a number on the way would pass `MAX_BITS`, `MAX_EXPONENT` or `MAX_FACTORIAL`.
    """
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        if values is None or node.text not in values:
            raise NotExactError(f"{node.text} has no value")
        return values[node.text]
    operands = [exact(operand, values) for operand in node.operands]
    value: Fraction | None
    match node.name:
        case "+":
            value = sum(operands, Fraction(0))
        case "*":
            value = math.prod(operands, start=Fraction(1)) if sum(map(_bits, operands)) <= MAX_BITS else None
        case "/":
            if operands[1] == 0:
                raise NotExactError("division by zero")
            value = operands[0] / operands[1]
        case "neg":
            value = -operands[0]
        case "%":
            value = operands[0] / 100
        case "abs":
            value = abs(operands[0])
        case "^":
            value = _power(operands[0], operands[1])
        case "sqrt":
            value = _root(operands[0], 2)
        case "root":
            value = _root(operands[0], _count(operands[1]))
        case "floor":
            value = Fraction(math.floor(operands[0]))
        case "ceil":
            value = Fraction(math.ceil(operands[0]))
        case "!":
            value = Fraction(math.factorial(_count(operands[0])))
        case "binom":
            value = Fraction(math.comb(_count(operands[0]), _count(operands[1])))
        case _:
            raise NotExactError(f"{node.name} is not arithmetic")
    if value is None or _bits(value) > MAX_BITS:
        raise TooCostlyError("number too large")
    return value


def _count(value: Fraction) -> int:
    if value.denominator != 1 or value < 0:
        raise NotExactError("not a whole number")
    if value > MAX_FACTORIAL:
        raise TooCostlyError("factorial too large")
    return value.numerator
