"""Whether two expressions have the same value: exactly where that is possible, else left to a symbolic decision."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from trl_weighted_dpo.verifier.answers.units import factors, factors_to_others
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation, TooCostlyError
from trl_weighted_dpo.verifier.reading.structure import Quantity
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason, a short fixed phrase. `pending` marks one that a symbolic decision could settle."""

    verdict: Verdict
    reason: str
    pending: bool = False


def correct(reason: str) -> Decision:
    return Decision(Verdict.CORRECT, reason)


def incorrect(reason: str) -> Decision:
    return Decision(Verdict.INCORRECT, reason)


def undecided(reason: str) -> Decision:
    return Decision(Verdict.UNDECIDED, reason)


PENDING = Decision(Verdict.UNDECIDED, "needs a symbolic decision", pending=True)

Decide = Callable[[Node, Node], Decision]

_POINTS = 3
_UNIT_LETTERS = frozenset("mgshlLVNJWCKF")
_UNIT_POWERS: dict[Node, str] = {Number(Fraction(power), 0): str(power) for power in (2, 3)}
_PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")
_DEGREE = Operation("/", (Name("pi"), Number(Fraction(180), 0)))
_COARSE_PI = (Fraction(314, 100), Fraction(22, 7), Fraction(31416, 10_000))
_CHANGES_UNIT = frozenset({"per", "square", "cubic", "sq", "cu", "a", "an", "and"})
_RATIONAL = frozenset({"+", "*", "/", "neg", "%"})
_SPECIAL = frozenset({"infinity", "emptyset"})


def names(node: Node) -> Iterator[str]:
    if isinstance(node, Name):
        yield node.text
    elif isinstance(node, Operation):
        if node.name.startswith("apply "):
            yield node.name
        for operand in node.operands:
            yield from names(operand)


def is_rational(node: Node) -> bool:
    """Whether a tree is a rational function of its names, with whole exponents and with numbers of any other form.

    Random evaluation decides these only: an absolute value or a root of a square agrees with a polynomial on one side
    of a point, however many points are drawn there.
    """
    if not isinstance(node, Operation):
        return True
    if node.name in _RATIONAL:
        return all(map(is_rational, node.operands))
    if node.name == "^":
        base, exponent = node.operands
        return is_rational(base) and (_is_whole(exponent) or not any(names(node)))
    return not any(names(node))


def _is_whole(node: Node) -> bool:
    try:
        return exact(node).denominator == 1
    except (NotExactError, TooCostlyError):
        return False


def points(*nodes: Node) -> Iterator[dict[str, Fraction]]:
    """Values for the names of `nodes`, drawn anew for each set of points from a hash of what is compared: the same in
    every process, and not known in advance to whoever wrote the text."""
    seed = hashlib.sha256(repr(nodes).encode("utf-8", "backslashreplace")).digest()
    generator = random.Random(seed)
    every = sorted({name for node in nodes for name in names(node)})
    while True:
        yield {name: Fraction(generator.randrange(1, 2**40) * generator.choice((-1, 1)), 2**20) for name in every}


def evaluations(nodes: tuple[Node, ...], count: int = _POINTS) -> list[list[Fraction]] | None:
    """The values of `nodes` at `count` random points, or `None` if they are not rational functions."""
    if not all(map(is_rational, nodes)):
        return None
    found: list[list[Fraction]] = []
    for _, values in zip(range(3 * count), points(*nodes), strict=False):
        try:
            found.append([exact(node, values) for node in nodes])
        except NotExactError as error:
            if "division by zero" not in str(error):
                return None
        except TooCostlyError:
            return None
        if len(found) == count:
            return found
    return None


