"""Quantities in running text: numbers in digits and in words, with what they count."""

import re
from collections.abc import Iterable
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.characters import Squeezed, after
from trl_weighted_dpo.verifier.reading.grammar import TooCostlyError
from trl_weighted_dpo.verifier.reading.passage import Mention
from trl_weighted_dpo.verifier.reading.sides import written
from trl_weighted_dpo.verifier.reading.tokens import NUMBER
from trl_weighted_dpo.verifier.reading.units import singular

_MAX_WORDS = 120
MAX_MENTIONS = 2_000
"""Quantities of a text that are read at most."""

_SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"dozen": 12, "dozens": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
    "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10,
}  # fmt: skip
_MULTIPLES = {
    "once": 1, "twice": 2, "double": 2, "doubles": 2, "doubled": 2, "both": 2, "couple": 2, "pair": 2, "pairs": 2,
    "twin": 2, "twins": 2, "thrice": 3, "triple": 3, "triples": 3, "tripled": 3, "triplets": 3, "quadruple": 4,
    "quadruples": 4, "quadrupled": 4, "decade": 10, "decades": 10, "century": 100,
}  # fmt: skip
_VALUES = _SMALL | _TENS | _SCALES | _MULTIPLES
_FACTORS = frozenset(
    {"twice", "thrice", *_PARTS, *(word for word in _MULTIPLES if word.startswith(("dou", "tri", "qua")))}
)
_KNOWN = frozenset((*_VALUES, *_PARTS))


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_BELOW_HUNDRED = rf"(?:{_any(_TENS)}(?:[ -]{_any(_SMALL)})?|{_any(_SMALL)})"
_SCALED = rf"{_BELOW_HUNDRED}(?:[ ]{_any(_SCALES)}){{1,2}}"
_WORDS = (
    rf"(?:{_SCALED}(?:[ ]and)?[ ]){{0,3}}(?:{_BELOW_HUNDRED}(?:[ ]{_any(_SCALES)}){{0,2}}|{_any(_SCALES)})"
    rf"(?:[ -](?:and[ ])?(?:a[ ])?{_any(_PARTS)})?"
    rf"|{_any(_PARTS)}(?:[ ]a[ ]{_any(_SCALES)})?|{_any(_MULTIPLES)}"
)
# Words are looked up before the longer expression is tried: most of a text is neither a digit nor a number word.
_CANDIDATE = re.compile(rf"(?<![\w.])(?P<digits>{NUMBER})|(?P<word>[A-Za-z]+)")
_IN_WORDS = re.compile(rf"(?<![^\W_])(?:{_WORDS})(?![^\W_])", re.IGNORECASE)
_AFTER = re.compile(
    r"[ -]?(?P<percent>\\?%|per ?cent\b|percentage\b)|[ -](?P<unit>[A-Za-z]{2,24})|(?P<glued>[A-Za-z]{1,4})\b"
)
_NO_UNIT = frozenset({
    "a", "about", "after", "all", "an", "and", "are", "as", "at", "be", "because", "before", "but", "by", "can",
    "do", "does", "each", "equals", "every", "fewer", "for", "from", "gives", "had", "has", "have", "he", "her",
    "his", "if", "in", "into", "is", "it", "its", "left", "less", "makes", "minus", "more", "most", "of", "off",
    "on", "or", "other", "out", "over", "per", "plus", "remaining", "she", "so", "still", "than", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "times", "to", "total", "twice", "under", "up", "us",
    "was", "we", "were", "what", "when", "where", "which", "who", "will", "with", "would", "you",
})  # fmt: skip


def read_mentions(plain: str) -> tuple[Mention, ...]:
    """Returns the quantities of a text in plain characters, in order, at most `MAX_MENTIONS`."""
    text = Squeezed(plain)
    squeezed = text.text
    found: list[Mention] = []
    end = 0
    for match in _CANDIDATE.finditer(squeezed):
        start = match.start()
        if start < end:
            continue
        word = match["word"]
        if word is not None:
            if len(word) < 3 or word.lower() not in _KNOWN:
                continue
            words = _IN_WORDS.match(squeezed, start, start + _MAX_WORDS)
            if words is None:
                continue
            end = words.end()
            unit, percent = _after(squeezed, end)
            value, places = _in_words(re.split(r"[ -]", words.group().lower())), 0
        else:
            try:
                number = written(match.group())
            except TooCostlyError:
                continue
            end = match.end()
            value, places = number.value, number.places or 0
            unit, percent = _after(squeezed, end)
            if squeezed[max(0, start - 2) : start].rstrip(" ").endswith("$") and squeezed[end : end + 1] != "$":
                unit = "dollar"
        found.append(Mention(value, text.span(start, end), places, percent, unit, word is not None))
        if len(found) >= MAX_MENTIONS:
            break
    return tuple(found)


def _after(plain: str, end: int) -> tuple[str, bool]:
    """The unit after a number, and whether a percent sign is there."""
    after = _AFTER.match(plain, end, end + 40)
    if after is None:
        return "", False
    if after["percent"] is not None:
        return "", True
    word = (after["unit"] or after["glued"]).lower()
    return ("", False) if word in _NO_UNIT or word in _VALUES else (singular(word), False)


def _in_words(words: list[str]) -> Fraction:
    """`two hundred and five`, `three dozen`, `two thirds`, `one and a half`."""
    total, group = Fraction(0), Fraction(0)
    is_open = False
    for index, word in enumerate(words):
        if word in ("and", "a"):
            continue
        if word in _PARTS:
            part = Fraction(1, _PARTS[word])
            if not is_open:
                following = next((w for w in words[index + 1 :] if w in _SCALES), None)
                return part * _SCALES[following] if following else part
            return total + group * part if index < 2 else total + group + part
        value = _VALUES[word]
        if word in _SCALES:
            group = (group or Fraction(1)) * value
            if value >= 1_000:
                total, group = total + group, Fraction(0)
        else:
            group += value
        is_open = True
    return total + group


def is_multiple(plain: str, mention: Mention) -> bool:
    """Whether a quantity says how many times another one is meant: `half`, `twice`, `a third`, `four times`."""
    word = plain[slice(*mention.span)].lower()
    if word in _FACTORS:
        return True
    return after(plain, mention.span[1], 6) == " times"
