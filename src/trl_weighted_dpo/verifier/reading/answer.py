"""The final answer of a solution: where it stands and how sure that is."""

import re
from dataclasses import dataclass
from itertools import islice

from trl_weighted_dpo.verifier.reading.characters import COMBINING, plain
from trl_weighted_dpo.verifier.reading.continuation import asks_again, find_heading, first_turn, headings
from trl_weighted_dpo.verifier.reading.cut_off import is_cut_off
from trl_weighted_dpo.verifier.reading.languages import ANSWER, ASCII_CUES, leaves
from trl_weighted_dpo.verifier.reading.mentions import read_mentions
from trl_weighted_dpo.verifier.reading.retraction import is_denied, is_taken_back
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
        alternatives (`tuple[str, ...]`): Other values that the answer might be.
        parts (`tuple[str, ...]`): The answers to the parts of a problem, which `text` joins and each of which may be
            all that is asked.
        doubt (`str`, *optional*): Why nothing can be decided by it, as a fixed phrase: the text denies it or takes it
            back.
    """

    text: str | None
    span: tuple[int, int]
    is_weak: bool
    is_cut_off: bool
    alternatives: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    doubt: str | None = None


_ENGLISH_CUES = (
    r"(?P<marker>(?<!\#)\#{4}(?!\#)|^[ ]{0,8}\**A\**[ ]?:)"
    r"|(?P<box>\\{1,2}(?:boxed|fbox)[ ]?(?=\{))"
    r"|(?P<tag><(?:final[_ -]?)?answers?>)"
    r"|(?P<prose>\bfinal[ ]answer\b(?:[ ]is\b|[ ]?[:=])?"
    r"|\banswers?\b(?:[ ]to[ ][^.:\n=]{1,60})?[ ]?(?:(?:is|are)\b|\**[:=])"
    r"|\b(?:correct|right|best)[ ](?:choice|option|letter)\b[ ]?(?:is\b|\**[:=])"
)
CUE = re.compile(_ENGLISH_CUES + ")", re.IGNORECASE | re.MULTILINE)
_ANY_CUE = re.compile(_ENGLISH_CUES + rf")|(?P<foreign>{ANSWER})", re.IGNORECASE | re.MULTILINE)
# Letters that may begin a sentence: capitals, and those of scripts that have none.
_CAPITALS = r"A-Z\u00c0-\u00de\u0391-\u03a9\u0400-\u042f\u0590-\u0eff\u3040-\ud7a3"
_CLOSING_TAG = r"</(?:final[_ -]?)?answers?>"
_SENTENCE_END = re.compile(
    rf"[.!?](?=\s+[{_CAPITALS}<\[(]|\s*$)|[\u3002\uff01\uff1f\u0964\u061f]|\n\s*\n|\n(?=\S)|{_CLOSING_TAG}"
)
_ANSWER_TAG_END = re.compile(_CLOSING_TAG)
_TAG_END = re.compile(r"</|\n\s*\n")
_FOREIGN_WORDS = re.compile(rf"(?:[^\W\d_\u0000-\u024f\u0370-\u03ff][{COMBINING}]*)+")
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
_LEADING_MARKUP = " \t*_:=\"'`\u2192\u2705\u2714\u2713\u2611\ufe0f\U0001f449\U0001f389"
_TRAILING_MARKUP = ' \t\n*_"`\u2705\u2714\u2713\u2611\ufe0f\U0001f389'
_CHOICE_LINE = re.compile(
    r"[\s*_]*(?:(?:[*_]{2}|\()+(?P<letter>[A-H])[)*_.]+"
    r"|(?:the[ ])?(?:option|choice|answer)[ ]\(?\**(?P<named>[A-H])\**\)?"
    r"(?:[ ]is[ ](?:the[ ])?(?:correct|right|best|answer)(?:[ ](?:answer|choice|option|one))?)?)[\s.*_]*",
    re.IGNORECASE,
)
_MAX_UNIT_WORDS = 4
_MAX_CHOICE = 80
_CHOICE_LABEL = re.compile(r"\(?[A-H][).][ ]+")
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])(?:\^?[23\u00b2\u00b3]|\^\{[23]\})(?!\w)")
_ENDS_LIKE_A_WORD = re.compile(r"(?:\d in|\bA)$")


def read_answer(text: str) -> Answer | None:
    """Returns the final answer of `text`, or `None` if it holds neither an answer line nor a number nor a formula.

    It is the last of `#### N`, `A: N`, `\\boxed{...}`, `<answer>...</answer>`, "the answer is ..." or "final answer:
    ...", in any of the languages of `languages.py`, before the next question or turn that the text continues with.
    Boxes that a list joins (`\\boxed{1} and \\boxed{2}`) are one answer. Without any, it is the text itself if that is
    nothing but an answer, else the value that it ends in, marked weak.
    """
    offset = max(0, len(text) - MAX_TEXT_LENGTH)
    readable = first_turn(plain(text[offset:])).rstrip()
    cues = list(cue_pattern(readable).finditer(readable))
    marked = _marked(readable, cues)
    if marked is not None:
        readable, marked, alternatives = _before_next_question(readable, cues, marked)
        found: _Guess | None = (*marked, alternatives)
    else:
        found = _unmarked(readable)
    if found is None:
        return None
    answer, (start, end), weak, alternatives = found
    cut_off = weak and is_cut_off(readable) and not (answer == readable and _ENDS_LIKE_A_WORD.search(readable))
    return Answer(
        answer,
        (start + offset, end + offset),
        weak,
        cut_off,
        alternatives,
        _parts(readable, start, answer),
        _doubt(readable, cues, start, end, weak),
    )


def cue_pattern(text: str) -> re.Pattern[str]:
    """Returns the expression for what announces an answer in a text in plain characters: in English, or in any of the
    languages that the text may be in."""
    lowered = text.lower()
    is_english = text.isascii() and not any(cue in lowered for cue in ASCII_CUES)
    return CUE if is_english else _ANY_CUE


def _before_next_question(
    text: str, cues: list[re.Match[str]], last: "_Found"
) -> tuple[str, "_Found", tuple[str, ...]]:
    """The text up to the next question or turn that it goes on with after its first answer, its answer, and what else
    may be meant."""
    for heading in headings(text, cues[0].end()):
        before = text[: heading.start()].rstrip()
        found = _marked(before, [cue for cue in cues if cue.end() <= len(before)])
        if found is not None and found[0] is not None:
            return before, found, ()
    unmarked = find_heading(text, 0, cues[0].start())
    if unmarked is not None and unmarked["phrase"] is None and _COMPUTED.search(text, 0, unmarked.start()):
        before = text[: unmarked.start()].rstrip()
        guess = _unmarked(before)
        if guess is not None and guess[0] and last[0]:
            return before, (guess[0], guess[1], True), (*guess[3], last[0])
    again = asks_again(text, cues[0].end(), last[1][0]) if len(cues) > 1 else None
    if again is not None:
        before = text[:again].rstrip()
        found = _marked(before, [cue for cue in cues if cue.end() <= len(before)])
        if found is not None and found[0] is not None and last[0] not in (None, found[0]):
            return before, found, (last[0] or "",)
    return text, last, ()


def _doubt(text: str, cues: list[re.Match[str]], start: int, end: int, weak: bool) -> str | None:
    opening = _BOX_OPENING.search(text[:start]) if text[start - 2 : start].strip(" $").endswith("{") else None
    begin = opening.start() if opening else start
    announced = [cue for cue in cues if cue.lastgroup in ("prose", "foreign") and cue.end() <= start]
    is_near = bool(announced) and _SENTENCE_END.search(text, announced[-1].end(), begin) is None
    if is_denied(text, begin, announced[-1].span() if is_near else None):
        return "answer denied"
    if (
        weak
        and is_near
        and announced[-1].lastgroup == "prose"
        and not _leads_to_value(text[announced[-1].end() : begin])
    ):
        return "words before a value"
    closing = _BOX_CLOSING.match(text, end) if opening else None
    return "answer taken back" if is_taken_back(text, start, closing.end() if closing else end) else None


_COMPUTED = re.compile(r"\d[ ]?[-+*/][ ]?\$?[\d.]+[^=\n]{0,20}=")
_BOX_OPENING = re.compile(r"(?:\\{1,2}(?:boxed|fbox)[ ]?\{[ $]*)+$")
_BOX_CLOSING = re.compile(r"[ $]*(?:\}[ $]*)+")
_Found = tuple[str | None, tuple[int, int], bool]
_Guess = tuple[str | None, tuple[int, int], bool, tuple[str, ...]]


def _marked(text: str, cues: list[re.Match[str]]) -> _Found | None:
    cues = cues[-_MAX_CUES:]
    verbal: _Found | None = None
    unreadable: _Found | None = None
    for index in range(len(cues) - 1, -1, -1):
        cue = cues[index]
        if cue["box"] is not None:
            return _boxes(text, [c for c in cues[: index + 1] if c["box"] is not None])
        if cue["tag"] is not None:
            tagged = _tagged(text, cue.end())
            if tagged is not None:
                return tagged
            continue
        if cue["marker"] is not None:
            start, end = _line(text, cue.end())
            if _is_answer(text[start:end]):
                return text[start:end], (start, end), False
            if not any(map(str.isalnum, text[start:end])):
                return None, cue.span(), False
        found = _after_prose(text, cue.end(), cue.lastgroup == "foreign")
        if found is not None and has_value(found[0] or ""):
            return found
        # "The answer is wanted in meters" is no answer if the computing goes on after it.
        if not any(map(str.isdigit, text[cue.end() :])):
            verbal = verbal or found
            unreadable = unreadable or (None, cue.span(), False)
    return verbal or unreadable


def _tagged(text: str, start: int) -> _Found | None:
    """The answer in `<answer>...</answer>`: all of it, or the value that a sentence in it ends in."""
    closing = _TAG_END.search(text, start)
    start, end = _trimmed(text, start, closing.start() if closing else len(text))
    if not any(map(str.isalnum, text[start:end])):
        return None, (start, end), False
    words = len(text[start:end].split())
    if _is_answer(text[start:end]) or (words <= _MAX_VERBAL and not any(map(str.isdigit, text[start:end]))):
        return text[start:end], (start, end), False
    last = last_value(text, start, end, is_answer=True)
    return (text[slice(*last)] or None, last, True) if last is not None else (None, (start, end), False)


def has_value(text: str) -> bool:
    """Whether a text has a number, a formula or a single letter, which an answer in words has not."""
    return any(character.isdigit() or character in "\\$=" for character in text) or len(text.strip(" .*()")) == 1


def _line(text: str, start: int) -> tuple[int, int]:
    """The next line with something on it, without blanks and emphasis at its ends."""
    while start < len(text) and text[start] in " *:\n":
        start += 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    tag = _ANSWER_TAG_END.search(text, start, end)
    return _trimmed(text, start, tag.start() if tag else end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    begin = start
    while start < end and text[start] in _LEADING_MARKUP + "\n":
        start += 1
    # A quotation mark at the end may be a prime.
    closing = _TRAILING_MARKUP + ("'" if "'" in text[begin:start] else "")
    while end > start and text[end - 1] in closing:
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
# What stands between the boxes of two parts: `(b)`, `Part 2:`, on a line of its own or at the start of one.
_PART_LABEL = (
    r"(?:\*{0,4}(?:\(?(?:[a-h]|[1-9]|i{1,3}|iv|v)\)|[a-h][.:]"
    r"|(?:parts?|questions?|problems?)[ ]?\(?(?:[a-h]|[1-9]|i{1,3})\)?|for[ ]part[ ]\w)\*{0,4})"
)
_NEXT_PART = re.compile(
    rf"[\s$.,;)\]\\]{{0,12}}\n\s*(?:{_PART_LABEL}[ ]?[:.,)]?[^\n\\]{{0,80}}(?:\n[^\n\\]{{0,80}})?|[1-9]\.)"
    r"[\s$(\[\\]{0,6}$",
    re.IGNORECASE,
)
_PART_START = re.compile(rf"^[ ]{{0,8}}(?:{_PART_LABEL}|[1-9]\.)", re.IGNORECASE | re.MULTILINE)
_INNER_BOX = re.compile(r"[ $]*\\{1,2}(?:boxed|fbox)[ ]?\{(?P<content>.*)\}[ $]*", re.DOTALL)
_MAX_NESTED = 4
_SEPARATORS = r"[\s$.,;]|\\[()\[\],;:! ]|\\q?quad"
_BETWEEN = re.compile(
    rf"(?:{_SEPARATORS})*"
    rf"(?P<words>(?:\\text\s?\{{)?[a-z() ]{{0,40}}\b(?:and|or)\b\s*\}}?)?(?:{_SEPARATORS})*(?:{_LABEL})?"
)


def _boxes(text: str, cues: list[re.Match[str]]) -> _Found:
    """The last box, with those before it that a list joins to it: by a comma, `and` or `or`, within one sentence."""
    for outer in cues[-2 : -_MAX_NESTED - 2 : -1]:
        # `\\boxed{\\fbox{6}}` is one box.
        around = _group_end(text, outer.end())
        if around is not None and around > cues[-1].end():
            cues = [cue for cue in cues if cue.start() <= outer.start()]
    opening = cues[-1].end()
    closing = _group_end(text, opening)
    if closing is None:
        line = _line(text, opening + 1)
        return text[slice(*line)], line, True
    start, end = _trimmed(text, opening + 1, closing)
    contents = [_labelled(text, cues[-1], _unboxed(text[start:end]))]
    following = cues[-1]
    for cue in reversed(cues[:-1]):
        before = _group_end(text, cue.end())
        if before is not None and before > following.start():
            continue
        if before is None or not _joined(text[before + 1 : following.start()][:120]):
            break
        start, content_end = _trimmed(text, cue.end() + 1, before)
        contents.append(_labelled(text, cue, _unboxed(text[start:content_end])))
        following = cue
    if not any(character.isalnum() or character == "\\" for content in contents for character in content):
        return None, (start, closing + 1), False
    percent = _AFTER_BOX.match(text, closing + 1)
    contents = list(dict.fromkeys(contents))
    answer = ", ".join(reversed(contents)) + ("\\%" if percent and not contents[0].endswith("%") else "")
    return answer, (start, end), False


def _unboxed(content: str) -> str:
    """The content of a box without boxes around all of it."""
    for _ in range(_MAX_NESTED):
        inner = _INNER_BOX.fullmatch(content)
        if inner is None or _group_end(content, inner.start("content") - 1) != inner.end("content"):
            break
        content = inner["content"].strip(" $")
    return content


def _joined(between: str) -> bool:
    if _NEXT_PART.match(between):
        return True
    if re.search(r"\.\s", between):
        return False
    if _SYMBOLS.fullmatch(between) or _BLANKS.fullmatch(between):
        return True
    return _BETWEEN.fullmatch(between) is not None and re.search(r",|;|\band\b|\bor\b", between) is not None


def _parts(text: str, start: int, answer: str | None) -> tuple[str, ...]:
    """The boxes of a list of parts, from the one at `start` on: `(a) \\boxed{1}`, and `(b) \\boxed{2}` on the next
    line."""
    if answer is None or "," not in answer or "\\boxed" not in text[max(0, start - 12) : start]:
        return ()
    if _PART_START.search(text, start) is None:
        return ()
    boxes = islice((cue.end() for cue in CUE.finditer(text, start - 12) if cue["box"] is not None), _MAX_CUES)
    ends = ((opening, _group_end(text, opening)) for opening in boxes)
    return tuple(text[opening + 1 : end] for opening, end in ends if end is not None)


def _labelled(text: str, cue: re.Match[str], content: str) -> str:
    label = _BEFORE_BOX.search(text[max(0, cue.start() - 20) : cue.start()])
    return label[1] + content if label and "=" not in content else content


def _is_answer(text: str) -> bool:
    """Whether `text` is nothing but an answer: a formula, or a number with a few words for its unit."""
    if not text.isascii() and not _is_foreign_answer(text):
        return False
    bare = re.sub(r"\\(?:text|mbox|textbf|mathrm|textit|operatorname|begin|end)\s?\{[^{}]*\}", " ", text)
    prose = [word for word in _PROSE.findall(bare) if word.lower() not in _NOT_PROSE]
    if not any(character.isalnum() for character in text) or len(prose) > _MAX_UNIT_WORDS:
        return False
    if not prose:
        return True
    label = _CHOICE_LABEL.match(text)
    value = VALUE.match(text, label.end() if label else 0)
    if value is None or "\n" in text:
        return False
    return not any(map(str.isdigit, _UNIT_POWER.sub("", text[value.end() :])))


def _is_foreign_answer(text: str) -> bool:
    """Whether words of other scripts in a text leave it an answer: few of them, and before a number only ones that do
    not change it."""
    first = next((index for index, character in enumerate(text) if character.isdigit() or character == "\\"), None)
    words = [match.group() for match in _FOREIGN_WORDS.finditer(text)]
    if first is None:
        return len(words) <= _MAX_VERBAL and sum(map(len, words)) <= _MAX_FOREIGN
    before = [match.group() for match in _FOREIGN_WORDS.finditer(text, 0, first)]
    explained = _EXPLAINED.search(text, first)
    if explained is not None and any(map(str.isdigit, text[explained.end() :])):
        return False
    return all(map(leaves, before)) and len(words) <= _MAX_UNIT_WORDS and sum(map(len, words)) <= _MAX_FOREIGN


_MAX_FOREIGN = 40
_EXPLAINED = re.compile(r"(?:[ ]?[^\W\d_]{1,20})?,[ ]?[^\W\d_]{2}")


def _after_prose(text: str, position: int, is_foreign: bool) -> _Found | None:
    """The answer in the sentence after "the answer is". In other languages than English, several numbers in it leave it
    unreadable."""
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
        if is_foreign and any(map(str.isdigit, text[value.end() : end])):
            # "19, because 20 - 1 = 19"
            explained = _EXPLAINED.match(text, value.end(), end) is not None
            return (value.group() if explained else None), value.span(), False
        if not CONTINUES.match(text, value.end(), end):
            return value.group(), value.span(), False
        if not _RESULT.search(text, value.end(), end):
            # "The answer is 5 times 3" leaves the computing to the reader.
            is_short = len(text[start:end].split()) <= _MAX_VERBAL
            return (text[start:end] if is_short else None), (start, end), False
    last = last_value(text, start, end, is_answer=True)
    if last is not None and last[0] < last[1]:
        if not is_foreign and not _leads_to_value(text[start : last[0]]):
            return None, last, True
        return text[slice(*last)], last, True
    if len(text[start:end].split()) <= _MAX_VERBAL:
        return text[start:end], (start, end), False
    return None


# Words right before the value in "the answer is that she has 42": after others, it may be another value that is meant.
_BEFORE_VALUE = frozenset({
    "has", "have", "had", "is", "are", "was", "were", "be", "been", "get", "gets", "got", "makes", "made", "make",
    "earns", "earned", "earn", "pays", "paid", "pay", "spends", "spent", "spend", "costs", "cost", "needs", "need",
    "needed", "takes", "took", "take", "ate", "eats", "eat", "sold", "sells", "sell", "bought", "buys", "buy", "equals",
    "equal", "gave", "gives", "give", "receives", "received", "receive", "travels", "traveled", "weighs", "contains",
    "holds", "saves", "saved", "save", "charges", "charged", "owes", "reads", "read", "collected", "produces",
    "produced", "used", "uses", "use", "left", "exactly", "about", "approximately", "only", "total", "roughly",
    "around", "to", "for", "by", "at", "but", "another", "an", "a", "the", "all", "other", "drives", "drove", "runs",
    "ran", "walks", "walked", "worth",
})  # fmt: skip
_JOINS = frozenset({"and", "or", "of", "with", "if", "where", "when", "base", "number", "sum"})
_MEASURES = re.compile(
    r"\b(?:total|amount|sum|cost|price|profit|distance|area|volume|speed|average|value|answer|result|savings|length|weight"
    r"|age|score|number|income|maximum|minimum|perimeter|height|width|mean|rate|balance|bill|loss|change) of$",
    re.IGNORECASE,
)
_CHANGES_MORE = re.compile(
    r"\b(?:not|never|no|without|half|twice|double|triple|less|more|fewer|least|most|difference|product|ratio|multiple"
    r"|square|cube|root|\w+n't)\b",
    re.IGNORECASE,
)


def _leads_to_value(before: str) -> bool:
    """Whether the words between "the answer is" and a value leave it what it is."""
    words = before.rstrip(" $\\*_([")
    word = re.search(r"[\w']+$", words)
    if word is None or before.rstrip(" $\\*").endswith("("):
        # "Forty-two (42)"
        return True
    last = word.group().lower()
    is_known = (
        word.group()[0].isupper()
        or last in _BEFORE_VALUE
        or (leaves(last) and last not in _JOINS)
        or _MEASURES.search(words) is not None
    )
    return is_known and _CHANGES_MORE.search(before) is None


def _sentence(text: str, position: int) -> tuple[int, int]:
    """The sentence from `position` on; a displayed formula that it opens with counts as one line."""
    start, limit = _trimmed(text, position, min(len(text), position + _MAX_SENTENCE))
    formula = MATH.match(text, start)
    end = _SENTENCE_END.search(text, formula.end() if formula else start, limit)
    return _trimmed(text, start, end.start() if end else limit)


def _unmarked(text: str) -> _Guess | None:
    start, end = _trimmed(text, 0, len(text))
    last_line = text.rfind("\n", start, end) + 1
    sentence = text.rfind(". ", start, end)
    last = max(last_line, sentence + 2 if sentence >= 0 else 0)
    choice = _CHOICE_LINE.fullmatch(text, last) if len(text) - last <= _MAX_CHOICE else None
    if choice is not None:
        span = choice.span("letter" if choice["letter"] else "named")
        return text[slice(*span)], span, True, ()
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
