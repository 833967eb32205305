"""The form of a text: unbalanced brackets, broken characters, repetitions, and text after the answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import eq

from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.verifier.answers.equivalence import compare_texts
from trl_weighted_dpo.verifier.findings import Finding, finding
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.answer import CUE, cue_pattern, has_value, read_answer
from trl_weighted_dpo.verifier.reading.continuation import SPECIAL, find_heading, headings

_finding = partial(finding, "structural_integrity")

# Brackets that come in pairs, of LaTeX and of the calculator notation, and formulas with nothing in them

_PAIRED = re.compile(
    r"\\\\|\\[{}$]"  # a line break, and characters that stand for themselves
    r"|(?P<left>\\left(?![A-Za-z]))|(?P<right>\\right(?![A-Za-z]))"
    r"|\\begin[ ]{0,4}\{(?P<begin>[A-Za-z]{1,20}\*?)\}|\\end[ ]{0,4}\{(?P<end>[A-Za-z]{1,20}\*?)\}"
    r"|(?P<inline>\\\()|(?P<inline_end>\\\))|(?P<display>\\\[)|(?P<display_end>\\\])"
    r"|(?P<brace>\{)|(?P<brace_end>\})|(?P<dollars>\$\$?)"
)
_CLOSES = {"right": "left", "end": "begin", "inline_end": "inline", "display_end": "display", "brace_end": "brace"}
_PARTNER = {
    "left": "\\right", "right": "\\left", "inline": "\\)", "inline_end": "\\(", "display": "\\]", "display_end": "\\[",
    "brace": "}", "brace_end": "{",
}  # fmt: skip
_COMMAND_BEFORE = re.compile(r"(?:\\[A-Za-z]{1,30}\*?|[\^_}\]])[ ]{0,4}$")
_FORMULA = re.compile(r"\$[A-Za-z\\(\-]")
_MONEY = re.compile(r"\$[ ]{0,4}[\d.]|\d[ ]{0,4}\$(?![ ]{0,4}(?:[.,;:)?!\n]|$))")
_EMPTY = re.compile(
    r"\\[dtc]?(?:frac|binom)[ ]{0,4}\{(?:\s{0,8}\}|[^{}\n]{1,80}\}[ ]{0,4}\{\s{0,8}\})"
    r"|\\sqrt[ ]{0,4}(?:\[[^\[\]\n]{0,20}\])?[ ]{0,4}\{\s{0,8}\}"
    r"|(?<!\\)\\\(\s{0,8}\\\)|(?<!\\)\\\[\s{0,8}\\\]|\w\^[ ]{0,4}\{\s{0,8}\}"
)
_CALCULATION = re.compile(r"<<(?P<body>[^<>\n]{0,200})(?P<closed>>>)?|(?P<lone>(?<=\d)>>)")


def delimiter_faults(plain: str) -> Iterator[Finding]:
    """Yields the faults of a text in plain characters: `unbalanced_latex` and `unbalanced_calculation`, one for each
    sort of bracket at most, and `empty_latex` for the first formula with nothing in it."""
    if plain.count("<<") != plain.count(">>"):
        yield from _calculations(plain)
    # Dollar signs alone are money, unless one may open a formula.
    if "\\" in plain or ("$" in plain and ("{" in plain or "}" in plain or _FORMULA.search(plain))):
        yield from _brackets(plain)
    if "\\" in plain or "^" in plain:
        empty = _EMPTY.search(plain)
        if empty is not None:
            found = excerpt(empty.group())
            yield _finding("empty_latex", empty.span(), f"There is nothing in the formula {found}.", found=found)


def _calculations(plain: str) -> Iterator[Finding]:
    for match in _CALCULATION.finditer(plain):
        if match["closed"] or (match["body"] is not None and "=" not in match["body"]):
            continue
        if match["lone"]:
            missing, found = "<<", ">>"
        else:
            missing, found = ">>", excerpt(match.group())
        message = f"A calculation in << >> is not complete: {missing} is missing."
        yield _finding("unbalanced_calculation", match.span(), message, expected=missing, found=found)
        return


def _brackets(plain: str) -> Iterator[Finding]:
    opened: dict[str, list[re.Match[str]]] = {"left": [], "begin": [], "inline": [], "display": [], "brace": []}
    closed: dict[str, re.Match[str]] = {}
    dollars: list[re.Match[str]] = []
    for match in _PAIRED.finditer(plain):
        sort = match.lastgroup
        if sort is None:
            continue
        if sort in opened:
            opened[sort].append(match)
        elif sort == "dollars":
            dollars.append(match)
        elif not _close(opened[_CLOSES[sort]], match["end"]):
            closed.setdefault(sort, match)
    for sort, waiting in opened.items():
        # In plain text a brace may stand alone: `f(x) = { x if x > 0`.
        lone = [match for match in waiting if sort != "brace" or _is_latex(plain, match.start())]
        if lone:
            yield _unbalanced(lone[0], _PARTNER.get(sort) or f"\\end{{{lone[0]['begin']}}}")
    for sort, match in closed.items():
        if not opened[_CLOSES[sort]] and (sort != "brace_end" or "\\" in plain):
            yield _unbalanced(match, _PARTNER.get(sort) or f"\\begin{{{match['end']}}}")
    yield from _dollars(plain, dollars)


def _is_latex(plain: str, brace: int) -> bool:
    return _COMMAND_BEFORE.search(plain, max(0, brace - 36), brace) is not None


def _close(waiting: list[re.Match[str]], environment: str | None) -> bool:
    """Closes the innermost one that is open, of an environment the innermost of that name."""
    for index in range(len(waiting) - 1, max(-1, len(waiting) - 20), -1):
        if environment is None or waiting[index]["begin"] == environment:
            del waiting[index]
            return True
    return False


def _dollars(plain: str, dollars: list[re.Match[str]]) -> Iterator[Finding]:
    for sign in ("$$", "$"):
        places = [match for match in dollars if match.group() == sign]
        # A dollar may be money; only in a text where none can be, each is one half of a pair.
        if len(places) % 2 and _FORMULA.search(plain) and not _MONEY.search(plain):
            yield _unbalanced(places[-1], sign)
            return


def _unbalanced(match: re.Match[str], partner: str) -> Finding:
    found = excerpt(match.group())
    message = f"The {found} has no {partner} that belongs to it."
    return _finding("unbalanced_latex", match.span(), message, expected=partner, found=found)


# Broken encodings, lost escapes, text of many scripts at once

_BROKEN = re.compile(
    "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\ufffd\\ud800-\\udfff]"
    # `\frac`, `\times` and `\right` whose backslash was read as an escape, and UTF-8 read as Latin-1.
    "|\\f(?=rac|orall|box)|\\t(?=imes|ext\\{|heta\\b)|\\r(?=ight)|\u00e2\u20ac|\u00c3[\u0080-\u00bf]"
)
# Where one of these can be; a set of characters alone is searched several times as fast.
_SUSPICIOUS = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\u00c3\u00e2\\ufffd\\ud800-\\udfff]")
# Letters that do not serve as signs of mathematics, as Greek and Hebrew ones do. Japanese is written with Chinese ones.
_FOREIGN = re.compile(
    "(?P<cyrillic>[\u0400-\u052f])|(?P<arabic>[\u0600-\u06ff])|(?P<indic>[\u0900-\u0dff])|(?P<thai>[\u0e00-\u0e7f])"
    "|(?P<korean>[\uac00-\ud7af])|(?P<chinese>[\u3040-\u30ff\u4e00-\u9fff])"
)
_MAX_LETTERS = 2_000
_AROUND = 20


def debris_faults(text: str) -> Iterator[Finding]:
    """Yields `broken_characters` at the first character of a text that nobody writes, and `garbled_text` where letters
    of a second script beside Latin come in: a language may borrow the letters of one other, but not of two."""
    broken = _BROKEN.search(text) if _SUSPICIOUS.search(text) else None
    if broken is not None:
        code = f"U+{ord(broken.group()[0]):04X}"
        message = f"There is a broken character ({code}) in the text."
        yield _finding("broken_characters", broken.span(), message, found=code)
    if text.isascii():
        return
    first: str | None = None
    for match, _ in zip(_FOREIGN.finditer(text), range(_MAX_LETTERS), strict=False):
        if match.lastgroup != (first := first or match.lastgroup):
            words = excerpt(text[max(0, match.start() - _AROUND) : match.end() + _AROUND])
            message = f'The text turns into letters of several scripts that say nothing: "{words}"'
            yield _finding("garbled_text", match.span(), message, found=words)
            return


# Loops and repetitions: a text that says the same again and again, as a stuck model does

# Equal lines and equal terms are common in sound solutions (`5 * 5 * 5 * 5`, `This simplifies to:`, rows of zeros), so
# what counts is how long the repeated piece is and whether it is words or signs. The thresholds are ours, well above
# what sound solutions of the development data reach: a sentence at most 3 times, and 8 words at most 6 times.
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


THOUGHT_LOOP = 16
"""Times in a row from which a piece of a thought is a loop: whoever checks a result again says the same again."""


def read_loop(plain: str) -> Finding | None:
    """Returns the first piece of a thought in plain characters that is repeated `THOUGHT_LOOP` times without a
    break."""
    tokens = plain.split()
    fault = _loop_of_tokens(plain, tokens, THOUGHT_LOOP)
    return fault or _loop_within_token(plain, [token for token in tokens if len(token) >= _LONG_TOKEN])


def read_repeats(plain: str) -> Finding | None:
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


def _loop_of_tokens(plain: str, tokens: Sequence[str], least: int = 0) -> Finding | None:
    # Text of period p has equal distance p from each three words to where they came last.
    latest: dict[tuple[str, str, str], int] = {}
    period = start = 0
    for position, gram in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        before = latest.get(gram)
        latest[gram] = position
        distance = position - before if before is not None else 0
        if distance == period:
            continue
        if period and _is_loop(tokens, start, position + _GRAM - 1, period, least):
            return _loop(plain, tokens, start, position + _GRAM - 1, period)
        period, start = distance, position - distance
    if period and _is_loop(tokens, start, len(tokens), period, least):
        return _loop(plain, tokens, start, len(tokens), period)
    return None


def _is_loop(tokens: Sequence[str], start: int, end: int, period: int, least: int = 0) -> bool:
    times = (end - start) // period
    if times < max(3, least):
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


def _loop(plain: str, tokens: Sequence[str], start: int, end: int, period: int) -> Finding:
    unit = excerpt(" ".join(tokens[start : start + min(period, 60)]))
    places = [match.span() for match, _ in zip(_TOKEN.finditer(plain), range(end), strict=False)]
    message = f'The text is caught in a loop: "{unit}" comes {(end - start) // period} times in a row.'
    return _finding("loop", (places[start][0], places[end - 1][1]), message, found=unit)


def _loop_within_token(plain: str, tokens: Sequence[str]) -> Finding | None:
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
                unit = excerpt(end[:period])
                message = f'The text is caught in a loop: "{unit}" comes again and again.'
                return _finding("loop", (start, start + len(token)), message, found=unit)
    return None


def _repetition(plain: str) -> Finding | None:
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
                message = f'The solution says the same {_MIN_TIMES} times: "{excerpt(sentence)}"'
                return _finding("repetition", span, message, found=excerpt(sentence))
        first = rows.setdefault(tuple(row), index)
        if index - first >= len(row) == 3 and sum(len(part.split()) for part in row) >= _MIN_ROW_WORDS:
            message = f'The solution repeats what it said before, from "{excerpt(row[0])}" to "{excerpt(sentence)}"'
            return _finding("repetition", span, message, found=excerpt(" ".join(row)))
        start = end
        index += 1
    return None


# What a text continues with after its answer

MAX_ANSWERS = 8
"""Places of a text that are read for an answer, from the first on."""

_CUE_SIGNS = ("####", "boxed", "fbox", "nswer", "NSWER", "hoice", "ption")
_LETTER_CUE = re.compile(r"^[ ]{0,8}(?P<marker>\**A\**[ ]?:)", re.IGNORECASE | re.MULTILINE)
_MAX_BOX = 2_000
_MAX_SEGMENT = 600

_ITEM = re.compile(r"\W{0,6}(?:steps?\b|\d{1,3}[.):]\s+\S)", re.IGNORECASE)
_PART = re.compile(r"\bparts?\b|\([a-d]\)|\b(?:first|second|third|other|sub)[ -]?(?:question|answer)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that a text gives in so many words.

    Args:
        text (`str`): The answer.
        span (`tuple[int, int]`): Start and end of what gives it, to the end of its line.
        end (`int`): The end of the answer in it.
        source (`str`): What gives it: an answer `"line"` (`#### 5`, `A: 5`), a `"box"` or a `"sentence"`.
    """

    text: str
    span: tuple[int, int]
    end: int
    source: str


