"""Whether two forms of an answer are the same: lists, intervals, equations, words and quantities."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import permutations

from trl_weighted_dpo.verifier.answers.names import other_names, renamed
from trl_weighted_dpo.verifier.answers.relations import as_interval, ascending, same_relation, solution_interval
from trl_weighted_dpo.verifier.answers.scalars import (
    Decide,
    Decision,
    correct,
    incorrect,
    names,
    same_quantity,
    undecided,
)
from trl_weighted_dpo.verifier.answers.sets import number_set
from trl_weighted_dpo.verifier.answers.units import factors
from trl_weighted_dpo.verifier.answers.words import same_meaning
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation, TooCostlyError
from trl_weighted_dpo.verifier.reading.mentions import read_mentions
from trl_weighted_dpo.verifier.reading.structure import (
    Choice,
    Form,
    Interval,
    Labelled,
    Many,
    Quantity,
    Relation,
    Words,
)


def _all(decisions: Sequence[Decision]) -> Decision:
    """Correct if all are; incorrect if one is; else undecided for the reason of the first that is."""
    for verdict in (Verdict.INCORRECT, Verdict.UNDECIDED):
        for decision in decisions:
            if decision.verdict is verdict:
                return decision
    return correct("same items")


def _ordered(reference: Sequence[Form], found: Sequence[Form], decide: Decide) -> Decision:
    if len(reference) != len(found):
        return incorrect("number of items differs")
    return _all([same_form(left, right, decide) for left, right in zip(reference, found, strict=True)])


_MAX_DISTINCT = 16


def _unordered(reference: Sequence[Form], found: Sequence[Form], decide: Decide, is_set: bool = False) -> Decision:
    if len(reference) != len(found):
        return _repeated(reference, found, decide, is_set)
    left = list(found)
    unsettled: list[Decision] = []
    missing = False
    for item in reference:
        decisions = [same_form(item, other, decide) for other in left]
        match = next((index for index, d in enumerate(decisions) if d.verdict is Verdict.CORRECT), None)
        if match is not None:
            del left[match]
            continue
        doubts = [decision for decision in decisions if decision.verdict is Verdict.UNDECIDED]
        unsettled += doubts[:1]
        missing = missing or not doubts
    if missing:
        return incorrect("items differ")
    return unsettled[0] if unsettled else correct("same items")


def _repeated(reference: Sequence[Form], found: Sequence[Form], decide: Decide, is_set: bool) -> Decision:
    """Decides lists of different length: an item that is there twice counts once in a set or among points, and leaves
    it undecided among numbers, which may be data."""
    first, second = _distinct(reference, decide), _distinct(found, decide)
    if len(first) != len(second) or (len(first), len(second)) == (len(reference), len(found)):
        return incorrect("number of items differs")
    decision = _unordered(first, second, decide)
    if decision.verdict is Verdict.CORRECT and not is_set and not all(isinstance(item, Many) for item in first):
        return undecided("an item is repeated")
    return decision


def _distinct(items: Sequence[Form], decide: Decide) -> Sequence[Form]:
    if len(items) > _MAX_DISTINCT:
        return items
    kept: list[Form] = []
    for item in items:
        if not any(same_form(other, item, decide).verdict is Verdict.CORRECT for other in kept):
            kept.append(item)
    return kept


def same_form(reference: Form, found: Form, decide: Decide) -> Decision:
    """Decides two forms; `decide` settles their expressions.

    Raises:
        `UnreadableError`: If one of them turns out to mean nothing.
    """
    if isinstance(reference, Choice) or isinstance(found, Choice):
        return _choices(reference, found, decide)
    if isinstance(reference, Labelled) or isinstance(found, Labelled):
        return _labelled(reference, found, decide)
    decision = _number_sets(reference, found)
    if decision is not None:
        return decision
    if isinstance(reference, Relation) and isinstance(found, Relation):
        return _relations(reference, found, decide)
    if isinstance(reference, Relation) or isinstance(found, Relation):
        return _relation_and_other(reference, found, decide)
    if isinstance(reference, Quantity) and isinstance(found, Quantity):
        return _quantities(reference, found, decide)
    if isinstance(reference, Words) or isinstance(found, Words):
        return _words(reference, found)
    if isinstance(reference, Interval) or isinstance(found, Interval):
        return _intervals(as_interval(reference), as_interval(found), decide)
    return _many(reference, found, decide)


def _number_sets(reference: Form, found: Form) -> Decision | None:
    """Decides two sets of numbers that are written in different ways, as interval, union, condition or conditions;
    `None` where they are not, or both are of one kind, whose parts say more."""
    kinds = {_set_kind(reference), _set_kind(found)}
    if None in kinds or kinds <= {"condition", "conditions"}:
        return None
    first, second = number_set(reference), number_set(found)
    if first is not None and first == second:
        return correct("same set")
    if len(kinds) == 1 or "condition" in kinds:
        return None
    return undecided("forms differ") if first is None or second is None else incorrect("sets differ")


def _set_kind(form: Form) -> str | None:
    if isinstance(form, Relation):
        return "condition"
    if isinstance(as_interval(form), Interval):
        return "interval"
    if isinstance(form, Many) and form.kind == "union":
        return "union"
    return "conditions" if isinstance(form, Many) and form.kind == "list" and _are_conditions(form) else None


def _are_conditions(many: Many) -> bool:
    return all(isinstance(item, Relation) for item in many.items)


def _choices(reference: Form, found: Form, decide: Decide) -> Decision:
    """A choice letter stands for its value, and the other way round; both count where both sides give both."""
    if isinstance(reference, Choice) and isinstance(found, Choice):
        values = same_form(reference.value, found.value, decide)
        if reference.letter == found.letter:
            return (
                undecided("letters agree, values differ")
                if values.verdict is Verdict.INCORRECT
                else correct("same choice")
            )
        return undecided("letters differ, values agree") if _is_correct(values) else incorrect("choices differ")
    choice, other = (reference, found) if isinstance(reference, Choice) else (found, reference)
    assert isinstance(choice, Choice)
    letter = _spoken(other)
    if letter is not None and len(letter) == 1:
        return correct("same choice") if letter == choice.letter else incorrect("choices differ")
    pair = (choice.value, other) if choice is reference else (other, choice.value)
    return same_form(*pair, decide)


def _quantities(reference: Quantity, found: Quantity, decide: Decide) -> Decision:
    if isinstance(reference.node, Name) and isinstance(found.node, Name):
        first, second = reference.node.text, found.node.text
        if first != second and first.casefold() == second.casefold():
            return undecided("only the case differs")
    decision = same_quantity(reference, found, decide)
    if decision.verdict is Verdict.INCORRECT:
        return other_names(reference, found, decide) or decision
    return decision


def _labelled(reference: Form, found: Form, decide: Decide) -> Decision:
    if isinstance(reference, Labelled) and isinstance(found, Labelled):
        value = found.value
        if reference.argument and found.argument and reference.argument != found.argument:
            value = _renamed_form(value, {found.argument: reference.argument})
        decision = same_form(reference.value, value, decide)
        if reference.label == found.label:
            return decision
        if decision.verdict is Verdict.CORRECT:
            return undecided("names differ")
        if reference.equation is not None and found.equation is not None:
            return same_relation(reference.equation, found.equation)
        return decision
    if isinstance(reference, Labelled):
        if isinstance(found, Relation) and reference.equation is not None and "=" in found.signs:
            return same_relation(reference.equation, found)
        if reference.member and isinstance(found, Relation):
            return _relation_and_other(reference.value, found, decide)
        return _bound(reference, same_form(reference.value, found, decide), found, decide)
    assert isinstance(found, Labelled)
    if isinstance(reference, Relation) and "=" in reference.signs:
        return same_relation(reference, found.equation) if found.equation else undecided("unusual relation")
    return _bound(found, same_form(reference, found.value, decide), reference, decide)


def _bound(function: Labelled, decision: Decision, other: Form, decide: Decide) -> Decision:
    """Decides `f(n) = 2n` against `2x`, where nothing says that n is x."""
    if decision.verdict is not Verdict.INCORRECT or function.argument is None or not isinstance(other, Quantity):
        return decision
    only = set(names(other.node)) - {"pi", "e", "i"}
    if len(only) != 1 or function.argument in only:
        return decision
    value = _renamed_form(function.value, {function.argument: next(iter(only))})
    return undecided("names differ") if _is_correct(same_form(value, other, decide)) else decision


def _relations(reference: Relation, found: Relation, decide: Decide) -> Decision:
    first, second = ascending(reference), ascending(found)
    if first.signs == second.signs:
        sides = _ordered(first.sides, second.sides, decide)
        if sides.verdict is Verdict.CORRECT or (len(first.sides) > 2 and sides.verdict is Verdict.INCORRECT):
            return sides
        if sides.pending:
            return sides
    return same_relation(first, second)


def _relation_and_other(reference: Form, found: Form, decide: Decide) -> Decision:
    """A condition where a set stands on the other side: equal where the condition's solutions are the set."""
    if isinstance(reference, Relation):
        interval = solution_interval(reference)
        if interval is not None and isinstance(as_interval(found), Interval):
            return _intervals(interval, as_interval(found), decide)
        return incorrect("relation expected") if isinstance(found, Quantity) else undecided("forms differ")
    if isinstance(found, Relation) and isinstance(as_interval(reference), Interval):
        interval = solution_interval(found)
        return undecided("forms differ") if interval is None else _intervals(as_interval(reference), interval, decide)
    return incorrect("no relation expected")


