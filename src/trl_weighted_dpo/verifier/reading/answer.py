"""The final answer of a solution: where it stands and how sure that is."""

import re
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.characters import plain
from trl_weighted_dpo.verifier.reading.cut_off import is_cut_off
from trl_weighted_dpo.verifier.reading.mentions import read_mentions
from trl_weighted_dpo.verifier.reading.values import (
    COMPOUND,
    CONTINUES,
    MATH,
    PERCENT,
    VALUE,
    concluding_value,
    last_value,
)

MAX_TEXT_LENGTH = 200_000
"""Characters of a solution that are searched for an answer, counted from its end."""

_MAX_SENTENCE = 600
_MAX_CUES = 64
_MAX_VERBAL = 6
_MAX_VERBS = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer.

    Args:
        text (`str`, *optional*): The answer; `None` if there is an answer line with nothing readable in it.
        span (`tuple[int, int]`): Start and end of it in the text that was read.
        is_weak (`bool`): Whether it was guessed: no answer line gives it.
        is_cut_off (`bool`): Whether the text that was read seems to end early; only told of a weak answer.
        alternatives (`tuple[str, ...]`): Other values that a weak answer might be.
    """

    text: str | None
    span: tuple[int, int]
    is_weak: bool
    is_cut_off: bool
    alternatives: tuple[str, ...] = ()


CUE = re.compile(
    r"(?P<marker>(?<!\#)\#{4}(?!\#)|^[ ]{0,8}\**A\**[ ]?:)"
    r"|(?P<box>\\{1,2}(?:boxed|fbox)[ ]?(?=\{))"
    r"|(?P<prose>\bfinal[ ]answer\b(?:[ ]is\b|[ ]?[:=])?"
    r"|\banswers?\b(?:[ ]to[ ][^.:\n=]{1,60})?[ ]?(?:(?:is|are)\b|\**[:=]))",
    re.IGNORECASE | re.MULTILINE,
)
_END_OF_TURN = re.compile(r"<\|[a-z_]{1,20}\|>")
_SENTENCE_END = re.compile(r"[.!?](?=\s+[A-Z<\[(]|\s*$)|\n\s*\n|\n(?=\S)")
_AFTER_BOX = re.compile(rf"[ ]*(?:\$\$|\$|\\\)|\\\])?[ ]*(?P<percent>{PERCENT})", re.IGNORECASE)
_PROSE = re.compile(
    r"(?<![\\A-Za-z\d])(?:[A-Za-z]{3,}|(?:so|is|we|it|he|to|of|in|at|by|as|be|my|if|do|an|me|us)(?![A-Za-z]))",
    re.IGNORECASE,
)
_NOT_PROSE = frozenset(
    [
        "percent",
        "percentage",
        "pct",
        "and",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "log",
        "frac",
        "inf",
        "infinity",
        "dollars",
        "dollar",
        "cents",
        "degrees",
        "degree",
    ]
)
_RESULT = re.compile(r"=|\b(?:is|are|equals|or)\b|\u2248")
_LEADING_MARKUP = " \t*_:=\"'`\u2192"
_MAX_UNIT_WORDS = 4
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])(?:\^?[23\u00b2\u00b3]|\^\{[23]\})(?!\w)")
_ENDS_LIKE_A_WORD = re.compile(r"(?:\d in|\bA)$")


def read_answer(text: str) -> Answer | None:
    """Returns the final answer of `text`, or `None` if it holds neither an answer line nor a number nor a formula.

    It is the last of `#### N`, `A: N`, `\\boxed{...}`, "the answer is ..." or "final answer: ..."; boxes that a list
    joins (`\\boxed{1} and \\boxed{2}`) are one answer. Without any, it is the text itself if that is nothing but an
    answer, else the value that it ends in, marked weak.
    """
    offset = max(0, len(text) - MAX_TEXT_LENGTH)
    readable = plain(text[offset:])
    readable = _first_turn(readable).rstrip()
    marked = _marked(readable)
    found = (*marked, ()) if marked is not None else _unmarked(readable)
    if found is None:
        return None
    answer, (start, end), weak, alternatives = found
    cut_off = weak and is_cut_off(readable) and not (answer == readable and _ENDS_LIKE_A_WORD.search(readable))
    return Answer(answer, (start + offset, end + offset), weak, cut_off, alternatives)


def _first_turn(text: str) -> str:
    """The text up to the first mark of a chat template that has something before it."""
    start = 0
    for turn in _END_OF_TURN.finditer(text):
        if text[start : turn.start()].strip():
            return text[: turn.start()]
        start = turn.end()
    return text


_Found = tuple[str | None, tuple[int, int], bool]
_Guess = tuple[str | None, tuple[int, int], bool, tuple[str, ...]]


def _marked(text: str) -> _Found | None:
    cues = list(CUE.finditer(text))[-_MAX_CUES:]
    verbal: _Found | None = None
    unreadable: _Found | None = None
    for index in range(len(cues) - 1, -1, -1):
        cue = cues[index]
        if cue["box"] is not None:
            return _boxes(text, [c for c in cues[: index + 1] if c["box"] is not None])
        if cue["marker"] is not None:
            start, end = _line(text, cue.end())
            if _is_answer(text[start:end]):
                return text[start:end], (start, end), False
            if not any(map(str.isalnum, text[start:end])):
                return None, cue.span(), False
        found = _after_prose(text, cue.end())
        if found is not None and has_value(found[0] or ""):
            return found
        # "The answer is wanted in meters" is no answer if the computing goes on after it.
        if not any(map(str.isdigit, text[cue.end() :])):
            verbal = verbal or found
            unreadable = unreadable or (None, cue.span(), False)
    return verbal or unreadable


def has_value(text: str) -> bool:
    """Whether a text has a number, a formula or a single letter, which an answer in words has not."""
    return any(character.isdigit() or character in "\\$=" for character in text) or len(text.strip(" .*()")) == 1


def _line(text: str, start: int) -> tuple[int, int]:
    """The next line with something on it, without blanks and emphasis at its ends."""
    while start < len(text) and text[start] in " *:\n":
        start += 1
    end = text.find("\n", start)
    return _trimmed(text, start, len(text) if end < 0 else end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _LEADING_MARKUP + "\n":
        start += 1
    while end > start and text[end - 1] in " \t\n*_\"'`":
        end -= 1
    return start, end


def _group_end(text: str, start: int) -> int | None:
    """The index of the brace that closes the one at `start`."""
    depth = 0
    for index in range(start, min(len(text), start + 4_000)):
        if text[index] in "{}" and (index == 0 or text[index - 1] != "\\" or text[index - 2 : index] == "\\\\"):
            depth += 1 if text[index] == "{" else -1
            if depth == 0:
                return index
    return None


_LABEL = r"[A-Za-z][\w{}]{0,8}(?:\([a-z]\))?\s*=\s*"
_BEFORE_BOX = re.compile(rf"(?:^|[$,;:]|\\\\[(\[]|\b(?:and|or))\s*({_LABEL})$")
# Boxes with nothing but signs between them belong together; dots stand for text that was left out.
_SYMBOLS = re.compile(r"\s*[+&|/~-]+\s*")
_BLANKS = re.compile(r"(?:[ $]|\\[,;:! ]|\\q?quad)*")
_SEPARATORS = r"[\s$.,;]|\\[()\[\],;:! ]|\\q?quad"
_BETWEEN = re.compile(
    rf"(?:{_SEPARATORS})*"
    rf"(?P<words>(?:\\text\s?\{{)?[a-z() ]{{0,40}}\b(?:and|or)\b\s*\}}?)?(?:{_SEPARATORS})*(?:{_LABEL})?"
)


def _boxes(text: str, cues: list[re.Match[str]]) -> _Found:
    """The last box, with those before it that a list joins to it: by a comma, `and` or `or`, within one sentence."""
    opening = cues[-1].end()
    closing = _group_end(text, opening)
    if closing is None:
        line = _line(text, opening + 1)
        return text[slice(*line)], line, True
    start, end = _trimmed(text, opening + 1, closing)
    contents = [_labelled(text, cues[-1], text[start:end])]
    following = cues[-1]
    for cue in reversed(cues[:-1]):
        before = _group_end(text, cue.end())
        if before is None or not _joined(text[before + 1 : following.start()][:120]):
            break
        start, content_end = _trimmed(text, cue.end() + 1, before)
        contents.append(_labelled(text, cue, text[start:content_end]))
        following = cue
    if not any(character.isalnum() or character == "\\" for content in contents for character in content):
        return None, (start, closing + 1), False
    percent = _AFTER_BOX.match(text, closing + 1)
    contents = list(dict.fromkeys(contents))
    answer = ", ".join(reversed(contents)) + ("\\%" if percent and not contents[0].endswith("%") else "")
    return answer, (start, end), False


def _joined(between: str) -> bool:
    if re.search(r"\.\s", between):
        return False
    if _SYMBOLS.fullmatch(between) or _BLANKS.fullmatch(between):
        return True
    return _BETWEEN.fullmatch(between) is not None and re.search(r",|;|\band\b|\bor\b", between) is not None


def _labelled(text: str, cue: re.Match[str], content: str) -> str:
    label = _BEFORE_BOX.search(text[max(0, cue.start() - 20) : cue.start()])
    return label[1] + content if label and "=" not in content else content


def _is_answer(text: str) -> bool:
    """Whether `text` is nothing but an answer: a formula, or a number with a few words for its unit."""
    bare = re.sub(r"\\(?:text|mbox|textbf|mathrm|textit|operatorname|begin|end)\s?\{[^{}]*\}", " ", text)
    prose = [word for word in _PROSE.findall(bare) if word.lower() not in _NOT_PROSE]
    if not any(character.isalnum() for character in text) or len(prose) > _MAX_UNIT_WORDS:
        return False
    if not prose:
        return True
    value = VALUE.match(text)
    if value is None or "\n" in text:
        return False
    return not any(map(str.isdigit, _UNIT_POWER.sub("", text[value.end() :])))


def _after_prose(text: str, position: int) -> _Found | None:
    """The answer in the sentence after "the answer is"."""
    start, end = _sentence(text, position)
    if text[start : start + 4].lower() == "not " or start == end:
        return None
    if _is_answer(text[start:end]):
        return text[start:end], (start, end), False
    for verb in list(re.finditer(r"\b(?:is|are|equals)\b", text[start:end]))[: -_MAX_VERBS - 1 : -1]:
        tail = _trimmed(text, start + verb.end(), end)
        if _is_answer(text[slice(*tail)]):
            return text[slice(*tail)], tail, False
    value = MATH.match(text, start) or VALUE.match(text, start)
    if value is not None and COMPOUND.match(text, value.end(), end):
        return text[start:end], (start, end), False
    if value is not None:
        if not CONTINUES.match(text, value.end(), end):
            return value.group(), value.span(), False
        if not _RESULT.search(text, value.end(), end):
            # "The answer is 5 times 3" leaves the computing to the reader.
            is_short = len(text[start:end].split()) <= _MAX_VERBAL
            return (text[start:end] if is_short else None), (start, end), False
    last = last_value(text, start, end)
    if last is not None and last[0] < last[1]:
        return text[slice(*last)], last, True
    if len(text[start:end].split()) <= _MAX_VERBAL:
        return text[start:end], (start, end), False
    return None


def _sentence(text: str, position: int) -> tuple[int, int]:
    """The sentence from `position` on; a displayed formula that it opens with counts as one line."""
    start, limit = _trimmed(text, position, min(len(text), position + _MAX_SENTENCE))
    formula = MATH.match(text, start)
    end = _SENTENCE_END.search(text, formula.end() if formula else start, limit)
    return _trimmed(text, start, end.start() if end else limit)


def _unmarked(text: str) -> _Guess | None:
    start, end = _trimmed(text, 0, len(text))
    if end - start <= _MAX_SENTENCE:
        verbal = len(text.split()) <= _MAX_VERBAL and not any(c.isdigit() or c in "$\\" for c in text)
        if _is_answer(text[start:end]) or (verbal and any(map(str.isalnum, text))):
            return text[start:end], (start, end), True, ()
    concluding = concluding_value(text)
    if concluding is None:
        # "They have two apples left": the answer may be among the words. "One" is more often no number.
        said = any(mention.value != 1 for mention in read_mentions(text[start:end][-_MAX_SENTENCE:]))
        return (None, (end, end), True, ()) if said else None
    span, alternatives = concluding
    return text[slice(*span)] or None, span, True, alternatives