@lru_cache(maxsize=4)
def given_answers(plain: str) -> tuple[Given, ...]:
    """Returns the answers that a text in plain characters gives in so many words, in order; boxes on one line are
    one answer. None if the text ends with the first: then there is nothing to say of its ending.

    Several dimensions ask for those of one text, which are remembered for them.
    """
    cues = cue_pattern(plain)
    if cues is CUE and not any(sign in plain for sign in _CUE_SIGNS):
        cues = _LETTER_CUE
    cue = cues.search(plain)
    if cue is None or not any(map(str.isalnum, plain[_segment_end(plain, cue) :])):
        return ()
    found: list[Given] = []
    reached = tried = 0
    for cue in cues.finditer(plain):
        if cue.start() < reached:
            continue
        end = _segment_end(plain, cue)
        is_line = cue.groupdict()["marker"] is not None
        if is_line and _ITEM.match(plain, cue.end(), end):
            # A heading of markdown: `#### Step 2: Add`.
            continue
        segment = plain[cue.start() : end]
        reached = end
        answer = read_answer(segment)
        if answer is not None and answer.text is not None and not answer.is_weak and has_value(answer.text):
            source = "line" if is_line else "box" if "\\boxed" in segment else "sentence"
            found.append(Given(answer.text, (cue.start(), end), cue.start() + answer.span[1], source))
        tried += 1
        if tried == MAX_ANSWERS:
            break
    return tuple(found)


