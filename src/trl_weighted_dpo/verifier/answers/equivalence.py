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
from trl_weighted_dpo.verifier.reading.structure import (
    Form,
    Quantity,
    read_form,
)
from trl_weighted_dpo.verifier.reading.tokens import NUMBER, UnreadableError, tidy

Symbolic = Callable[[str, str], Decision]

_DECIMAL_COMMA = re.compile(r"[^\d,.;]*?(-?)[^\d,.;-]*(\d+),(\d+)[^\d,]*")
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
    return compare_answer(reference_text(reference), read_answer(found), symbolic)


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
    decision = compare_texts(reference, found.text, symbolic)
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
        if decision.verdict is not Verdict.CORRECT and _same_with_decimal_comma(reference, expected, found, form):
            return correct("same number")
        return decision
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


def _same_with_decimal_comma(reference: str, expected: Form, found: str, form: Form) -> bool:
    """`2,74` may be the decimal 2.74; it is read so only if that is the number on the other side."""
    for text, other in ((found, expected), (reference, form)):
        match = _DECIMAL_COMMA.fullmatch(text) if len(text) < 100 else None
        if match is None or not isinstance(other, Quantity) or not isinstance(other.node, Number):
            continue
        value = number(f"{match[2]}.{match[3]}").value
        if other.node.value.denominator > 1 and other.node.value == (-value if match[1] else value):
            return True
    return False
