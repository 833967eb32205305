"""The values that a problem gives and that its reference solution goes through: what a candidate may work with."""

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation, TooCostlyError
from trl_weighted_dpo.verifier.reading.passage import Mention, Passage, Statement

MAX_TERMS = 6
"""Terms of a sum and factors of a product whose regroupings are considered: 2^6 of each."""

MAX_STEPS = 16
"""Computations of a reference that those of a solution are compared with one by one."""

_MAX_EXPRESSION = 24

_CONSTANTS = {
    # word of the problem or solution: values that it brings with it, besides those of _UNIVERSAL
    "seconds": (60, 3600), "minute": (60,), "hour": (60, 24, 3600), "day": (24, 7, 30, 31, 365), "night": (7,),
    "week": (7, 52, 5, 4), "month": (12, 30, 31, 28, 4), "monthly": (12,), "weekly": (52, 4), "year": (12, 365, 52),
    "yearly": (12,), "decade": (10,), "dozen": (12,), "foot": (12, 3, 5280), "feet": (12, 3, 5280), "inch": (12, 36),
    "yard": (3, 36), "mile": (5280, 1760), "nickel": (5,), "dime": (10,), "quarter": (4, 25), "pound": (16,),
    "ounce": (16,), "gallon": (4, 8, 16, 128), "quart": (4, 32), "pint": (16,), "cup": (8, 16), "quarterly": (3, 4),
    "kilometer": (1000,), "km": (1000,), "kilogram": (1000,), "kg": (1000,), "gram": (1000,), "liter": (1000,),
    "meter": (1000,), "triangle": (3, 180), "square": (4,), "cube": (6, 12, 8), "circle": (360,),
    "angle": (180, 90, 360), "degree": (180, 360, 90), "side": (4, 6), "die": (6,), "dice": (6, 36), "average": (3, 4),
    "mean": (3,), "digit": (10, 9), "state": (50,), "leg": (4,), "wheel": (4,),
}  # fmt: skip
_UNIVERSAL = frozenset(map(Fraction, (0, 1, 2, 100)))
_WORDS = re.compile(r"[a-z]{3,12}")
_ASKED = re.compile(
    r"unknown variable \$?([A-Za-z])\b|(?:value of|find|solve for|what is)\s{1,2}\$([A-Za-z])\$", re.IGNORECASE
)
_RATIO = re.compile(r"\s{0,2}(?:/|:|out of|to|}\s{0,2}{)\s{0,2}")


def given_values(passage: Passage) -> frozenset[Fraction]:
    """The values that a text gives: its quantities, and what is read off each at once.

    `30%` gives 30, 0.3, 0.7, 1.3, 70 and 130; `a third` gives 1/3, 3 and 2/3; `3/4` gives 3, 4, 3/4 and 1/4.
    """
    values: set[Fraction] = set()
    before: Mention | None = None
    for mention in passage.mentions:
        value = mention.value
        values.add(value)
        if mention.percent or value.denominator != 1:
            share = value / 100 if mention.percent else value
            values.update((share, 1 - share, 1 + share, 100 * share, 100 - 100 * share, 100 + 100 * share))
            values.update((Fraction(share.numerator), Fraction(share.denominator)))
        if mention.unit == "dozen":
            values.add(12 * value)
        if before is not None and value and _RATIO.fullmatch(passage.plain, before.span[1], mention.span[0]):
            ratio = before.value / value
            values.update((ratio, 1 - ratio, 1 + ratio, 100 * ratio))
        before = mention
    return frozenset(values)


def constants(problem: str, solution: str = "") -> frozenset[Fraction]:
    """The constants that the words of a text bring with them (60 for `minutes`), and 0, 1, 2 and 100."""
    return _constants(_telling_words(problem) | _telling_words(solution))


@lru_cache(maxsize=256)
def _telling_words(text: str) -> frozenset[str]:
    found = set()
    for word in set(_WORDS.findall(text.lower())):
        if word in _CONSTANTS:
            found.add(word)
        elif word[-1] in "sd":
            found.update([form for form in (word[:-1], word[:-2]) if form in _CONSTANTS][:1])
    return frozenset(found)


@lru_cache(maxsize=1024)
def _constants(words: frozenset[str]) -> frozenset[Fraction]:
    values = {Fraction(value) for word in words for value in _CONSTANTS[word]}
    return _UNIVERSAL | values


