"""The dimension `structural_integrity`: whether the text of a solution is whole, and ends when it is done."""

import re
from collections.abc import Iterator

from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding, finding, placed, score_of
from trl_weighted_dpo.verifier.reading.form import (
    Given,
    debris_faults,
    delimiter_faults,
    ending_faults,
    given_answers,
    read_repeats,
)
from trl_weighted_dpo.verifier.reading.numbering import Marker, bare, counted, numbering_faults, read_markers

DIMENSION = "structural_integrity"

_SHOWN_END = 30
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far)\b|\b(?:calculate|compute|evaluate)\b"
    r"|\bwhat (?:is|are|was|will be) the (?:\w{1,12} )?(?:value|number|total|cost|price|amount)\b",
    re.IGNORECASE,
)
_VALUE_AT_END = re.compile(r"\d[\d.,>]{0,30}(?: [\w-]{1,30}){0,4}$")
_REVIEWS = re.compile(
    r"\b(?:check|verif\w{1,9}|confirm\w{0,4}|because|since|reason\w{0,3}"
    r"|round(?:s|ed|ing)?|approximately|about|that is|answers?)\b|\\boxed|####",
    re.IGNORECASE,
)
"""Words after an answer that announce a check of it, its reason, or it once more."""


def check(facts: Facts) -> DimensionResult:
    """Checks the form of a solution; there always is one to check."""
    findings = placed(facts.solution, _findings(facts))
    return DimensionResult(score_of(findings), findings)


def _findings(facts: Facts) -> Iterator[Finding]:
    plain = facts.solution.plain
    markers = read_markers(plain)
    content = bare(plain, markers)
    yield from _answer_faults(facts)
    repeats = read_repeats(content)
    if repeats is not None:
        yield repeats
    if not facts.solution.was_cut:
        yield from delimiter_faults(plain)
    yield from (item for item in numbering_faults(plain, markers) if item.dimension == DIMENSION)
    answers = given_answers(plain)
    endings = list(ending_faults(plain, answers))
    yield from endings
    if answers and not endings:
        yield from _going_on(facts, markers, answers[0])
    yield from debris_faults(facts.solution.text[: len(plain)])


def _says_something(text: str, start: int) -> bool:
    """Whether there is a word on the line of an answer that could not be read, such as "there is no such value"."""
    return any(map(str.isalnum, text[start:].split("\n", 1)[0]))


def _answer_faults(facts: Facts) -> Iterator[Finding]:
    answer = facts.answer
    if answer is None:
        # Without a number, the answer to another question may be among the words.
        asks_number = any(map(str.isdigit, facts.expected or "")) or _ASKS_NUMBER.search(facts.problem.plain)
        if asks_number or not any(map(str.isalnum, facts.solution.plain)):
            yield finding(DIMENSION, "no_answer", None, "The solution gives no answer.")
    elif answer.text is None and not answer.is_weak and not _says_something(facts.solution.plain, answer.span[1]):
        yield finding(DIMENSION, "empty_answer", answer.span, "There is a place for the answer, but nothing in it.")
    elif answer.is_cut_off or (answer.is_weak and _ends_in_words(facts)):
        end = len(facts.solution.text.rstrip())
        start = max(0, end - _SHOWN_END, facts.solution.text.rfind("\n", 0, end) + 1)
        last = excerpt(facts.solution.text[start:end])
        message = f'The solution breaks off: it ends in "{last}".'
        yield finding(DIMENSION, "cut_off", (start, end), message, found=last)


def _ends_in_words(facts: Facts) -> bool:
    """Whether the solution of a problem that asks for a number ends in an open sentence that comes to none: without any
    number, or without the full stop that all its other lines have."""
    solution = facts.solution
    text = solution.plain.rstrip(" \n*_")
    if solution.was_cut or not text[-1:].isalpha() or not _ASKS_NUMBER.search(facts.problem.plain):
        return False
    start = max(text.rfind("\n"), text.rfind(". "), text.rfind("? "), text.rfind(": ")) + 1
    sentence = text[start:]
    if len(sentence.split()) < 3 or _VALUE_AT_END.search(" ".join(sentence.split())):
        return False
    last = solution.mentions[-1].span[0] if solution.mentions else 0
    if last < start and not any(sign in sentence for sign in "=$\\"):
        return True
    lines = [line.rstrip(" *_") for line in text.split("\n") if line.strip()]
    return len(lines) >= 3 and all(line[-1:] in (".", "!", "?") for line in lines[:-1])


def _going_on(facts: Facts, markers: tuple[Marker, ...], given: Given) -> Iterator[Finding]:
    """What is computed after the answer and is neither a check of it nor the way to it."""
    plain = facts.solution.plain
    derived = facts.trace.derived
    end = given.span[1]
    if not derived or derived[0].span[0] > end or _REVIEWS.search(plain, end):
        return
    said = counted(facts.solution.mentions, markers)
    known = {mention.value for mention in said if mention.span[0] < end}.union(facts.given)
    known.update(value for item in derived if item.span[0] < end for value in (item.value, item.exact))
    for item in derived:
        if item.span[0] >= end and item.value not in known and item.exact not in known:
            found = excerpt(plain[slice(*item.span)])
            message = f"After the answer {excerpt(given.text)}, the solution goes on computing."
            yield finding(DIMENSION, "goes_on", item.span, message, found=found)
            return
