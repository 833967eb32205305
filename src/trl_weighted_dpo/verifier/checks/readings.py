"""Other readings under which two sides that differ as written are still the same.

Whatever a careful reader would let pass is let pass: numbers rounded or cut to the digits shown, the tail of a binary
float, a percent sign left out or worked out, another unit on the other side, a share of something.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.checks.conversions import base_size, may_convert, size, units_in
from trl_weighted_dpo.verifier.checks.rounding import (
    FLOAT_TAIL,
    approximate,
    has_float_tail,
    interval,
    rounds_whole,
    shows_rounded,
)
from trl_weighted_dpo.verifier.reading import characters
from trl_weighted_dpo.verifier.reading.grammar import Node, Number, Operation
from trl_weighted_dpo.verifier.reading.items import Item, ItemKind, streams
from trl_weighted_dpo.verifier.reading.passage import Side
from trl_weighted_dpo.verifier.reading.sides import expression, kinds_of
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError

_APPROXIMATE = Fraction(1, 20)
_IRRATIONAL = Fraction(1, 100)
_CLAUSE = 40
_SENTENCE = 200
_PERCENT = re.compile(r"%|per ?cent", re.IGNORECASE)
_OF = re.compile(r"\bof\b")
_COMPOUND = re.compile(r" ?[A-Za-z]{1,12},? (?:and )?\d[\d,.]{0,12} ?[A-Za-z]")
_CLAUSE_END = re.compile(r"[.,;:\n=]")
_SENTENCE_END = re.compile(r"[.;!?](?=\s)|\n")
_DROPPED = frozenset({ItemKind.CONTEXT, ItemKind.UNIT, ItemKind.CURRENCY})
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "hundred": 100}
_HYPOTHESIS = re.compile(
    r"\b(?:suppose|assum\w*|contradict\w*|false|incorrect\w*|impossible|mistake\w*|wrong\w*|tr(?:y|ying)|guess\w*"
    r"|not (?:true|equal|possible|valid|hold|work|satisf\w*|an? )|(?:does|do|is|are|did)(?:n't| not)|cannot|can't"
    r"|no solutions?|mod(?:ulo)?|remainders?|instead of|rather than|about|approximate\w*|round\w*|roughly|nearly"
    r"|almost|estimat\w*)\b|\\p?mod|\?"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides that a sign or a repeated label equates, both with a value, and the text around them in plain
    characters with single characters.

    Args:
        left (`Side`): The first side.
        right (`Side`): The second side.
        nodes (`tuple[Node, Node]`): Their trees.
        values (`tuple[Fraction, Fraction]`): Their values, of irrational ones to about 15 digits.
        is_exact (`bool`): Whether both values are exact.
        before (`str`): What stands before them.
        first (`str`): The first side as written.
        joint (`str`): What stands between them.
        second (`str`): The second side as written.
        after (`str`): What stands after them.
    """

    left: Side
    right: Side
    nodes: tuple[Node, Node]
    values: tuple[Fraction, Fraction]
    is_exact: bool
    before: str
    first: str
    joint: str
    second: str
    after: str

    def both_ways(self) -> Iterator[tuple[Side, Node, Fraction]]:
        """Each side, with tree and value of the other one."""
        yield self.right, self.nodes[0], self.values[0]
        yield self.left, self.nodes[1], self.values[1]

    @property
    def following(self) -> str:
        """The words after the second side that can belong to it."""
        stop = _CLAUSE_END.search(self.after, 0, _CLAUSE)
        return self.after[: stop.start() if stop is not None else _CLAUSE]

    @property
    def sentence(self) -> str:
        """The sentence that they are in, as far as it is near, in small letters."""
        begin = 0
        for match in _SENTENCE_END.finditer(self.before):
            begin = match.end()
        stop = _SENTENCE_END.search(self.after)
        after = self.after[: stop.end() if stop is not None else len(self.after)]
        return f"{self.before[begin:]}{self.first}{self.joint}{self.second}{after}".lower()