def _words(reference: Form, found: Form) -> Decision:
    left, right = _spoken(reference), _spoken(found)
    if left is not None and right is not None:
        same = same_meaning(left, right)
        if same is None:
            return undecided("words differ")
        return correct("same words") if same else incorrect("words differ")
    words, other = (left, found) if left is not None else (right, reference)
    number = _number_in_words(words or "")
    value = _value(other) if number is not None else None
    if value is not None:
        return correct("same number") if number == value else incorrect("numbers differ")
    if len(words or "") == 1:
        return incorrect("forms differ")
    return undecided("forms differ")


def _value(form: Form) -> Fraction | None:
    try:
        return exact(form.node) * form.scale if isinstance(form, Quantity) and not form.percent else None
    except (NotExactError, TooCostlyError):
        return None


def _number_in_words(words: str) -> Fraction | None:
    mentions = read_mentions(words) if len(words) < 100 else ()
    is_number = len(mentions) == 1 and mentions[0].in_words and mentions[0].span == (0, len(words))
    return mentions[0].value if is_number else None


def _spoken(form: Form) -> str | None:
    if isinstance(form, Words):
        return form.text
    if isinstance(form, Many) and form.kind == "set" and not form.items:
        return "emptyset"
    if not isinstance(form, Quantity):
        return None
    if isinstance(form.node, Name) and form.node.text in ("emptyset", "infinity"):
        return form.node.text
    letters = form.node.operands if isinstance(form.node, Operation) and form.node.name == "*" else (form.node,)
    if all(isinstance(letter, Name) and len(letter.text) == 1 for letter in letters):
        return "".join(letter.text for letter in letters if isinstance(letter, Name)).casefold()
    return None


