"""Values in running text: numbers and formulas, and the one that a solution without an answer line ends in."""

import re

from trl_weighted_dpo.verifier.reading.languages import CHANGES, alternatives
from trl_weighted_dpo.verifier.reading.tokens import NUMBER

_TAIL = 4_000

# An opening delimiter ends the search for a closing one, so that many of them cost no more than one.
MATH = re.compile(
    r"\$\$(?P<a>[^$]{1,2000})\$\$|\\\[(?P<b>(?:[^\\]|\\\\\[(?=-?[\d.])|\\(?![\[\]])){1,2000})\\\]"
    r"|(?<![\\\d])\$(?P<c>(?:\\.|[^$\n\\]){1,2000})\$|\\\((?P<d>(?:[^\\\n]|\\(?![()])){1,2000})\\\)"
)
PERCENT = r"(?:\\?%|percent\b|pct\b|percentage\b)"
_SIGN = r"(?:(?<![\w)\]}])[-+])?"
VALUE = re.compile(
    rf"(?<![A-Za-z0-9_\u00aa-\u03ff\u0400-\u052f.^]){_SIGN}(?:(?:\\?\$|[\u20ac\u00a3])[ ]?)?{_SIGN}(?:{NUMBER})"
    rf"(?:[ ]\d+(?=[ ]?/))?(?:(?:[ ]?/[ ]?|,|:)\d+)*(?:\.\d+)?(?:[ ]?{PERCENT})?",
    re.IGNORECASE,
)
# What follows a value that is only the beginning of something longer.
CONTINUES = re.compile(
    r"[A-Za-z0-9_\u00aa\u00b2\u00b3\u00b5\u00b9\u00ba\u00c0-\u03ff\u2070-\u209c^!(]|[ ]?[+*^=<>][ ]?[\w(\\$]"
    r"|[ ]?/[ ]?(?:[\d_(\\$]|[A-Za-z](?![A-Za-z]))"
    r"|[ ]?-[ ]?(?:[\d(\\$]|[a-zA-Z]\b)|[ ]?\\"
    r"|[ ](?:times|plus|minus|x|over|to|divided[ ]by|of)[ ][\d$\\(]|[.,:]\d"
    r"|[ ](?:more|less|fewer)[ ](?:[a-z]{1,20}[ ])?than[ ]\$?\d|[ ](?:squared|cubed)\b"
    r"|[ ](?:or|and)[ ](?:more|less|fewer|above|below|greater|higher|lower|over|under|up)\b|[ ]at[ ](?:least|most)\b"
    r"|[ ](?:degrees[ ])?below[ ]zero|[ ](?:out[ ]of|in)[ ]\d"
)
# What stands before a value that is not meant itself.
_NOT_ITSELF = re.compile(
    r"(?:(?<!\w)1[ ]in|\d[ ]out[ ]of|\b(?:not|negative|times|plus|minus|(?:divided|multiplied)[ ]by|half(?:[ ]of)?"
    r"|twice|double|triple|between|(?:less|more|fewer|greater|smaller|larger|higher|lower|other|rather)[ ]than"
    r"|at[ ](?:least|most)|up[ ]to|divisible[ ]by|\w+n't"
    r"|(?:increased|decreased|reduced|raised)[ ](?:by|to[ ]the[ ]power[ ]of)|exceeds|(?<!equal[ ])(?<!equals[ ])unlike"
    r"|(?:squares?|cubes?|roots?|powers?|factors?|divisors?|multiples?|reciprocals?|inverses?|opposites?|negatives?|halves"
    r"|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?|percent|fractions?|parts?|portions?|logarithms?|logs?"
    r"|factorials?|remainders?|digits|complements?|squared|value)[ ]of)(?:[ ](?:the|a|an|number|exactly|about))*)"
    r"[ ]\**\\?\$?$",
    re.IGNORECASE,
)
# The same where a sentence has said that it gives the answer.
_BOUNDS = re.compile(
    r"\b(?:over|under|above|below|beyond|past|within|until|except|without)(?:[ ](?:the|a|an|number))*[ ]\**\\?\$?$",
    re.IGNORECASE,
)
_NOT_ITSELF_ABROAD = re.compile(rf"(?<![A-Za-z\u00c0-\u052f]){alternatives(CHANGES)}[ ]?\**\\?\$?$", re.IGNORECASE)
_LAST_WORDS_ABROAD = frozenset(phrase.rpartition(" ")[2] for phrase in CHANGES)
_HYPHENATED = re.compile(r"-[A-Za-z]{2}")
_GLUED_UNIT = re.compile(
    r"(?:[ck]?m|mm|[km]?g|lbs?|oz|m?[lL]|ft|in|mi|mph|h|hrs?|mins?|s|secs?|[ap]m|th|st|nd|rd)"
    r"(?:\^?[23]|\^\{[23]\}|[\u00b2\u00b3])?(?![\w^])"
)
COMPOUND = re.compile(rf"[ ][A-Za-z]{{1,20}},?[ ](?:and[ ])?(?:{NUMBER})[ ]?[A-Za-z]")
_FIRST_PART = re.compile(rf"(?<![\w.])(?:{NUMBER})[ ][A-Za-z]{{1,20}},?[ ](?:and[ ])?$")
_ITEM = r"-?\\?\$?\d{1,15}(?:[./]\d{1,15})?"
_ASSIGNED = rf"[A-Za-z]\w{{0,3}}[ ]?=[ ]?{_ITEM}"
_ASSIGNMENTS = re.compile(rf"(?<![\w(]){_ASSIGNED}(?:,?[ ](?:and[ ])?{_ASSIGNED}){{1,4}}$")
_TUPLE = re.compile(rf"(?<![\w)])[(\[][ ]?{_ITEM}(?:[ ]?,[ ]?{_ITEM}){{1,5}}[ ]?[)\]]")
_OTHER = re.compile(rf"(?P<value>{VALUE.pattern}),?[ ]or[ ](?:about|approximately|around|roughly)?[ ]?\\?\$?$")
_HALF_OF_DAY = re.compile(r"[ ]?[ap]\.?[ ]?m\b\.?", re.IGNORECASE)
_UNIT_WORD = re.compile(r"[ ]?[A-Za-z]+")
_RESULT = re.compile(rf"=[ ]*(?P<value>{VALUE.pattern})", re.IGNORECASE)
_VERB_BEFORE = re.compile(r"(?:\b(?:is|are|equals)|[=:])[ ]*(?:\\\(|\\?\$)?[ ]*$")
_SENTENCE_START = re.compile(r"[.!?]\s+(?=[A-Z])|\n")


