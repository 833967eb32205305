"""Formulas in words, linear equations, and what counts as the same value."""

from fractions import Fraction

import pytest

from trl_weighted_dpo.verifier.checks.carrying import agree
from trl_weighted_dpo.verifier.checks.linear import System, linear_form
from trl_weighted_dpo.verifier.reading.formulas import MAX_FORMULAS, MAX_TERMS, label_name, read_formulas
from trl_weighted_dpo.verifier.reading.grammar import parse
from trl_weighted_dpo.verifier.reading.tokens import tidy, tokenize


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("66", "66", True),
        ("66", "55", False),
        ("33.3", "33.333", True),
        ("35.5", "35", True),
        ("35.5", "30", False),
        ("25", "0.25", True),
        ("2", "120", True),
        ("5", "-5", False),
        ("0", "5", False),
        ("12", "13", False),
        ("1000", "1001", False),
    ],
)
def test_values_agree_if_rounding_or_a_unit_explains_it(one: str, other: str, expected: bool) -> None:
    assert agree(Fraction(one), Fraction(other)) is expected
    assert agree(Fraction(other), Fraction(one)) is expected


def _equation(text: str) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    left, right = (linear_form(parse(tokenize(tidy(side))), {}) for side in text.split("="))
    assert left is not None
    assert right is not None
    return left, right


def test_equations_are_solved_one_by_one() -> None:
    system = System()
    for equation in ("x + y = 10", "x - y = 4", "z = 2x + 1"):
        assert system.gap(*_equation(equation)) is None
    assert system.values() == {"x": 7, "y": 3, "z": 15}
    assert system.gap(*_equation("z - y = 12")) is None
    assert system.gap(*_equation("z - y = 11")) == (Fraction(1), Fraction(15))


@pytest.mark.parametrize("text", ["x * y", "x^2", "2 / x", "sqrt(x)", "x!", "f(x)"])
def test_what_is_not_linear_has_no_form(text: str) -> None:
    assert linear_form(parse(tokenize(tidy(text))), {}) is None


def test_a_product_of_a_settled_name_is_linear() -> None:
    assert linear_form(parse(tokenize(tidy("x * y + 20%"))), {"x": Fraction(3)}) == {"y": 3, "": Fraction(1, 5)}


@pytest.mark.parametrize(
    ("text", "label", "shapes"),
    [
        ("Total cost = 2 * Price of a pen = 2 * $3 = $6", "total cost", ["t*t", "t*t", "t"]),
        ("So, the total cost = (Price + Tax) x Pens", "total cost", ["(t+t)*t"]),
        ("Total = Price per hour times hours", "total", ["t*t"]),
        ("Total = Pens / 2 for 3", "total", [None]),
        ("Total = Price(2 pens)", "total", [None]),
        ("Total eggs / 12 = Boxes in all", "", ["t/t", "t"]),
        ("- Price per pen = $3 - Number of pens = Half of Ann's pens", "price per pen", ["t"]),
    ],
)
def test_formulas_in_words_are_read(text: str, label: str, shapes: list[str | None]) -> None:
    formula = read_formulas(text)[0]
    assert formula.label == label
    assert [side.shape if side is not None else None for side in formula.sides] == shapes


def test_spans_of_a_formula_hold_in_the_text() -> None:
    text = "We add. Total **cost** = Price of <<3=3>> pens + Tax (on pens) = $3 + 10% of it"
    (formula,) = read_formulas(text)
    assert text[slice(*formula.span)].startswith("Total")
    named, numbers = formula.sides
    assert named is not None
    assert numbers is not None
    assert [text[slice(*term.span)] for term in numbers.terms] == ["$3", "10% of it"]
    assert [(term.value, term.percent) for term in numbers.terms] == [(Fraction(3), False), (Fraction(10), True)]
    assert [term.label for term in named.terms] == ["price of pens", "tax"]


def test_long_formulas_are_bounded() -> None:
    assert len(read_formulas("Total = Price of a pen\n" * 900)) == MAX_FORMULAS
    (formula,) = read_formulas("Total = " + " + ".join(["Price"] * (MAX_TERMS + 1)))
    assert formula.sides == (None,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The total number of eggs", "total number of eggs"),
        ("Therefore, the cost", "cost"),
        ("M", "M"),
        ("Total + tax", ""),
        ("12 eggs", ""),
        ("", ""),
        ("a" * 200, ""),
    ],
)
def test_labels_have_one_spelling(text: str, expected: str) -> None:
    assert label_name(text) == expected
