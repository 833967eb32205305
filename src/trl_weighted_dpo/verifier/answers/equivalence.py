"""Whether a found answer is the reference answer: correct, incorrect or undecided, with the reason.

Numbers are compared first and exactly, then forms (lists, intervals, equations, words), whose leaves are again
quantities. Only two expressions that are no rational functions are left to a symbolic decision, which costs a worker.
"""

import re
from collections.abc import Callable

from trl_weighted_dpo.verifier.answers.forms import same_form
from trl_weighted_dpo.verifier.answers.scalars import (
    Decide,
    Decision,
    correct,
    incorrect,
    same_quantity,
    same_value,
    undecided,
)
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.answer import Answer, read_answer
from trl_weighted_dpo.verifier.reading.grammar import Number, number
from trl_weighted_dpo.verifier.reading.nesting import encloses, is_mark, strip
from trl_weighted_dpo.verifier.reading.structure import (
    Form,
    Many,
    Quantity,
    form_of,
    read_form,
)
from trl_weighted_dpo.verifier.reading.tokens import NUMBER, UnreadableError, tidy, tokenize

Symbolic = Callable[[str, str], Decision]

_DECIMAL_COMMA = re.compile(r"[^\d,.;()\[\]]*?(-?)[^\d,.;()\[\]-]*(\d+),(\d+)[^\d,()\[\]]*")
_INDIAN = re.compile(r"[^\d,.;()\[\]]*(\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?)[^\d,()\[\]]*")
_THOUSANDS_POINT = re.compile(r"(?<![\d.,])\d{1,3}\.\d{3}(?![\d.,])")
_IDLE_BLANK = re.compile(r"(?<![\w,])\s+|\s+(?![\w,])")
_PLAIN_NUMBER = re.compile(rf"\s*([-+]?)\s*\$?\s*({NUMBER})\s*\.?\s*")


def compare(reference: str, found: str, symbolic: Symbolic | None = None) -> Decision:
    """Decides whether `found` gives the same final answer as `reference`.

    Args:
        reference (`str`):
            The reference answer, or a text that ends in it.
        found (`str`):
            The answer to check, or a text that ends in it.
        symbolic (`Callable[[str, str], Decision]`, *optional*):
            Decides two answer texts that need symbolic mathematics, in a process of its own. Without it they stay
            undecided.

    Returns:
        `Decision`: The verdict and its reason. It never raises, whatever the texts hold.
    """
    decision = compare_answer(reference_text(reference), read_answer(found), symbolic)
    # A text without an answer line is read for the value that it ends in, which may be one of several in the reference.
    if decision.verdict is Verdict.INCORRECT and reference.strip() == found.strip():
        return correct("same text")
    return decision


def reference_text(reference: str) -> str | None:
    """Returns the answer that a reference gives: what an answer line or box in it says, else all of it. `None` if
    that is nothing.

    A reference is never guessed from its last number, unlike a solution's answer.
    """
    answer = read_answer(reference)
    if answer is not None and not answer.is_weak:
        return answer.text
    if answer is not None and "\\boxed" in reference:
        return answer.text
    return reference.strip() or None


def compare_answer(reference: str | None, found: Answer | None, symbolic: Symbolic | None = None) -> Decision:
    """Decides an answer as [`read_answer`] found it against the text of a reference answer."""
    if reference is None:
        return undecided("unreadable reference")
    if found is None:
        # Without a digit in the reference, the answer may be among the words.
        return incorrect("no answer") if any(map(str.isdigit, reference)) else undecided("no answer")
    if found.text is None:
        return undecided("unreadable answer")
    if found.doubt is not None:
        return undecided(found.doubt)
    decision = compare_texts(reference, found.text, symbolic)
    if decision.verdict is Verdict.INCORRECT and any(
        compare_texts(reference, part).verdict is Verdict.CORRECT for part in found.parts
    ):
        return undecided("one of several parts")
    if found.is_cut_off and decision.verdict is Verdict.CORRECT:
        return undecided("cut off")
    if found.alternatives and (
        decision.verdict is Verdict.CORRECT
        or any(compare_texts(reference, other).verdict is Verdict.CORRECT for other in found.alternatives)
    ):
        return undecided("several numbers")
    return decision