def last_value(text: str, start: int, end: int, is_answer: bool = False) -> tuple[int, int] | None:
    """The span of the last formula or number, whichever ends later; empty if it or a number after it is part of
    something longer, which is no value of its own. `is_answer` says that the text has announced an answer, of which
    "over 42" is none."""
    last: tuple[int, int] | None = None
    for pattern in (MATH, VALUE):
        for match in pattern.finditer(text, start, end):
            if (last is None or match.end() > last[1]) and any(map(str.isalnum, match.group())):
                last = match.span()
    tail = text[last[1] : end] if last is not None else text[start:end]
    glued = _GLUED_UNIT.match(tail)
    tail = tail[glued.end() :] if glued else tail
    if any(map(str.isdigit, tail)) or (last is not None and CONTINUES.match(tail)):
        return end, end
    before = text[max(start, last[0] - 40) : last[0]] if last is not None else ""
    if last is not None and (
        _is_changed(before)
        or (is_answer and _BOUNDS.search(before))
        # The name in "no $y$-intercept".
        or (_HYPHENATED.match(tail) and not any(map(str.isdigit, text[slice(*last)])))
    ):
        return end, end
    return _whole(text, last, start, end) if last is not None else None


def _is_changed(before: str) -> bool:
    """Whether the words before a value make it another one, or none."""
    if _NOT_ITSELF.search(before):
        return True
    last_word = before.rstrip(" *\\$").rpartition(" ")[2].lower()
    is_abroad = last_word in _LAST_WORDS_ABROAD or not last_word.isascii()
    return is_abroad and _NOT_ITSELF_ABROAD.search(before) is not None


def _whole(text: str, last: tuple[int, int], start: int, end: int) -> tuple[int, int]:
    """The span of the pair, the assignments, the time of day or the compound quantity that `last` is a part of."""
    before = max(start, last[0] - 120)
    for pair in _TUPLE.finditer(text, before, min(end, last[1] + 2)):
        if pair.end() > last[1]:
            return pair.span()
    assignments = _ASSIGNMENTS.search(text, before, last[1])
    if assignments is not None:
        return assignments.span()
    if half := _HALF_OF_DAY.match(text, last[1], end):
        return last[0], half.end()
    if first := _FIRST_PART.search(text, max(start, last[0] - 60), last[0]):
        # "2 hours and 30 minutes" is one value.
        unit = _UNIT_WORD.match(text, last[1], end)
        return (first.start(), unit.end()) if unit else last
    return last


def concluding_value(text: str) -> tuple[tuple[int, int], tuple[str, ...]] | None:
    """The span of the value that `text` ends in, and the other values of its last sentence that may be meant instead.

    It is the last value, and no other is in question if that is a formula or follows "is" or "=". But if the sentence
    ("So 7 boxes are used in 4 weeks.") has several and one is the last result that was computed (`84 / 12 = 7`), it is
    that one.
    """
    begin = max(0, len(text) - _TAIL)
    last = last_value(text, begin, len(text))
    if last is None or last[0] == last[1]:
        return (last, ()) if last is not None else None
    other = _OTHER.search(text, max(begin, last[0] - 60), last[0])
    if other is not None:
        return last, (other["value"],)
    if not text[last[1] - 1].isalnum() or _VERB_BEFORE.search(text, max(begin, last[0] - 20), last[0]):
        return last, ()
    starts = [match.end() for match in _SENTENCE_START.finditer(text, begin, last[0])]
    values = [match.span() for match in VALUE.finditer(text, starts[-1] if starts else begin, last[0])]
    others = [span for span in values if _amount(text[slice(*span)]) != _amount(text[slice(*last)])]
    results = [_amount(match["value"]) for match in _RESULT.finditer(text, begin, len(text))]
    if others and results:
        for span in (last, *reversed(others)):
            if _amount(text[slice(*span)]) == results[-1]:
                return span, ()
    return last, tuple(dict.fromkeys(text[slice(*span)] for span in others))


def _amount(value: str) -> str:
    """A number's text without money and thousands signs, and without decimals that are zero."""
    return re.sub(r"\.0+$", "", re.sub(r"[\\$,+ \u20ac\u00a3]", "", value))
