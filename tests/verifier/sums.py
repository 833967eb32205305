"""Small sums and the ways to write numbers, for solutions that the tests make up."""

import random
from dataclasses import dataclass
from fractions import Fraction

_SIGNS = {"+": ("+",), "-": ("-", "\u2212"), "*": ("*", "x", "\u00d7", "\u00b7"), "/": ("/", "\u00f7")}
_LATEX_SIGNS = {"+": "+", "-": "-", "*": r"\times", "/": r"\div"}


@dataclass(frozen=True)
class Sum:
    """`left sign right = result`, all whole and not negative."""

    left: int
    sign: str
    right: int
    result: int

    def over(self, rng: random.Random) -> str:
        """The left side in one of its plain spellings."""
        sign = rng.choice(_SIGNS[self.sign])
        blank = rng.choice(("", " ", " "))
        return f"{self.left}{blank}{sign}{blank}{self.right}"

    def latex(self) -> str:
        return f"{self.left} {_LATEX_SIGNS[self.sign]} {self.right}"


def any_sum(rng: random.Random, left: int | None = None, most: int = 200) -> Sum:
    """A sum, difference, product or quotient that comes out whole."""
    sign = rng.choice("+-*/")
    left = rng.randint(2, most) if left is None else left
    if sign == "+":
        right = rng.randint(1, most)
        return Sum(left, sign, right, left + right)
    if sign == "-":
        right = rng.randint(0, left)
        return Sum(left, sign, right, left - right)
    if sign == "/":
        divisors = [number for number in range(1, 13) if left % number == 0]
        right = rng.choice(divisors)
        return Sum(left, sign, right, left // right)
    right = rng.randint(2, 12)
    return Sum(left, sign, right, left * right)


def money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}" if cents % 100 else f"${cents // 100:,}"


def decimal(value: Fraction, places: int) -> str:
    """`value` rounded half up to `places`, as it is written by hand."""
    scaled = (abs(value) * 10**places + Fraction(1, 2)).__floor__()
    whole, part = divmod(scaled, 10**places)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{part:0{places}}" if places else "")


def mixed(value: Fraction) -> str:
    whole, rest = divmod(value.numerator, value.denominator)
    return f"{whole} {rest}/{value.denominator}" if rest and whole else str(value)


def latex_mixed(value: Fraction) -> str:
    whole, rest = divmod(value.numerator, value.denominator)
    return f"{whole or ''}\\frac{{{rest}}}{{{value.denominator}}}" if rest else str(whole)


def proper_fraction(rng: random.Random) -> Fraction:
    denominator = rng.choice((2, 3, 4, 5, 6, 8, 10))
    return Fraction(rng.randint(1, denominator - 1), denominator)