def pair(plain: str, left: Side, right: Side) -> Pair | None:
    """Two sides with their values, or `None` if one has none."""
    if left.node is None or right.node is None:
        return None
    first = left.value if left.value is not None else approximate(left.node)
    second = right.value if right.value is not None or first is None else approximate(right.node)
    if first is None or second is None:
        return None
    return Pair(
        left,
        right,
        (left.node, right.node),
        (first, second),
        left.value is not None and right.value is not None,
        characters.before(plain, left.span[0], _SENTENCE),
        characters.squeezed(plain[slice(*left.span)]),
        characters.squeezed(plain[left.span[1] : min(right.span[0], left.span[1] + _SENTENCE)]),
        characters.squeezed(plain[slice(*right.span)]),
        characters.after(plain, right.span[1], _SENTENCE),
    )


def may_equal(sides: Pair) -> bool:
    """Whether some reasonable reading makes the sides the same."""
    return (
        _is_rounded(sides)
        or _is_irrational(sides)
        or _is_percent(sides)
        or _is_conversion(sides)
        or _is_other_division(sides)
        or _is_part_of(sides)
        or _is_compound(sides)
        or _is_scaled(sides)
        or is_hypothetical(sides)
    )


def is_about(left: Fraction, right: Fraction) -> bool:
    """Whether two values may stand on the sides of `≈`. Ours: within 5 % or 1, since texts round as they please."""
    return abs(left - right) <= max(_APPROXIMATE * max(abs(left), abs(right)), Fraction(1))


# Rounding


def _is_rounded(sides: Pair) -> bool:
    for shown, node, value in sides.both_ways():
        if has_float_tail(value, shown) or (shows_rounded(value, shown) and (shown.places or rounds_whole(node))):
            return True
        ends = interval(node) if isinstance(node, Operation) else None
        if ends is not None and ends[0] != ends[1] and shown.value is not None:
            slack = Fraction(1, 2 * 10**shown.places * (100 if shown.percent else 1)) if shown.places else Fraction(0)
            if ends[0] - slack <= shown.value <= ends[1] + slack:
                return True
    return False


def _is_irrational(sides: Pair) -> bool:
    """Whether a difference comes from π or a root cut short on the way: `16π = 50.24`. A root alone must be right to
    the digits shown."""
    if sides.is_exact:
        return False
    first, second = sides.values
    if abs(first - second) <= FLOAT_TAIL * max(abs(first), abs(second)):
        return True
    if all(shown.places is None for shown in (sides.left, sides.right)):
        return False
    alone = any(
        isinstance(node, Operation) and node.name == "sqrt" and isinstance(node.operands[0], Number)
        for node in sides.nodes
    )
    return not alone and abs(first - second) <= _IRRATIONAL * max(abs(first), abs(second))


# Percent, division, shares


def _exact(node: Node) -> tuple[Fraction, ...]:
    try:
        return (exact(node),)
    except (NotExactError, UnreadableError):
        return ()


def _without_percent(node: Node) -> Node:
    if not isinstance(node, Operation):
        return node
    operands = tuple(_without_percent(operand) for operand in node.operands)
    return operands[0] if node.name == "%" else Operation(node.name, operands)


def _of_the_rest(node: Node) -> Node | None:
    """`80 - 25%` as 25 % less than 80."""
    if not (isinstance(node, Operation) and node.name == "+" and len(node.operands) == 2):
        return None
    last = node.operands[1]
    inner = last.operands[0] if isinstance(last, Operation) and last.name == "neg" else last
    if not (isinstance(inner, Operation) and inner.name == "%"):
        return None
    return Operation("*", (node.operands[0], Operation("+", (Number(Fraction(1)), last))))


def _percent_values(node: Node) -> list[Fraction]:
    readings = (node, _without_percent(node), _of_the_rest(node))
    return [value for reading in readings if reading is not None for value in _exact(reading)]


def _is_percent(sides: Pair) -> bool:
    """Whether the sides are equal once percent signs are worked out, dropped or taken of what stands before."""
    if not any(_PERCENT.search(text) for text in (sides.first, sides.second, sides.following)):
        return False
    for first in _percent_values(sides.nodes[0]):
        for second in _percent_values(sides.nodes[1]):
            for factor in (Fraction(1), Fraction(100), Fraction(1, 100)):
                scaled = first * factor
                if scaled == second or shows_rounded(scaled, sides.right) or shows_rounded(second, sides.left):
                    return True
    return False


