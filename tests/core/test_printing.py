"""How messages show values and texts."""

from fractions import Fraction

import pytest

from trl_weighted_dpo.core.printing import MAX_BITS, MAX_SHOWN, cut, described, excerpt, number, short_repr


def test_a_text_is_cut_to_a_length_that_counts_the_mark() -> None:
    assert MAX_SHOWN == 80
    assert cut("a" * 80) == "a" * 80
    assert cut("a" * 81) == "a" * 79 + "…"
    assert cut("abcd", 3) == "ab…"


def test_an_excerpt_is_one_line_that_can_be_printed() -> None:
    assert excerpt(" a\n\tb  c ") == "a b c"
    assert excerpt("a\x00b\ud800") == "aU+0000bU+D800"
    assert excerpt("ab cd ef", 6) == "ab cd…"


def test_a_value_is_shown_with_its_type() -> None:
    assert short_repr("x" * 100) == "'" + "x" * 78 + "…"
    assert described(0.5) == "0.5 (float)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(84), "84"),
        (Fraction(-2, 3), "-2/3"),
        (Fraction(5, 2), "2.5"),
        (Fraction(400000, 13), "400000/13"),
        (Fraction(1, 999), "1/999"),
        (Fraction(1, 1009), "0.00099108"),
        (Fraction(1, 99991), "1.00009e-05"),
        (Fraction("0." + "3" * 500), "0.333333"),
        (Fraction(0), "0"),
        (Fraction(2) ** MAX_BITS - 1, str(2**MAX_BITS - 1)),
        (Fraction(2) ** (MAX_BITS + 1), "another number"),
        (1 / Fraction(2) ** (MAX_BITS + 1), "another number"),
        (Fraction(10) ** 4_000, "another number"),
        (Fraction(1, 10**5_000), "another number"),
    ],
)
def test_a_number_is_shown_as_a_student_writes_it(value: Fraction, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (Fraction(12), 2, "12"),
        (Fraction(1, 3), 2, "about 0.33"),
        (Fraction(-1, 3), 3, "about -0.333"),
        (Fraction(5, 2), 2, "2.5"),
        (Fraction(1, 8), 2, "about 0.12"),
        (Fraction(1, 8), 3, "0.125"),
        (Fraction(10) ** 4_000 / 3, 2, "another number"),
    ],
)
def test_a_rounded_number_says_so(value: Fraction, places: int, expected: str) -> None:
    assert number(value, places) == expected
