"""Linear equations in a few names, added one at a time, each checked against those before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number

UNIT_LETTERS = frozenset("cdghklmsL")
"""Letters that are mostly units, as in `5m`; names only where one stands alone on a side."""

MAX_NAMES = 12
"""Names that a system holds at most; further equations in new names are passed over."""

MAX_BITS = 512
"""Bits of a coefficient at most; equations that would pass it are passed over."""

CONSTANT = ""
"""The key of the constant term of a form."""

Form = dict[str, Fraction]
"""A linear form: the coefficient of each name, and the constant term under `CONSTANT`."""


def linear_form(node: Node, known: Mapping[str, Fraction]) -> Form | None:
    """Returns `node` as a linear form, names with a `known` value replaced by it, or `None` if it is none."""
    if isinstance(node, Number):
        return {CONSTANT: node.value} if _is_small(node.value) else None
    if isinstance(node, Name):
        return {CONSTANT: known[node.text]} if node.text in known else {node.text: Fraction(1)}
    forms = []
    for operand in node.operands:
        form = linear_form(operand, known)
        if form is None:
            return None
        forms.append(form)
    match node.name:
        case "+":
            total: Form = {}
            for form in forms:
                total = add(total, form)
            return total
        case "neg":
            return scaled(forms[0], Fraction(-1))
        case "%":
            return scaled(forms[0], Fraction(1, 100))
        case "*":
            product: Form = {CONSTANT: Fraction(1)}
            for form in forms:
                if is_constant(form):
                    product = scaled(product, form.get(CONSTANT, Fraction(0)))
                elif is_constant(product):
                    product = scaled(form, product.get(CONSTANT, Fraction(0)))
                else:
                    return None
            return product if all(map(_is_small, product.values())) else None
        case "/":
            below = forms[1].get(CONSTANT, Fraction(0))
            return scaled(forms[0], 1 / below) if is_constant(forms[1]) and below else None
        case _:
            return None


def is_constant(form: Form) -> bool:
    """Whether the form has no name left."""
    return all(name == CONSTANT for name in form)


def scaled(form: Form, factor: Fraction) -> Form:
    """Returns `factor · form`."""
    return {name: factor * value for name, value in form.items()} if factor else {}


def add(form: Form, other: Form) -> Form:
    """Returns `form + other`, without names whose coefficients cancel."""
    total = dict(form)
    for name, value in other.items():
        total[name] = total.get(name, Fraction(0)) + value
        if not total[name]:
            del total[name]
    return total


@dataclass(slots=True)
class System:
    """Linear equations that agree with each other, solved as far as they go.

    Args:
        solved (`dict[str, Form]`): For each leading name, what it equals in terms of the names that are still free.
    """

    solved: dict[str, Form] = field(default_factory=dict)

    def values(self) -> dict[str, Fraction]:
        """The names whose value is settled."""
        return {name: form.get(CONSTANT, Fraction(0)) for name, form in self.solved.items() if is_constant(form)}

    def gap(self, left: Form, right: Form) -> tuple[Fraction, Fraction] | None:
        """Takes up `left = right` unless it contradicts what is there.

        Returns:
            `None` if it was taken up or passed over; else by how much it fails, and the largest term that went into it,
            to check the failure by.
        """
        reduced: Form = {}
        scale = Fraction(0)
        for form, sign in ((left, Fraction(1)), (right, Fraction(-1))):
            for name, coefficient in form.items():
                part = scaled(self.solved.get(name, {name: Fraction(1)}), sign * coefficient)
                scale = max(scale, abs(part.get(CONSTANT, Fraction(0))))
                reduced = add(reduced, part)
        rest = reduced.get(CONSTANT, Fraction(0))
        leading = next((name for name in reduced if name != CONSTANT), None)
        if leading is None:
            return (rest, scale) if rest else None
        names = self.solved.keys() | reduced.keys()
        if len(names) > MAX_NAMES or not all(map(_is_small, reduced.values())):
            return None
        value = scaled({name: part for name, part in reduced.items() if name != leading}, -1 / reduced[leading])
        for name, solution in self.solved.items():
            if leading in solution:
                coefficient = solution[leading]
                others = {key: part for key, part in solution.items() if key != leading}
                self.solved[name] = add(others, scaled(value, coefficient))
        self.solved[leading] = value
        return None


def _is_small(value: Fraction) -> bool:
    return value.numerator.bit_length() + value.denominator.bit_length() <= MAX_BITS