def asked_unknown(problem: str) -> str | None:
    """The letter whose value a problem asks for, if it names one."""
    asked = _ASKED.search(problem)
    return next(filter(None, asked.groups())) if asked is not None else None


Shape = tuple[tuple[Fraction, ...], tuple[str, ...]]
"""What a computation is made of, however it is written: its numbers by size and its operations by name."""


def shape_of(node: Node) -> Shape:
    """The numbers and the operations of a computation: `3 * 4 + 5` and `5 + 4 * 3` have the same."""
    numbers: list[Fraction] = []
    names: list[str] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Number):
            numbers.append(abs(part.value))
            if part.value.numerator < 0:
                names.append("neg")
        elif isinstance(part, Operation):
            names += [part.name] * max(1, len(part.operands) - 1)
            stack.extend(part.operands)
    return tuple(sorted(numbers)), tuple(sorted(names))


@dataclass(frozen=True)
class Route:
    """What a reference solution goes through.

    Args:
        values (`frozenset[Fraction]`): The values that it writes or computes, parts of its expressions included.
        computed (`frozenset[Fraction]`): Those of them that it computes, or writes though they are neither given nor
            constants.
        operands (`frozenset[Fraction]`): The numbers that it computes with.
        results (`tuple[Fraction, ...]`): The results that it computes, in order, each once.
        last_operands (`frozenset[Fraction]`): The numbers that its last step computes with.
        ending (`frozenset[Fraction]`): Those of them that it computed before.
        steps (`tuple[tuple[Fraction, Node], ...]`): Its computations in order, each with its result.
        whole (`tuple[Node, ...]`): Its last two results, each as one expression of given values.
    """

    values: frozenset[Fraction | int]
    computed: frozenset[Fraction | int]
    operands: frozenset[Fraction | int]
    results: tuple[Fraction, ...]
    last_operands: frozenset[Fraction | int]
    ending: frozenset[Fraction | int]
    steps: tuple[tuple[Fraction, Node], ...]
    whole: tuple[Node, ...]

    @cached_property
    def shapes(self) -> tuple[tuple[Fraction, Shape], ...]:
        """Its first `MAX_STEPS` computations, each as its result and what it is made of."""
        return tuple((result, shape_of(node)) for result, node in self.steps[:MAX_STEPS])

    @cached_property
    def regrouped(self) -> frozenset[Fraction | int]:
        """Further values that other routes to the same result go through: partial sums and products of `whole`."""
        found: set[Fraction | int] = set()
        for node in self.whole:
            found |= _regroupings(node)
        return frozenset(found) - self.values


def key(value: Fraction) -> Fraction | int:
    """A value as sets are searched for it: whole ones as `int`, which equals it and is hashed several times faster."""
    return value.numerator if value.denominator == 1 else value


