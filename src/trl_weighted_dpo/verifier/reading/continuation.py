"""Where a solution ends: with its turn, or at the next question or turn that a model writes after its answer."""

import re
from collections.abc import Iterator
from itertools import islice

from trl_weighted_dpo.verifier.reading.languages import ASKS, TURNS, alternatives

SPECIAL = re.compile(
    r"<(?:[|\uff5c][A-Za-z0-9_\u2581]{1,40}[|\uff5c]>|/?s>|</?SYS>>|(?:start|end)_of_turn>|/?(?:eos|bos|pad|unk|im_end)>)"
    r"|\[/?INST\]|\[(?:EOS|BOS|SEP)\]"
)
"""Tokens of chat templates, which end or begin a turn."""

MAX_HEADINGS = 8
"""Headings after an answer that are tried for the end of its solution."""

_THOUGHT = re.compile(r"thought|think|solution", re.IGNORECASE)
_MARKUP = r"[ ]{0,20}[#*_>\[(]{0,8}[ ]{0,4}"
_END = r"[ ]{0,4}\#?\d{0,4}[*_\])]{0,3}[ ]{0,4}"
_ASKS = alternatives((*ASKS, *TURNS))
_OTHER = r"(?:another|a new|one more|a similar|a related|a different|the next|next|the following)"
_TASK = r"(?:questions?|problems?|examples?|exercises?|tasks?|puzzles?|challenges?)"
_HEADING = re.compile(
    # `Question: ...`, `## Problem 2`, `**Exercise 3.**`
    rf"{_MARKUP}(?:(?:new|next|another|follow-?up|practice|bonus|similar)[ -]{{1,4}})?"
    rf"(?:(?P<head>{_ASKS})(?![^\W\d])(?:{_END}:|[ ]{{0,4}}\#?\d{{1,4}}(?=[.)*_ ]{{0,6}}$|[.)][ ]))"
    rf"|(?P<marked>{_ASKS})[ ]{{0,4}}\d{{0,4}}[*_]{{0,3}}[ ]{{0,4}}$(?<=[*\w]))"
    # `Now solve: ...`, `Here is another problem`, `Let's try a similar question.`
    rf"|{_MARKUP}(?P<phrase>(?:(?:now|ok(?:ay)?|great|next|then)[,!.]?[ ])?(?:"
    rf"(?:please[ ])?(?:solve|try|compute|consider)(?:[ ](?:this|{_OTHER})(?:[ ]{_TASK})?)?[ ]?:"
    rf"|(?:let[ ]?(?:us|'?s|me)|here(?:[ ]is|'?s)|we(?:[ ]can)?|you(?:[ ]can)?|i(?:'ll|[ ]will)?|can[ ]you|try|solve|"
    rf"consider|answer|do)\b[^.:?\n]{{0,30}}?\b{_OTHER}(?:[ ]\w{{1,12}})?[ ](?:{_TASK}\b|one(?=[ ]?[.:!\n]))"
    rf"|{_OTHER}[ ]{_TASK}\b|follow-?up[ ]question|bonus[ ]question|practice[ ]problem|your[ ]turn))",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_WORD = re.compile(r"[ #*_>\[(]{0,30}([^\W\d_]+)")
_FIRST_WORDS = frozenset({
    *ASKS, *TURNS, "new", "next", "another", "follow", "followup", "practice", "bonus", "similar", "now", "ok", "okay",
    "great", "then", "please", "solve", "try", "compute", "consider", "let", "lets", "here", "heres", "we", "you", "i",
    "can", "answer", "do", "a", "one", "the", "your",
})  # fmt: skip
_QUESTION_PARAGRAPH = re.compile(r"\n[ ]*\n[ ]*(?P<start>\S[^\n]{10,600}\?)[ ]*(?=\n)")
# A model that questions its own answer.
_OWN_QUESTION = re.compile(
    r"(?:wait|hmm|but|so|is|are|did|does|do|right|let|can|could|why|how do|how can|really|ok|okay|and|should|would"
    r"|check|what if|what about the|any)\b",
    re.IGNORECASE,
)


def first_turn(text: str) -> str:
    """Returns the text up to the first token of a chat template that has something before it."""
    if "<" not in text and "[" not in text:
        return text
    start = 0
    for token in SPECIAL.finditer(text):
        if _THOUGHT.search(token.group()):
            continue
        if text[start : token.start()].strip():
            return text[: token.start()]
        start = token.end()
    return text


def find_heading(text: str, start: int, end: int) -> re.Match[str] | None:
    """Returns the first heading of a question or turn that begins in `text[start:end]`, at the start of a line."""
    return next(_headings(text, start, end), None)


def _headings(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    # Trying each line is many times as fast as a search for the start of one.
    line = 0 if start == 0 else text.find("\n", start - 1) + 1
    while (line or start == 0) and line < end:
        first = _FIRST_WORD.match(text, line)
        may_begin = first is not None and first[1].lower() in _FIRST_WORDS
        heading = _HEADING.match(text, line) if may_begin else None
        if heading is not None and heading.end() <= end:
            yield heading
        line = text.find("\n", line) + 1
        if line == 0:
            return


def headings(text: str, answered: int) -> Iterator[re.Match[str]]:
    """Yields the headings of another question or turn after the position `answered`.

    None if the text has one of a question before that, too: then it asks itself questions and answers each. Roles of
    another turn count either way.
    """
    asks_itself: bool | None = None
    for heading in islice(_headings(text, answered, len(text)), MAX_HEADINGS):
        is_role = (heading["head"] or heading["marked"] or "").lower() in TURNS
        if asks_itself is None:
            asks_itself = find_heading(text, 0, answered) is not None
        if is_role or not asks_itself:
            yield heading


def asks_again(text: str, answered: int, end: int) -> int | None:
    """Returns where a paragraph begins between two answers that asks something else than whether the first is right."""
    for paragraph in _QUESTION_PARAGRAPH.finditer(text, answered, end):
        if _OWN_QUESTION.match(paragraph["start"]) is None:
            return paragraph.start("start")
    return None