def same_value(reference: Node, found: Node) -> Decision:
    """Decides whether two trees are equal as rational functions of their names (π counts as a name, for which it is
    transcendental); `PENDING` if one is no rational function.

    Unequal values at one point prove a difference. Equal values at three random points of 2^40 each prove equality but
    for a chance below (degree / 2^40)^3 (Schwartz-Zippel).
    """
    if reference == found:
        return correct("same expression")
    try:
        left, right = exact(reference), exact(found)
    except TooCostlyError:
        return undecided("too costly")
    except NotExactError:
        pass
    else:
        return correct("same number") if left == right else incorrect("numbers differ")
    mentioned = {*names(reference), *names(found)}
    if mentioned & _SPECIAL:
        return _special(reference, found)
    if {"e", "i"} & mentioned:
        return PENDING
    values = evaluations((reference, found))
    if values is None:
        return PENDING
    if all(left == right for left, right in values):
        return correct("same expression")
    only_one_side = set(names(reference)) ^ set(names(found))
    is_word = any(len(name) > 2 and name.isalpha() for name in only_one_side)
    if only_one_side and (only_one_side <= _UNIT_LETTERS or is_word):
        return undecided("a unit or an unknown word")
    return (_with_pi(reference, found) if mentioned == {"pi"} else None) or incorrect("expressions differ")


def _special(reference: Node, found: Node) -> Decision:
    """Infinity and the empty set: compared as signs, never computed with."""

    def bare(node: Node) -> Node:
        return node.operands[0] if isinstance(node, Operation) and node.name == "neg" else node

    for node in (reference, found):
        if not isinstance(bare(node), Name) and _SPECIAL & set(names(node)):
            raise UnreadableError("arithmetic with infinity")
    return incorrect("expressions differ")


def _with_pi(reference: Node, found: Node) -> Decision | None:
    """Decides a number against an expression of π from which it differs, as its rounded value it may stand for."""
    for written, expression in ((reference, found), (found, reference)):
        if not isinstance(written, Number):
            continue
        try:
            value = exact(expression, {"pi": _PI})
            coarse = [exact(expression, {"pi": pi}) for pi in _COARSE_PI]
        except (NotExactError, TooCostlyError):
            return None
        if written.value in coarse:
            return undecided("rounded")
        return rounding(written, value)
    return None


