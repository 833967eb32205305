"""Values and texts as messages show them: on one line, short, and printable."""

from fractions import Fraction

MAX_SHOWN = 80
"""Characters of a text or a value that a message shows."""

MAX_BITS = 200
"""A message shows numbers between `2**-MAX_BITS` and `2**MAX_BITS`, which has 61 digits. A longer one says nothing to a
reader, and Python refuses to write integers of more than 4300 digits."""

_MAX_DENOMINATOR = 1_000
_SIGNIFICANT = 6


def cut(text: str, most: int = MAX_SHOWN) -> str:
    """Returns `text`, cut to `most` characters, the last of which is then `…`."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def excerpt(text: str, most: int = MAX_SHOWN) -> str:
    """Returns a text on one line, cut to `most` characters, with the code of each character that cannot be printed."""
    text = cut(" ".join(text.split()), most)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)


def short_repr(value: object) -> str:
    """Returns the `repr` of a value, cut to `MAX_SHOWN` characters."""
    return cut(repr(value))


def described(value: object) -> str:
    """Returns a value that someone passed, for an error: its `repr`, cut, and its type."""
    return f"{short_repr(value)} ({type(value).__name__})"


def number(value: Fraction, places: int | None = None) -> str:
    """Returns a number as a person writes it.

    Args:
        value (`Fraction`):
            The number. One that is too large or too small to show is `another number`.
        places (`int`, *optional*):
            Decimals to round to; `about` says that rounding changed the value. Without it, a fraction that has no
            short decimal stays a fraction (`1/3`), and others get six significant digits.
    """
    if value and abs(value.numerator.bit_length() - value.denominator.bit_length()) > MAX_BITS:
        return "another number"
    if value.denominator == 1:
        return str(value.numerator)
    if places is None:
        if value.denominator <= _MAX_DENOMINATOR and 10**_SIGNIFICANT % value.denominator:
            return f"{value.numerator}/{value.denominator}"
        return f"{float(value):.{_SIGNIFICANT}g}"
    rounded = round(value, places)
    whole, rest = divmod(abs(rounded.numerator) * 10**places // rounded.denominator, 10**places)
    text = f"{'-' if value < 0 else ''}{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return text if rounded == value else f"about {text}"
