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
        "inch": ("inche", "in"),
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


def unit_name(tokens: Sequence[Token]) -> str:
    """Returns the unit that `tokens` write, lower-cased, in the singular and in one spelling; "" for none."""
    words = " ".join("".join(c if c.isalnum() or c in "$/" else " " for c in token.text) for token in tokens).split()
    spelled = []
    for word in words:
        word = word.casefold()
        singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        spelled.append(_SPELLINGS.get(word, _SPELLINGS.get(singular, singular)))
    return " ".join(spelled)
