"""What a text goes on with after its answer: another answer, another question, or what no person wrote."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trl_weighted_dpo.verifier.answers.equivalence import compare_texts
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.answer import CUE, cue_pattern, has_value, read_answer
from trl_weighted_dpo.verifier.reading.continuation import SPECIAL, find_heading, headings
from trl_weighted_dpo.verifier.reading.fault import Fault, shown

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


def ending_faults(plain: str, answers: Sequence[Given]) -> Iterator[Fault]:
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
            yield Fault("new_question", asked.span(), None, shown(asked.group()), message)
        answers = [answer for answer in answers if answer.span[1] <= question.start()]
    yield from _changes(plain, answers)


def _special_tokens(plain: str) -> Iterator[Fault]:
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
        yield Fault("special_token", ended.span(), None, ended.group(), message)


def _changes(plain: str, answers: Sequence[Given]) -> Iterator[Fault]:
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
            message = f"The answer is first given as {shown(first.text)}, and then as {shown(answer.text)}."
            yield Fault(kind, answer.span, shown(first.text), shown(answer.text), message)
            return