def _segment_end(plain: str, cue: re.Match[str]) -> int:
    """The end of the line of what gives an answer; of the next one with something on it if the cue ends its own."""
    position = cue.end()
    if cue.groupdict().get("box") is not None:
        depth = 0
        for position in range(cue.end(), min(len(plain), cue.end() + _MAX_BOX)):
            depth += {"{": 1, "}": -1}.get(plain[position], 0)
            if depth == 0:
                break
    else:
        while position < len(plain) and position < cue.end() + _MAX_SEGMENT and not plain[position].isalnum():
            position += 1
    end = plain.find("\n", position)
    return min(end if end >= 0 else len(plain), position + _MAX_SEGMENT)


def ending_faults(plain: str, answers: Sequence[Given]) -> Iterator[Finding]:
    """Yields what is wrong with how a text in plain characters goes on: `special_token`, `new_question`, and
    `changed_answer` or `several_answers`, at most one of each.

    Args:
        plain (`str`): The text.
        answers (`Sequence[Given]`): What [`given_answers`] found in it.
    """
    if "<" in plain or "[" in plain:
        yield from _special_tokens(plain)
    if not answers:
        return
    question = find_heading(plain, answers[0].span[1], len(plain))
    if question is not None:
        asked = next(headings(plain, answers[0].span[1]), None)
        if asked is not None:
            message = "After its answer, the text goes on with another question."
            yield _finding("new_question", asked.span(), message, found=excerpt(asked.group()))
        answers = [answer for answer in answers if answer.span[1] <= question.start()]
    yield from _changes(plain, answers)


