"""Loops and repetitions: a text that says the same over and over, as a model does that is stuck.

Equal lines and equal terms are common in sound solutions (`5 * 5 * 5 * 5`, `This simplifies to:`, rows of zeros), so
what counts is how long the repeated piece is and whether it is words or signs. The thresholds are ours, well above what
sound solutions of the development data reach: a sentence at most 3 times, and 8 words at most 6 times.
"""

import re
from collections.abc import Sequence
from operator import eq

from trl_weighted_dpo.verifier.reading.fault import Fault, shown

_GRAM = 3
_MIN_WORDS = 4
_MIN_TIMES = 4
_MIN_ROW_WORDS = 10
_LONG_TOKEN = 60
_MAX_PERIOD = 8
# How often three words in a row have come before in the shortest repetition, four words said four times, and in the
# shortest loops but those of a single word: two words five times in a row, four words three times.
_MIN_AGAIN = 6

_TOKEN = re.compile(r"\S+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n")
_WORD = re.compile(r"[^\W\d_]{2}")
# A row of anything else is a ruler; of these signs, what a model gives out that has lost its numbers.
_SAYS = re.compile(r"[\w!]")
_SIGNS = re.compile(r"[\d=+*/^<>&\\|,;]")


def read_repeats(plain: str) -> Fault | None:
    """Returns the first piece of a text in plain characters that is repeated without a break, as a `loop`; else, as a
    `repetition`, the first sentence that is said for the fourth time, or the first three in a row that have come in the
    same order before."""
    tokens = plain.split()
    # Most texts say little twice: counting that is much faster than to look for what.
    again = len(tokens) - 2 - len(set(zip(tokens, tokens[1:], tokens[2:], strict=False)))
    fault = None
    if again >= _MIN_AGAIN or (again > 0 and any(map(eq, tokens, tokens[1:]))):
        fault = _loop_of_tokens(plain, tokens)
    if fault is None and max(map(len, tokens), default=0) >= _LONG_TOKEN:
        fault = _loop_within_token(plain, tokens)
    return fault or (_repetition(plain) if again >= _MIN_AGAIN else None)


def _loop_of_tokens(plain: str, tokens: Sequence[str]) -> Fault | None:
    # Text of period p has equal distance p from each three words to where they came last.
    latest: dict[tuple[str, str, str], int] = {}
    period = start = 0
    for position, gram in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        before = latest.get(gram)
        latest[gram] = position
        distance = position - before if before is not None else 0
        if distance == period:
            continue
        if period and _is_loop(tokens, start, position + _GRAM - 1, period):
            return _loop(plain, tokens, start, position + _GRAM - 1, period)
        period, start = distance, position - distance
    if period and _is_loop(tokens, start, len(tokens), period):
        return _loop(plain, tokens, start, len(tokens), period)
    return None


def _is_loop(tokens: Sequence[str], start: int, end: int, period: int) -> bool:
    times = (end - start) // period
    if times < 3:
        return False
    unit = " ".join(tokens[start : start + min(period, 60)])
    is_words = _WORD.search(unit) is not None and "\\" not in unit
    if not is_words:
        if end == len(tokens) and period == 1 and unit.isalnum():
            # No sign stands between them, and nothing follows: `1 1 1 1 1` at the very end.
            return times >= 5
        return times >= 30 and any(map(str.isalnum, unit))
    if _SIGNS.search(unit):
        return times >= (3 if period >= 12 else 6 if period >= 6 else 12)
    return times >= (3 if period >= 4 else 5)


def _loop(plain: str, tokens: Sequence[str], start: int, end: int, period: int) -> Fault:
    unit = shown(" ".join(tokens[start : start + min(period, 60)]))
    places = [match.span() for match, _ in zip(_TOKEN.finditer(plain), range(end), strict=False)]
    message = f'The text is caught in a loop: "{unit}" comes {(end - start) // period} times in a row.'
    return Fault("loop", (places[start][0], places[end - 1][1]), None, unit, message)


def _loop_within_token(plain: str, tokens: Sequence[str]) -> Fault | None:
    for token in tokens:
        if len(token) < _LONG_TOKEN:
            continue
        end = token[-_LONG_TOKEN:].rstrip(".")
        if "&" in end or not end.strip("0"):
            # A row of a matrix, or a large power of ten.
            continue
        for period in range(1, _MAX_PERIOD + 1):
            if end[period:] == end[:-period] and len(end) > _LONG_TOKEN // 2 and _SAYS.search(end):
                start = plain.find(token)
                unit = shown(end[:period])
                message = f'The text is caught in a loop: "{unit}" comes again and again.'
                return Fault("loop", (start, start + len(token)), None, unit, message)
    return None


def _repetition(plain: str) -> Fault | None:
    times: dict[str, int] = {}
    rows: dict[tuple[str, ...], int] = {}
    row: list[str] = []
    start = index = 0
    for end in (*(match.end() for match in _SENTENCE.finditer(plain)), len(plain)):
        words = plain[start:end].split()
        if not words:
            start = end
            continue
        sentence = " ".join(words)
        row = [*row[-2:], sentence]
        span = (end - len(plain[start:end].lstrip()), start + len(plain[start:end].rstrip()))
        if len(words) >= _MIN_WORDS and _WORD.search(sentence):
            times[sentence] = times.get(sentence, 0) + 1
            if times[sentence] == _MIN_TIMES:
                message = f'The solution says the same {_MIN_TIMES} times: "{shown(sentence)}"'
                return Fault("repetition", span, None, shown(sentence), message)
        first = rows.setdefault(tuple(row), index)
        if index - first >= len(row) == 3 and sum(len(part.split()) for part in row) >= _MIN_ROW_WORDS:
            message = f'The solution repeats what it said before, from "{shown(row[0])}" to "{shown(sentence)}"'
            return Fault("repetition", span, None, shown(" ".join(row)), message)
        start = end
        index += 1
    return None