def _significant(written: Number) -> int:
    digits = str(abs(written.value.numerator * 10 ** (written.places or 0) // written.value.denominator))
    return len(digits.lstrip("0"))


def _rounded(exact_value: Fraction, written: Number) -> bool:
    """Whether `written` is `exact_value` rounded to as many places as it has."""
    return abs(exact_value - written.value) * 2 <= Fraction(1, 10 ** (written.places or 0))


def same_decimal(reference: Quantity, found: Quantity) -> Decision | None:
    """Decides numbers that differ, of which at least one is written as a decimal; `None` if that explains nothing."""
    roundings = [
        decision
        for first, second in ((reference.node, found.node), (found.node, reference.node))
        if (decision := _rounding(first, second)) is not None
    ]
    right = [decision for decision in roundings if decision.verdict is Verdict.CORRECT]
    return next(iter(right or roundings), None)


def _rounding(written: Node, other: Node) -> Decision | None:
    if not isinstance(written, Number) or not written.places:
        return None
    try:
        value = exact(other)
    except (NotExactError, TooCostlyError):
        return None
    return rounding(written, value, other.places if isinstance(other, Number) else None)


def rounding(written: Number, value: Fraction, places: int | None = None) -> Decision | None:
    """Decides whether a decimal stands for a value that it is not; `None` if it does not.

    A tail of binary floating point (14 or more digits written, off by less than one in 10^14) is no difference. A
    fraction or an irrational number may be given as a decimal of six or more significant digits, correctly rounded. A
    coarser rounding of either side by the other is not for us to decide, as the problem may ask for it or not.

    Args:
        written (`Number`): The decimal.
        value (`Fraction`): The value, exact or to many more digits than `written` has.
        places (`int`, *optional*): Decimals of the value if it is one too.
    """
    if not written.places:
        return None
    digits = _significant(written)
    if digits >= 14 and written.value.denominator > 1 and abs(value - written.value) * 10**14 <= abs(value):
        return correct("same number up to floating point")
    if not _rounded(value, written):
        return None
    if digits >= 6 and places is None:
        return correct("same number, rounded")
    return undecided("rounded") if places is None or places > written.places else None


def same_quantity(reference: Quantity, found: Quantity, decide: Decide) -> Decision:
    """Decides whether two quantities are equal, with what is written around them.

    A unit that only one side gives is no difference; two different units leave the matter undecided. A percent sign
    that only one side gives may be left out (`20` for `20%`) or worked out (`0.2` for `20%`); below 1 % both readings
    compete, and nothing is decided. Nor is it for `5` and `5 million`, though `5,000,000` is the latter.
    """
    if reference.unit and not found.unit:
        found = _with_letter_unit(found)
    elif found.unit and not reference.unit:
        reference = _with_letter_unit(reference)
    decision = decide(reference.node, found.node)
    if decision.verdict is Verdict.INCORRECT:
        decision = same_decimal(reference, found) or decision
    if reference.percent != found.percent:
        decision = _percent(reference, found, decision)
    if reference.scale != found.scale:
        decision = _scaled(reference, found, decision)
    return _with_units(reference, found, decision, decide)


def _with_letter_unit(quantity: Quantity) -> Quantity:
    """`500 g`, `2 m^3` and `25 m/s` beside a quantity with a unit: there, the letters are units."""
    node, unit = quantity.node, ""
    if isinstance(node, Operation) and node.name == "/" and isinstance(node.operands[1], Name):
        unit = "/" + node.operands[1].text
        node = node.operands[0]
    if not isinstance(node, Operation) or node.name != "*" or len(node.operands) != 2:
        return quantity
    number, letter = node.operands
    if isinstance(letter, Operation) and letter.name == "^" and letter.operands[1] in _UNIT_POWERS:
        unit = f" {_UNIT_POWERS[letter.operands[1]]}{unit}"
        letter = letter.operands[0]
    if not isinstance(number, Number) or not isinstance(letter, Name) or letter.text not in _UNIT_LETTERS:
        return quantity
    return replace(quantity, node=number, unit=letter.text.lower() + unit)


def _with_units(reference: Quantity, found: Quantity, decision: Decision, decide: Decide) -> Decision:
    first, second = reference.unit, found.unit
    if first is None and second is None:
        return decision
    if first is None or second is None:
        pair = (found, reference) if first is None else (reference, found)
        return decision if decision.verdict is Verdict.CORRECT else _with_one_unit(*pair, decision, decide)
    if first == second or _is_part(first, second) or _is_part(second, first):
        return decision
    if {first, second} == {"am", "pm"}:
        return incorrect("times differ")
    decisions = [_converted(reference, found, factor, decide) for factor in factors(second, first)]
    right = next((other for other in decisions if other.verdict is Verdict.CORRECT), None)
    if right is None and (decision.verdict is Verdict.CORRECT or len(decisions) != 1):
        # The same number in another unit: which of both is a slip, nobody can tell.
        return undecided("units differ")
    return right or decisions[0]


def _converted(reference: Quantity, found: Quantity, factor: Fraction, decide: Decide) -> Decision:
    """Decides two quantities in units of one dimension; `factor` of the reference's unit is one of the other."""
    if reference.percent or found.percent:
        return undecided("percent of an expression")
    scaled = [Operation("*", (item.node, Number(Fraction(item.scale), 0))) for item in (reference, found)]
    if decide(scaled[0], Operation("*", (scaled[1], Number(factor, 0)))).verdict is Verdict.CORRECT:
        return correct("same quantity")
    try:
        values = [exact(node) for node in scaled]
    except (NotExactError, TooCostlyError):
        return undecided("units differ")
    for item, value in ((reference, values[1] * factor), (found, values[0] / factor)):
        # A whole number may be rounded to its last digit, too: 5 km for 3.1 miles.
        if (
            isinstance(item.node, Number)
            and _rounded(value, item.node)
            and (_significant(item.node) > 1 or abs(value - item.node.value) * 50 < abs(value))
        ):
            return undecided("rounded")
    return incorrect("quantities differ")


def _with_one_unit(named: Quantity, bare: Quantity, decision: Decision, decide: Decide) -> Decision:
    """Decides a quantity with a unit against a number without one, which differ as numbers: the number may be meant in
    another unit."""
    if decision.verdict is not Verdict.INCORRECT or named.unit is None:
        return decision
    if named.unit == "degree" and "pi" in names(bare.node):
        in_radians = decide(Operation("*", (named.node, _DEGREE)), bare.node)
        return in_radians if in_radians.verdict is not Verdict.INCORRECT or in_radians.pending else decision
    try:
        values = [exact(item.node) * item.scale for item in (named, bare)]
    except (NotExactError, TooCostlyError):
        return decision
    for factor in factors_to_others(named.unit):
        if (
            values[0] * factor == values[1]
            or _stands_for(bare, values[0] * factor)
            or _stands_for(named, values[1] / factor)
        ):
            return undecided("unit of one side only")
    return _based(named, bare, decision)


def _stands_for(written: Quantity, value: Fraction) -> bool:
    """Whether a decimal is a value, rounded."""
    node = written.node
    return isinstance(node, Number) and bool(node.places) and _significant(node) > 1 and _rounded(value, node)


def _is_part(unit: str, longer: str) -> bool:
    """Whether a unit is another without words that only tell more about the same things: `clip` and `hair clip`."""
    words, others = set(unit.split()), set(longer.split())
    return words < others and not others & _CHANGES_UNIT


def _based(based: Quantity, other: Quantity, decision: Decision) -> Decision:
    """A number base that only one side gives may go without saying, unless the other side is the value in base ten."""
    if decision.verdict is not Verdict.INCORRECT or based.unit is None or not based.unit.startswith("base "):
        return decision
    if not isinstance(based.node, Number) or not isinstance(other.node, Number):
        return decision
    value = int(str(based.node.value), int(based.unit.removeprefix("base ")))
    return undecided("number bases differ") if value == other.node.value else decision


def _scaled(reference: Quantity, found: Quantity, plain_reading: Decision) -> Decision:
    try:
        values = [exact(quantity.node) * quantity.scale for quantity in (reference, found)]
    except (NotExactError, TooCostlyError):
        return undecided("million of an expression")
    if values[0] == values[1]:
        return correct("same number")
    # A dozen is as often the unit that was asked for as it is twelve.
    is_unit = {reference.scale, found.scale} == {1, 12}
    return undecided("million or not") if plain_reading.verdict is Verdict.CORRECT and not is_unit else plain_reading


def _percent(reference: Quantity, found: Quantity, plain_reading: Decision) -> Decision:
    with_sign, without = (reference, found) if reference.percent else (found, reference)
    try:
        percents, value = exact(with_sign.node), exact(without.node)
    except (NotExactError, TooCostlyError):
        return undecided("percent of an expression")
    if percents == 100 * value:
        return correct("same number")
    rounded = _rounding(with_sign.node, Operation("*", (without.node, Number(Fraction(100), 0)))) or _rounding(
        without.node, Operation("/", (with_sign.node, Number(Fraction(100), 0)))
    )
    if rounded is None and isinstance(with_sign.node, Number) and _significant(with_sign.node) > 1:
        rounded = undecided("rounded") if _rounded(100 * value, with_sign.node) else None
    if rounded is not None and plain_reading.verdict is Verdict.INCORRECT:
        return rounded
    if plain_reading.verdict is Verdict.CORRECT and abs(percents) < 1:
        return undecided("percent or not")
    return plain_reading