def _intervals(reference: Form, found: Form, decide: Decide) -> Decision:
    if isinstance(reference, Interval) and isinstance(found, Interval):
        ends = (reference.left_closed, reference.right_closed) == (found.left_closed, found.right_closed)
        if not ends:
            return incorrect("ends of the interval differ")
        return _ordered((reference.left, reference.right), (found.left, found.right), decide)
    return incorrect("forms differ")


_UNORDERED = frozenset({"list", "set"})
_MAX_NAMED = 4


def _many(reference: Form, found: Form, decide: Decide) -> Decision:
    first = reference if isinstance(reference, Many) else None
    second = found if isinstance(found, Many) else None
    if first is None or second is None:
        return _one_and_many(reference, found, decide)
    kinds = {first.kind, second.kind}
    if kinds == {"ratio"}:
        decision = _ordered(first.items, second.items, decide)
        if not _is_correct(decision):
            decision = _ordered(_on_24_hours(first), _on_24_hours(second), decide)
        if _proportional(first, second) and not _is_correct(decision):
            return undecided("ratio not reduced")
        return decision
    if kinds in ({"union"}, {"matrix"}):
        if kinds == {"matrix"}:
            return _ordered(first.items, second.items, decide)
        return _unordered(tuple(map(as_interval, first.items)), tuple(map(as_interval, second.items)), decide)
    if kinds & {"union", "ratio"}:
        return undecided("forms differ")
    if "matrix" in kinds:
        return _ordered(_vector(first), _vector(second), decide)
    totals = compound_total(first), compound_total(second)
    if totals[0] is not None and totals[1] is not None:
        return same_quantity(totals[0], totals[1], decide)
    labels = _labels(first), _labels(second)
    if labels[0] and labels[1]:
        return _by_label(first, second, decide)
    for named, other, its_labels in ((first, second, labels[0]), (second, first, labels[1])):
        if 1 < len(named.items) == len(set(its_labels)) == len(other.items):
            return _by_order_of_names(named, other, named is first, decide)
    if kinds <= _UNORDERED and not any(len(set(names)) > 1 for names in labels):
        return _unordered(_values(first), _values(second), decide, is_set="set" in kinds)
    decision = _ordered(_values(first), _values(second), decide)
    if (kinds == {"tuple", "bracket"} and len(first.items) == 2) or (kinds & _UNORDERED and "list" not in kinds):
        # (1, 2) is no [1, 2] and no {1, 2}, though a problem may write one and mean another.
        return undecided("brackets differ") if _is_correct(decision) and kinds & _UNORDERED else _not_correct(decision)
    if kinds == {"bracket", "list"} and _is_correct(decision):
        return undecided("brackets differ")
    return decision