def approximate(value: Fraction | int) -> float:
    """The nearest float, infinite for what is beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def evaluate(node: Node | None, values: Mapping[str, Fraction] | None = None) -> Fraction | None:
    """The exact value of an expression with these values of its names, or `None`."""
    if node is None:
        return None
    try:
        return exact(node, values)
    except (NotExactError, TooCostlyError):
        return None


def subtrees(node: Node) -> Iterator[Number | Operation]:
    """The expression and every part of it that is not a name."""
    stack = [node]
    while stack:
        part = stack.pop()
        if not isinstance(part, Name):
            yield part
        if isinstance(part, Operation):
            stack.extend(part.operands)


def computations(
    statement: Statement, values: Mapping[str, Fraction] | None = None
) -> Iterator[tuple[int, Node, Fraction]]:
    """The computed sides of a statement that come to a value: index of the side, expression, exact value."""
    for index, side in enumerate(statement.sides):
        if isinstance(side.node, Operation) and side.node.name not in ("neg", "%"):
            value = side.value if side.value is not None or not values else evaluate(side.node, values)
            if value is not None:
                yield index, side.node, value


def stated_result(statement: Statement, index: int) -> Fraction | None:
    """The value that is written right after side `index` as its result, if one is."""
    if index + 1 >= len(statement.sides):
        return None
    side = statement.sides[index + 1]
    return side.value if side.places is not None else None


def read_route(reference: Passage, problem: Passage, values: Mapping[str, Fraction]) -> Route:
    """What `reference` goes through, its expressions in the unknown that is asked for evaluated at `values`."""
    written = {key(mention.value) for mention in reference.mentions}
    computed: set[Fraction | int] = set()
    operands: set[Fraction | int] = set()
    expressions: dict[Fraction | int, Node] = {}
    results: dict[Fraction, None] = {}
    steps: list[tuple[Fraction, Node]] = []
    step = -1
    earlier: frozenset[Fraction] = frozenset()
    last: frozenset[Fraction | int] = frozenset()
    for statement in reference.statements:
        for index, node, value in computations(statement, values):
            numbers: set[Fraction | int] = set()
            for part in subtrees(node):
                if isinstance(part, Number):
                    numbers.add(key(abs(part.value)))
                elif part is not node and part.name not in ("neg", "%"):
                    part_value = evaluate(part, values)
                    if part_value is not None:
                        computed.add(key(part_value))
            operands |= numbers
            stated = stated_result(statement, index)
            result = value if stated is None else stated
            computed.update((key(value), key(result)))
            if statement.step != step or steps[-1][0] != result:
                # `3 * 4 = <<3*4=12>>12` is one computation.
                steps.append((result, node))
                step = statement.step
            earlier = frozenset(results)
            results[result] = None
            last = frozenset(numbers)
            spelled = _substitute(node, expressions)
            expressions[key(value)] = expressions[key(result)] = spelled
    mentioned = written | computed | operands
    given = {key(mention.value) for mention in problem.mentions}
    computed |= mentioned - given - constants(problem.plain, reference.plain)
    # One expression stands under the value that it comes to and under the one that is stated for it.
    whole = list({id(node): node for node in expressions.values()}.values())[-2:]
    return Route(
        frozenset(mentioned),
        frozenset(computed),
        frozenset(operands),
        tuple(results),
        last,
        last & earlier,
        tuple(steps),
        tuple(whole),
    )


def _substitute(node: Node, expressions: Mapping[Fraction | int, Node]) -> Node:
    """`node` with each number that was computed before replaced by what it was computed from."""
    if isinstance(node, Number):
        found = expressions.get(key(node.value))
        return found if found is not None else node
    if not isinstance(node, Operation):
        return node
    spelled = Operation(node.name, tuple(_substitute(operand, expressions) for operand in node.operands))
    return spelled if sum(1 for _ in itertools.islice(subtrees(spelled), _MAX_EXPRESSION)) < _MAX_EXPRESSION else node


def _regroupings(node: Node) -> set[Fraction | int]:
    """Partial sums of the expression multiplied out, and partial products of its terms."""
    found: set[Fraction | int] = set()
    values = []
    for factors in _terms(node)[:MAX_TERMS]:
        found |= _subsets(factors[:MAX_TERMS], operator.mul)
        values.append(math.prod(factors, start=Fraction(1)))
    return found | _subsets(values, operator.add)


def _subsets(
    items: list[Fraction], combine: Callable[[Fraction | int, Fraction | int], Fraction | int]
) -> set[Fraction | int]:
    """The magnitudes of what the non-empty subsets of `items` combine to."""
    found: list[Fraction | int] = []
    for item in items:
        value = key(item)
        found += [value, *(combine(other, value) for other in found)]
    return {value if value >= 0 else -value for value in found}


def _terms(node: Node) -> list[list[Fraction]]:
    """The expression multiplied out: the factors of each term of the sum."""
    if isinstance(node, Operation):
        if node.name == "+":
            return [term for operand in node.operands for term in _terms(operand)]
        if node.name == "neg":
            return [[Fraction(-1), *term] for term in _terms(node.operands[0])]
        if node.name == "*":
            product: list[list[Fraction]] = [[]]
            for operand in node.operands:
                product = [left + right for left in product for right in _terms(operand)]
                if len(product) > MAX_TERMS:
                    return _atom(node)
            return product
        if node.name == "/":
            divisor = evaluate(node.operands[1])
            if divisor:
                below = _terms(node.operands[1])
                factors = [1 / f for f in below[0] if f] if len(below) == 1 else [1 / divisor]
                return [term + factors for term in _terms(node.operands[0])]
    return _atom(node)


def _atom(node: Node) -> list[list[Fraction]]:
    value = evaluate(node)
    return [[value]] if value is not None else []
