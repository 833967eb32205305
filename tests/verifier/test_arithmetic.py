from fractions import Fraction

import pytest

from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.grammar import TooCostlyError, parse
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError, tidy, tokenize


def calculate(text):
    return exact(parse(tokenize(tidy(text))))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-3^2", -9),
        ("(-3)^2", 9),
        ("2^3^2", 512),
        ("2^{-1}", Fraction(1, 2)),
        ("2^-1", Fraction(1, 2)),
        ("5 - -3", 8),
        ("8/4/2", 1),
        ("7 ÷ 2 × 4", 14),
        ("1,000.5*2", 2001),
        (".5 + 0.25", Fraction(3, 4)),
        ("1.2e3", 1200),
        (r"1.2 \times 10^{3}", 1200),
        (r"2\frac{1}{2}", Fraction(5, 2)),
        ("2 1/2", Fraction(5, 2)),
        (r"\frac12", Fraction(1, 2)),
        (r"\dfrac{3}{4} - \tfrac{1}{4}", Fraction(1, 2)),
        (r"\sqrt{16/9}", Fraction(4, 3)),
        ("|3 - 5|", 2),
        ("5!", 120),
        (r"\binom{5}{2}", 10),
        ("12%", Fraction(3, 25)),
        ("2(3 + 4)", 14),
        ("½", Fraction(1, 2)),
        ("3²", 9),
        ("٣ + ４", 7),
        ("0.1 + 0.2", Fraction(3, 10)),
    ],
)
def test_arithmetic_is_exact(text: str, value: Fraction) -> None:
    assert calculate(text) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("9^{9^{9^9}}", TooCostlyError),
        ("2^2000^2", TooCostlyError),
        ("99999!", TooCostlyError),
        ("((((5!)!)!)!)!", TooCostlyError),
        (r"\binom{100000}{50000}", TooCostlyError),
        ("1e999999", TooCostlyError),
        ("9" * 1999 + "*" + "9" * 1999, UnreadableError),
        ("(" * 60 + "1" + ")" * 60, TooCostlyError),
        (r"\sqrt" * 100 + "2", TooCostlyError),
        ("2^" * 200 + "2", TooCostlyError),
        ("1" * 10**6, UnreadableError),
        ("", UnreadableError),
        ("1 +", UnreadableError),
        ("(1", UnreadableError),
        ("1 2", UnreadableError),
        ("1/2x", UnreadableError),
        ("__import__('os')", UnreadableError),
        ("().__class__", UnreadableError),
        ("4\x002", UnreadableError),
        ("4\u202e2", UnreadableError),
        ("\ud800", UnreadableError),
        ("1/0", NotExactError),
        ("0^0", NotExactError),
        (r"\sqrt{2}", NotExactError),
        ("x + 1", NotExactError),
        (r"\sin 1", NotExactError),
        ("(1/2)!", NotExactError),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_computed_says_so(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        calculate(text)