def _by_order_of_names(named: Many, other: Many, named_first: bool, decide: Decide) -> Decision:
    """Decides `y = 4, x = 3` against `(3, 4)`, which lists the values in the order of their names."""

    def compared(items: Sequence[Form]) -> Decision:
        values = [item.value if isinstance(item, Labelled) else item for item in items]
        return _ordered(values, other.items, decide) if named_first else _ordered(other.items, values, decide)

    in_order = sorted(named.items, key=_label_of)
    labels = [_label_of(item) for item in in_order]
    if all(len(label) == 1 for label in labels) and ord(labels[-1]) - ord(labels[0]) == len(labels) - 1:
        decision, others = compared(in_order), [tuple(named.items)]
    else:
        decision, others = compared(named.items), list(permutations(in_order[:_MAX_NAMED]))
    if decision.verdict is Verdict.INCORRECT and any(_is_correct(compared(items)) for items in others):
        return undecided("order of the names")
    return decision


def _label_of(item: Form) -> str:
    return item.label.casefold() if isinstance(item, Labelled) else ""


def _on_24_hours(time: Many) -> tuple[Form, ...]:
    """The items of a ratio, or of a time of day in the afternoon counted from midnight."""
    hour, last = time.items[0], time.items[-1]
    if not isinstance(last, Quantity) or last.unit != "pm" or not isinstance(hour, Quantity):
        return time.items
    if not isinstance(hour.node, Number) or hour.node.value >= 12:
        return time.items
    return (Quantity(Number(hour.node.value + 12, 0)), *time.items[1:-1], Quantity(last.node))


def _is_correct(decision: Decision) -> bool:
    return decision.verdict is Verdict.CORRECT


def _not_correct(decision: Decision) -> Decision:
    return incorrect("brackets differ") if _is_correct(decision) else decision


def _one_and_many(reference: Form, found: Form, decide: Decide) -> Decision:
    many, other = (reference, found) if isinstance(reference, Many) else (found, reference)
    assert isinstance(many, Many)
    if many.kind == "set" and not many.items:
        empty = isinstance(other, Quantity) and other.node == Name("emptyset")
        return correct("same set") if empty else incorrect("forms differ")
    if len(many.items) == 1:
        pair = (many.items[0], other) if many is reference else (other, many.items[0])
        return same_form(*pair, decide)
    if all(isinstance(item, Labelled) for item in many.items) and any(
        same_form(*((item, other) if many is reference else (other, item)), decide).verdict is Verdict.CORRECT
        for item in many.items
    ):
        return undecided("several values")
    if many.kind == "ratio" and isinstance(other, Quantity):
        return _times(many, other)
    total = compound_total(many)
    if total is not None and isinstance(other, Quantity) and other.unit:
        return same_quantity(*((total, other) if many is reference else (other, total)), decide)
    if len({item.unit for item in many.items if isinstance(item, Quantity) and item.unit}) > 1:
        # "2 hours and 30 minutes" is one quantity.
        return undecided("compound quantity")
    return _in_several_forms(many, other, many is reference, decide) or incorrect("number of items differs")


_MAX_RESTATED = 4