def compare_texts(reference: str, found: str, symbolic: Symbolic | None = None) -> Decision:
    """Decides as [`compare`], for two texts that are answers and nothing else."""
    decision = decide_texts(reference, found, same_value)
    if decision.pending and symbolic is not None:
        return symbolic(reference, found)
    return decision


def decide_texts(reference: str, found: str, decide: Decide) -> Decision:
    """Decides two answers, with `decide` for the expressions in them."""
    left, right = _plain_number(reference), _plain_number(found)
    if left is not None and right is not None:
        return same_quantity(Quantity(left), Quantity(right), decide)
    try:
        if _same_text(reference, found):
            return correct("same text")
        try:
            expected = read_form(reference)
        except UnreadableError:
            return undecided("unreadable reference")
        form = read_form(found)
        decision = same_form(expected, form, decide)
        if decision.verdict is Verdict.CORRECT:
            return decision
        restated = _restated(found, decide)
        if restated is not None:
            return same_form(expected, restated, decide)
        return _with_other_separators(reference, expected, found, form) or decision
    except UnreadableError:
        return undecided("unreadable answer")


def _plain_number(text: str) -> Number | None:
    """The common case without the grammar: a text that is one number."""
    match = _PLAIN_NUMBER.fullmatch(text) if len(text) < 100 and text.isascii() else None
    if match is None:
        return None
    try:
        written = number(match[2])
    except UnreadableError:
        return None
    return Number(-written.value, written.places) if match[1] == "-" else written


def _same_text(reference: str, found: str) -> bool:
    def folded(text: str) -> str:
        # Some blanks say something: `1 1/2` is not `11/2`, and `32, 349` not `32,349`.
        return _IDLE_BLANK.sub("", tidy(text).strip("$ ").rstrip("$. "))

    expected = folded(reference)
    return expected == folded(found) and any(character.isalnum() for character in expected)


def _restated(text: str, decide: Decide) -> Form | None:
    """The value of `\\frac34 (0.75)`, which gives it in two forms; `None` if the text is anything else."""
    tokens = strip(tokenize(tidy(text))) if text.rstrip(" .$").endswith(")") and len(text) < 100 else ()
    opening = next(
        (index for index in range(1, len(tokens)) if is_mark(tokens[index], "(") and encloses(tokens[index:])), None
    )
    if opening is None or tokens[opening - 1].kind == "function":
        return None
    try:
        value, again = form_of(tokens[:opening]), form_of(tokens[opening + 1 : -1])
    except UnreadableError:
        return None
    is_value = isinstance(value, Quantity) and isinstance(again, Quantity)
    return value if is_value and same_form(value, again, decide).verdict is Verdict.CORRECT else None


def _with_other_separators(reference: str, expected: Form, found: str, form: Form) -> Decision | None:
    """Decides a number on one side against a text with a comma or a point that may be read otherwise, if that is the
    number: `2,74` may be 2.74, `12,34,567` is 1234567 in India, and `1.234 Euro` may be 1234 Euro."""
    for text, read, other in ((found, form, expected), (reference, expected, form)):
        if not isinstance(other, Quantity) or not isinstance(other.node, Number) or len(text) >= 100:
            continue
        value = other.node.value
        comma = _DECIMAL_COMMA.fullmatch(text)
        if comma is not None and isinstance(read, Many) and read.kind == "list" and value.denominator > 1:
            decimal = number(f"{comma[2]}.{comma[3]}").value
            if value == (-decimal if comma[1] else decimal):
                return correct("same number")
        groups = _INDIAN.fullmatch(text)
        if groups is not None and number(groups[1].replace(",", "")).value == value:
            return correct("same number")
        is_decimal = isinstance(read, Quantity) and isinstance(read.node, Number) and read.node.value * 1_000 == value
        if is_decimal and _THOUSANDS_POINT.search(text) and _is_foreign(text):
            return undecided("thousands or decimals")
    return None


def _is_foreign(text: str) -> bool:
    """Whether a text has a sign or letter that English is written without."""
    return not text.isascii() or "euro" in text.lower()
