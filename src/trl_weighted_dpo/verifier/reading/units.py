"""Units: one spelling for each, so that `centimeters` is `cm`."""

from collections.abc import Sequence

from trl_weighted_dpo.verifier.reading.tokens import Token

_SPELLINGS = {
    spelling: unit
    for unit, spellings in {
        "mm": ("millimeter", "millimetre"),
        "cm": ("centimeter", "centimetre"),
        "m": ("meter", "metre"),
        "km": ("kilometer", "kilometre"),
        "inch": ("in",),
        "foot": ("feet", "ft"),
        "yard": ("yd",),
        "mile per hour": ("mph",),
        "g": ("gram",),
        "kg": ("kilogram",),
        "lb": ("pound",),
        "l": ("liter", "litre"),
        "second": ("sec",),
        "minute": ("min",),
        "hour": ("hr", "hrs"),
        "year": ("yr",),
        "dollar": ("$",),
    }.items()
    for spelling in spellings
}


_SIGNS = frozenset("$/\u20ac\u00a3\u00a5\u20b9\u2032\u2033\u00a2\u20bd")


def unit_name(tokens: Sequence[Token]) -> str:
    """Returns the unit that `tokens` write, lower-cased, in the singular and in one spelling; "" for none."""
    words = " ".join("".join(c if c.isalnum() or c in _SIGNS else " " for c in token.text) for token in tokens).split()
    spelled = []
    for word in words:
        spelled.append(singular(word.casefold()))
    return " ".join(spelled)


def singular(word: str) -> str:
    """Returns one lower-cased word in the singular and in the spelling that all units share."""
    single = word
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        single = word[:-2] if word.endswith(("xes", "ches", "shes", "sses", "zes")) else word[:-1]
    return _SPELLINGS.get(word, _SPELLINGS.get(single, single))