def _special_tokens(plain: str) -> Iterator[Finding]:
    ended: re.Match[str] | None = None
    reached = 0
    for token in SPECIAL.finditer(plain):
        # One at either end of the text is what a chat template leaves.
        if any(map(str.isalnum, plain[reached : token.start()])):
            if ended is not None:
                break
            ended = token
        reached = token.end()
    if ended is not None and any(map(str.isalnum, plain[reached:])):
        message = f"The text goes on after {ended.group()}, which ends a turn."
        yield _finding("special_token", ended.span(), message, found=ended.group())


def _changes(plain: str, answers: Sequence[Given]) -> Iterator[Finding]:
    for answer in answers[1:]:
        first = answers[0]
        between = plain[first.end : answer.span[0]]
        if any(_PART.search(plain[slice(*given.span)]) for given in (first, answer)):
            return
        if first.source == "sentence" and "=" in between:
            # "The answer to that is 15 gallons", on the way to the answer in pints.
            return
        if compare_texts(first.text, answer.text).verdict is Verdict.INCORRECT:
            kind = "changed_answer" if first.source == answer.source == "line" else "several_answers"
            message = f"The answer is first given as {excerpt(first.text)}, and then as {excerpt(answer.text)}."
            yield _finding(kind, answer.span, message, expected=excerpt(first.text), found=excerpt(answer.text))
            return