def _in_several_forms(many: Many, other: Form, is_reference: bool, decide: Decide) -> Decision | None:
    """Decides `\\frac34 \\text{ or } 0.75` against one value: is it given in several forms? `None` if not."""
    if many.kind != "list" or len(many.items) > _MAX_RESTATED:
        return None
    decisions = [same_form(*((item, other) if is_reference else (other, item)), decide) for item in many.items]
    if any(decision.verdict is Verdict.INCORRECT for decision in decisions):
        return None
    pending = next((decision for decision in decisions if decision.pending), None)
    if pending is not None:
        return pending
    if len(set(many.items)) < len(many.items):
        return undecided("an item is repeated")
    if any(map(_is_correct, decisions)) and all(_is_correct(d) or d.reason == "rounded" for d in decisions):
        return correct("one value in several forms")
    return undecided("several forms of a value")


def _times(ratio: Many, other: Quantity) -> Decision:
    """Decides `3:00 pm` against `3 pm`."""
    times = _minutes(ratio), _minutes(Many("ratio", (other,)))
    if times[0] is None or times[1] is None or other.unit is None:
        return undecided("ratio and number")
    (first, half), (second, other_half) = times[0], times[1]
    if half and other_half and half != other_half:
        return incorrect("times differ")
    return correct("same time") if (first - second) % (12 * 60) == 0 else incorrect("times differ")


def _minutes(time: Many) -> tuple[Fraction, str | None] | None:
    """The minutes since midnight or noon of `3:00 pm` or `3 pm`, and which half of the day if it says so."""
    minutes, half = Fraction(0), None
    for item, factor in zip(time.items, (Fraction(60), Fraction(1), Fraction(1, 60)), strict=False):
        if (
            not isinstance(item, Quantity)
            or not isinstance(item.node, Number)
            or item.unit not in _HALVES
            or item.percent
        ):
            return None
        minutes += item.node.value * factor
        half = item.unit if item.unit in ("am", "pm") else half
    return (minutes % (12 * 60), half) if minutes < 24 * 60 else None


_HALVES = frozenset({None, "am", "pm", "oclock"})


def _vector(many: Many) -> tuple[Form, ...]:
    if many.kind != "matrix":
        return many.items
    rows = [row.items for row in many.items if isinstance(row, Many)]
    if len(rows) == 1 or all(len(row) == 1 for row in rows):
        return tuple(cell for row in rows for cell in row)
    return many.items


def _labels(many: Many) -> list[str]:
    """The names of the items without their subscripts: x_1 and x_2 are values of x in any order."""
    return [item.label.rstrip("0123456789") for item in many.items if isinstance(item, Labelled)]


def _values(many: Many) -> tuple[Form, ...]:
    return tuple(item.value if isinstance(item, Labelled) else item for item in many.items)


def _by_label(reference: Many, found: Many, decide: Decide) -> Decision:
    left = sorted(reference.items, key=lambda item: item.label if isinstance(item, Labelled) else "")
    right = sorted(found.items, key=lambda item: item.label if isinstance(item, Labelled) else "")
    if len(set(_labels(reference))) == len(set(_labels(found))) == 1:
        return _unordered(_values(reference), _values(found), decide)
    return _ordered(left, right, decide)


def _proportional(reference: Many, found: Many) -> bool:
    values = [
        [
            item.node.value
            for item in many.items
            if isinstance(item, Quantity) and not item.unit and isinstance(item.node, Number)
        ]
        for many in (reference, found)
    ]
    if len(values[0]) != len(values[1]) or len(values[0]) != len(reference.items) or not all(map(all, values)):
        return False
    return len({left / right for left, right in zip(*values, strict=True)}) == 1


def compound_total(many: Many) -> Quantity | None:
    """The sum of `2 hours and 30 minutes` in its last unit; `None` if the items are not parts of one quantity."""
    items = [item for item in many.items if isinstance(item, Quantity) and item.unit and not item.percent]
    if many.kind != "list" or len(items) < max(2, len(many.items)):
        return None
    units = [item.unit or "" for item in items]
    if len(set(units)) < len(units):
        return None
    terms: list[Node] = []
    for item, unit in zip(items, units, strict=True):
        conversions = factors(unit, units[-1])
        if len(conversions) != 1 or (item is not items[-1] and conversions[0] <= 1):
            return None
        terms.append(Operation("*", (item.node, Number(conversions[0] * item.scale, 0))))
    return Quantity(Operation("+", tuple(terms)), unit=units[-1])


def _renamed_form(form: Form, names: Mapping[str, str]) -> Form:
    return (
        Quantity(renamed(form.node, names), form.percent, form.unit, form.scale) if isinstance(form, Quantity) else form
    )
