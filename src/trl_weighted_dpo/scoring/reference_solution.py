"""A reference solution in the candidates' own form, so that it can be a chosen completion.

A chosen completion that looks unlike the rejected ones, with calculator annotations or another kind of answer line,
would teach the model the format instead of the reasoning.
"""

import re
from collections import Counter
from collections.abc import Sequence

from trl_weighted_dpo.core.thinking import without_thought
from trl_weighted_dpo.verifier.reading.answer import read_answer

_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")
_REFERENCE_LINE = re.compile(r"\n?[ \t]*####[^\n]*\s*\Z")
_MAX_AFFIX = 60
_CONTENT = re.compile(r"[\d=<>]")
_BOX = "\\boxed"


def render_reference(
    reference_solution: str | None, reference_answer: str | None, candidates: Sequence[str]
) -> str | None:
    """The reference solution without `<<...>>` and with the answer line that most candidates have; one that boxes its
    answer, as they do, stays as it is.

    Args:
        reference_solution (`str` or `None`): As GSM8K writes it: steps, then `#### N`.
        reference_answer (`str` or `None`): The final answer.
        candidates (`Sequence[str]`): The problem's candidates; their answer lines give the form.

    Returns:
        The text, or `None` without a reference or where no candidate has an answer line to copy.
    """
    if not reference_solution or not reference_answer:
        return None
    if not any("<<" in candidate for candidate in candidates):
        reference_solution = without_calculator(reference_solution)
    steps = _REFERENCE_LINE.sub("", reference_solution).strip()
    own = read_answer(steps) if _BOX in steps and any(_BOX in candidate for candidate in candidates) else None
    if own is not None and not own.is_weak:
        return steps
    form = _answer_form(candidates)
    if form is None:
        return None
    before, after = form
    return f"{steps}\n{before}{reference_answer}{after}" if steps else None


def without_calculator(solution: str) -> str:
    """A solution without GSM8K's calculator annotations, `<<...>>`."""
    return _CALCULATOR.sub("", solution)


def _answer_form(candidates: Sequence[str]) -> tuple[str, str] | None:
    """What stands before and after the answer on the answer line: the most frequent, the first in order on a tie."""
    forms: Counter[tuple[str, str]] = Counter()
    for text in candidates:
        text = without_thought(text)
        answer = read_answer(text)
        if answer is None or answer.is_weak or answer.text is None:
            continue
        start, end = answer.span
        before = text[text.rfind("\n", 0, start) + 1 : start]
        after = text[end:].split("\n", 1)[0]
        # What computes or tells more than the answer is this candidate's own.
        if max(len(before), len(after)) <= _MAX_AFFIX and not _CONTENT.search(before + after):
            forms[before, after] += 1
    return min(forms, key=lambda form: (-forms[form], form)) if forms else None
