"""Conversions between units: whether two quantities can be the same though their numbers differ."""

import re
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.units import singular

_FAMILIES: tuple[dict[str, Fraction], ...] = tuple(
    {unit: Fraction(size) for unit, size in family.items()}
    for family in (
        {
            "second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800", "month": "2592000",
            "year": "31536000", "quarter": "900",
        },
        {
            "mm": "0.1", "cm": "1", "inch": "2.54", "foot": "30.48", "yard": "91.44", "m": "100", "km": "100000",
            "mile": "160934.4",
        },
        {
            "mg": "0.001", "g": "1", "ounce": "28.35", "oz": "28.35", "lb": "453.6", "kg": "1000", "ton": "1000000",
        },
        {
            "ml": "1", "milliliter": "1", "teaspoon": "5", "tablespoon": "15", "cup": "240", "pint": "480",
            "quart": "960", "l": "1000", "liter": "1000", "gallon": "3840",
        },
        {"penny": "1", "cent": "1", "nickel": "5", "dime": "10", "quarter": "25", "dollar": "100"},
        {"watt": "1", "w": "1", "kw": "1000", "kilowatt": "1000"},
        {"byte": "1", "kb": "1000", "mb": "1000000", "gb": "1000000000", "tb": "1000000000000"},
        {"egg": "1", "pair": "2", "dozen": "12"},
    )
)  # fmt: skip
_OTHER_RATIOS: dict[str, tuple[int, ...]] = {
    # What people also count with, beyond the sizes above: a month of 4 weeks, a week of 5 days, a short ton.
    "week": (4, 5), "month": (4, 12, 28, 29, 31), "year": (12,), "day": (5, 12, 28, 29, 30, 31, 52), "hour": (12,),
    "lb": (2_000,), "ton": (2_000,), "gallon": (16, 128), "quart": (32,), "cup": (8, 16), "pint": (16,),
    "tablespoon": (3, 16), "teaspoon": (3, 6, 48),
}  # fmt: skip
_COMMON = frozenset({
    "second", "minute", "hour", "day", "week", "year", "mm", "cm", "inch", "foot", "yard", "m", "km", "mile", "mg",
    "g", "ounce", "oz", "lb", "kg", "ml", "pint", "quart", "l", "gallon", "cent", "dollar", "watt", "kw", "kb", "mb",
    "gb", "egg", "dozen",
})  # fmt: skip
"""What an equation may convert to without naming it. Coins and spoons must be named, else four times
too much could be quarters."""

USUAL_RATIOS = frozenset(map(Fraction, (7, 10, 12, 24, 30, 52, 60, 100, 365, 1000, 3600)))
"""What a number of one unit is multiplied by in another where no unit is named."""

_TOLERANCE = Fraction(3, 100)
"""Relative: 28.35 g and 30 g for an ounce, 4 quarts and 3.8 l for a gallon all pass."""

_WORD = re.compile(r"[A-Za-z]+")


def units_in(text: str) -> tuple[str, ...]:
    """The units with known conversions that a text names, in order, each once; `dollar` for a dollar sign."""
    words = [singular(word.lower()) for word in _WORD.findall(text)]
    if "$" in text:
        words.append("dollar")
    return tuple(dict.fromkeys(word for word in words if word in _KNOWN))


def size(unit: str, of: str) -> Fraction | None:
    """How many of the unit `of` make one `unit`, or `None` if they measure different things or are unknown."""
    for family in _FAMILIES:
        if unit in family and of in family:
            return family[unit] / family[of]
    return None


def base_size(unit: str) -> Fraction | None:
    """The size of a unit in the smallest of what it measures."""
    return next((family[unit] for family in _FAMILIES if unit in family), None)


_KNOWN = frozenset(unit for family in _FAMILIES for unit in family) | set(_OTHER_RATIOS)


def may_convert(ratio: Fraction, units: tuple[str, ...]) -> bool:
    """Whether two numbers in this ratio can be one quantity, in one of `units` and in any unit that it converts to."""
    ratio = abs(ratio)
    if ratio == 0:
        return False
    for unit in units:
        for other in _OTHER_RATIOS.get(unit, ()):
            if ratio in (other, Fraction(1, other)):
                return True
        for family in _FAMILIES:
            if unit in family and any(
                _is_close(ratio, family[unit] / family[other]) or _is_close(ratio, family[other] / family[unit])
                for other in family
                if family[other] != family[unit] and (other in units or other in _COMMON)
            ):
                return True
    return False


def _is_close(first: Fraction, second: Fraction) -> bool:
    return abs(first - second) <= _TOLERANCE * second