def _is_other_division(sides: Pair) -> bool:
    """`25 / 1/3` as 25 over a third: the last two of three numbers divided by each other may be a fraction."""
    for node, other in zip(sides.nodes, reversed(sides.values), strict=True):
        if isinstance(node, Operation) and node.name == "/":
            above = node.operands[0]
            if isinstance(above, Operation) and above.name == "/":
                below = Operation("/", (above.operands[1], node.operands[1]))
                if other in _exact(Operation("/", (above.operands[0], below))):
                    return True
    return False


def _is_part_of(sides: Pair) -> bool:
    """Whether `of` only says what a share is of: `1 - 2/3 = 1/3 of $150`, `10% of the $400 + $1580 = $1980`."""
    ends = _OF.search(sides.second)
    if ends is not None and _value_of(sides.second[: ends.start()]) == sides.values[0]:
        return True
    begins = _OF.search(sides.first)
    return begins is not None and _value_of(sides.first[begins.end() :]) == sides.values[1]


def _value_of(text: str) -> Fraction | None:
    items = [item for item in streams(text)[-1][1] if item[0] not in _DROPPED]
    return expression(items, kinds_of(items))[1] if items else None


# Units


def _is_conversion(sides: Pair) -> bool:
    """Whether the sides are one quantity in two units, as far as their units are known and written."""
    left, right = sides.left, sides.right
    are_lone = left.places is not None and right.places is not None
    if are_lone and left.unit and right.unit and left.unit != right.unit and size(left.unit, right.unit) is None:
        # `2 boxes = 24 eggs`
        return True
    units = units_in(f"{sides.first} {sides.joint} {sides.second} {sides.following}")
    first, second = sides.values
    if second and may_convert(first / second, units):
        return True
    return _same_in_base_units(sides, units)


def _same_in_base_units(sides: Pair, units: tuple[str, ...]) -> bool:
    """`2 hours + 30 minutes = 150 minutes`, `$3 + 50 cents = $3.50`"""
    first = _in_base_units(sides.first + sides.joint)
    second = _in_base_units(sides.second + sides.following)
    if first is None or second is None:
        return False
    if first[0] == second[0]:
        return True
    return second[0] != 0 and not second[1] and may_convert(first[0] / second[0], units)


def _in_base_units(text: str) -> tuple[Fraction, bool] | None:
    """The value of the expression that a text begins with, each number in the smallest unit of its kind; and whether
    there was a unit."""
    kept: list[Item] = []
    has_unit = False
    for item in streams(text)[-1][1]:
        kind = item[0]
        if kind in (ItemKind.BOUNDARY, ItemKind.RELATION):
            break
        if kind == ItemKind.UNIT and kept and kept[-1][0] == ItemKind.NUMBER:
            unit = units_in(item[1].partition(" ")[0])
            factor = base_size(unit[0]) if unit else None
            if factor is not None:
                has_unit = True
                kept += _times(factor)
        elif kind == ItemKind.CURRENCY:
            has_unit = True
            kept += [(ItemKind.NUMBER, "100", 0, 0), (ItemKind.OPERATOR, "*", 0, 0)]
        elif kind not in (ItemKind.CONTEXT, ItemKind.UNIT):
            kept.append(item)
    value = expression(kept, kinds_of(kept))[1] if kept else None
    return (value, has_unit) if value is not None else None


def _times(factor: Fraction) -> list[Item]:
    items = [(ItemKind.OPERATOR, "*", 0, 0), (ItemKind.NUMBER, str(factor.numerator), 0, 0)]
    if factor.denominator != 1:
        items += [(ItemKind.OPERATOR, "/", 0, 0), (ItemKind.NUMBER, str(factor.denominator), 0, 0)]
    return items


def _is_compound(sides: Pair) -> bool:
    """Whether more of the quantity follows: `2 hours, 30 minutes`."""
    return _COMPOUND.match(sides.after) is not None


# What the sentence says


def _is_scaled(sides: Pair) -> bool:
    """Whether the sentence counts in thousands or the like, and one side leaves that out."""
    first, second = sides.values
    if not first or not second:
        return False
    ratio = max(first / second, second / first)
    sentence = sides.sentence
    return any(ratio == scale and word in sentence for word, scale in _SCALES.items())


def is_hypothetical(sides: Pair) -> bool:
    """Whether the sentence says that what it states is a trial, false or an estimate."""
    return _HYPOTHESIS.search(sides.sentence) is not None
