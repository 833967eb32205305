"""Sets of real numbers in a normal form: intervals, unions, points and the conditions that describe them."""

from collections.abc import Sequence
from fractions import Fraction

from trl_weighted_dpo.verifier.answers.relations import as_interval, bounded, excluded_point, solution_interval
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.grammar import Name, Operation, TooCostlyError
from trl_weighted_dpo.verifier.reading.structure import Form, Interval, Many, Quantity, Relation

Cut = tuple[int, Fraction, int]
"""A place on the real line: -1, 0 or 1 for minus infinity, a number, infinity; the number; 0 before it, 1 after it."""

_BELOW: Cut = (-1, Fraction(0), 0)
_ABOVE: Cut = (1, Fraction(0), 0)


def number_set(form: Form) -> tuple[tuple[Cut, Cut], ...] | None:
    """Returns the set that `form` describes as disjoint intervals in order, so that equal sets are equal values; `None`
    if it describes none, or if its ends are no exact numbers.

    A list of conditions on one name is their union if they exclude each other; else it may mean their intersection.
    """
    if isinstance(form, Relation):
        return _of_relation(form)
    form = as_interval(form)
    if isinstance(form, Interval):
        pieces = [_of_interval(form)]
    elif isinstance(form, Many) and form.kind in ("union", "list") and form.items:
        if form.kind == "list" and not _bound_one_name(form):
            return None
        parts = [number_set(item) for item in form.items]
        pieces = [piece for part in parts for piece in part or (None,)]
    elif isinstance(form, Many) and form.kind == "set" and form.items:
        pieces = [_of_interval(Interval(item, item, True, True)) for item in form.items]
    else:
        return None
    known = [piece for piece in pieces if piece is not None]
    if len(known) < len(pieces):
        return None
    merged = _merged(known)
    if isinstance(form, Many) and form.kind == "list" and len(merged) < len(known):
        return None
    return merged


def _bound_one_name(many: Many) -> bool:
    conditions = [item for item in many.items if isinstance(item, Relation)]
    return len(conditions) == len(many.items) and len({bounded(condition) for condition in conditions}) == 1


def _merged(pieces: Sequence[tuple[Cut, Cut]]) -> tuple[tuple[Cut, Cut], ...]:
    merged: list[tuple[Cut, Cut]] = []
    for low, high in sorted(pieces):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _of_relation(relation: Relation) -> tuple[tuple[Cut, Cut], ...] | None:
    point = excluded_point(relation)
    if point is not None:
        cut = _cut(point, 0)
        return None if cut is None else ((_BELOW, cut), ((cut[0], cut[1], 1), _ABOVE))
    interval = solution_interval(relation)
    return number_set(interval) if interval is not None else None


def _of_interval(interval: Interval) -> tuple[Cut, Cut] | None:
    low = _cut(interval.left, 0 if interval.left_closed else 1)
    high = _cut(interval.right, 1 if interval.right_closed else 0)
    if low is None or high is None or not low < high:
        return None
    return low, high


def _cut(end: Form, side: int) -> Cut | None:
    if not isinstance(end, Quantity) or end.percent or end.scale != 1:
        return None
    if end.node == Name("infinity"):
        return _ABOVE
    if end.node == Operation("neg", (Name("infinity"),)):
        return _BELOW
    try:
        return (0, exact(end.node), side)
    except (NotExactError, TooCostlyError):
        return None
