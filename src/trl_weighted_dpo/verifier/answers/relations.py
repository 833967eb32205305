"""Whether two equations or inequalities say the same."""

from fractions import Fraction

from trl_weighted_dpo.verifier.answers.scalars import (
    PENDING,
    Decision,
    correct,
    evaluations,
    incorrect,
    points,
    undecided,
)
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Operation, TooCostlyError
from trl_weighted_dpo.verifier.reading.structure import Form, Interval, Many, Quantity, Relation

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_SAMPLES = 6


def ascending(relation: Relation) -> Relation:
    """Returns the relation with its inequality signs pointing to the larger side."""
    if all(sign in (">", ">=") for sign in relation.signs):
        flipped = tuple(_FLIPPED[sign] for sign in reversed(relation.signs))
        return Relation(tuple(reversed(relation.sides)), flipped)
    return relation


def solution_interval(relation: Relation) -> Form | None:
    """Returns the interval that `x >= 5` or `1 < x < 2` describes; `None` if it is no bound of one name."""
    chain = ascending(relation)
    if not set(chain.signs) <= {"<", "<="}:
        return None
    closed = [sign == "<=" for sign in chain.signs]
    unnamed = [not _is_named(side) for side in chain.sides]
    infinity = Name("infinity")
    if unnamed == [True, False, True]:
        return Interval(chain.sides[0], chain.sides[2], closed[0], closed[1])
    if unnamed == [True, False]:
        return Interval(chain.sides[0], Quantity(infinity), closed[0], False)
    if unnamed == [False, True]:
        return Interval(Quantity(Operation("neg", (infinity,))), chain.sides[1], False, closed[0])
    return None


def excluded_point(relation: Relation) -> Form | None:
    """Returns the value that `x != 3` takes out; `None` if it is another relation."""
    if relation.signs != ("!=",) or _is_named(relation.sides[0]) == _is_named(relation.sides[1]):
        return None
    return relation.sides[1] if _is_named(relation.sides[0]) else relation.sides[0]


def bounded(relation: Relation) -> frozenset[Form]:
    """The names that a relation bounds."""
    return frozenset(side for side in relation.sides if _is_named(side))


def _is_named(side: Form) -> bool:
    if not isinstance(side, Quantity):
        return False
    node = side.node
    return (isinstance(node, Name) and node.text not in ("pi", "infinity")) or _is_applied(node)


def _is_applied(node: Node) -> bool:
    return isinstance(node, Operation) and node.name.startswith("apply ")


def as_interval(form: Form) -> Form:
    """Returns a pair in brackets as the interval that it may mean; anything else unchanged."""
    if isinstance(form, Many) and form.kind in ("tuple", "bracket") and len(form.items) == 2:
        closed = form.kind == "bracket"
        return Interval(form.items[0], form.items[1], closed, closed)
    return form


def _difference(relation: Relation) -> Node | None:
    """Left minus right of a relation between two expressions."""
    if len(relation.sides) != 2:
        return None
    left, right = relation.sides
    if not isinstance(left, Quantity) or not isinstance(right, Quantity) or left.percent or right.percent:
        return None
    return Operation("+", (left.node, Operation("neg", (right.node,))))


def _is_linear(node: Node) -> bool:
    """Whether a rational function is of first degree, tested on lines through random points."""
    generator = points(node)
    for _ in range(_SAMPLES):
        first, second = next(generator), next(generator)
        between = {name: (first[name] + second[name]) / 2 for name in first}
        try:
            low, high, middle = (exact(node, values) for values in (first, second, between))
        except (NotExactError, TooCostlyError):
            return False
        if low + high != 2 * middle:
            return False
    return True


def same_relation(reference: Relation, found: Relation) -> Decision:
    """Decides two relations between two expressions each.

    They are equal if left minus right of one is a constant multiple of the other's (positive, for an inequality) and
    the signs agree. If both are of first degree and that fails, they differ; for others, nothing is decided, as
    different equations may have the same solutions.
    """
    reference, found = ascending(reference), ascending(found)
    first, second = _difference(reference), _difference(found)
    if first is None or second is None:
        same_length = len(reference.sides) == len(found.sides)
        return undecided("unusual relation") if same_length else incorrect("relations differ")
    values = evaluations((first, second), _SAMPLES)
    if values is None:
        return PENDING
    factor = _constant_factor(values)
    if factor is not None:
        same_sign = reference.signs == found.signs
        if same_sign and (factor > 0 or reference.signs[0] in ("=", "!=")):
            return correct("same relation")
        return incorrect("relations differ")
    if _is_linear(first) and _is_linear(second):
        return incorrect("relations differ")
    return undecided("relations not comparable")


def _constant_factor(values: list[list[Fraction]]) -> Fraction | None:
    """The constant by which the second column is a multiple of the first, if there is one."""
    left, right = values[0]
    if left == 0 or right == 0:
        return None
    factor = right / left
    return factor if all(second == factor * first for first, second in values) else None
