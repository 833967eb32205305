"""The dimension `final_answer`: how far the final answer is from the reference answer."""

from fractions import Fraction

from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.profile import Evidence, Verdict
from trl_weighted_dpo.verifier.reading.grammar import TooCostlyError
from trl_weighted_dpo.verifier.reading.structure import Labelled, Quantity, read_form
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError

DIMENSION = "final_answer"
_SHOWN = 80


def score(verdict: Verdict, expected: str | None, found: str | None) -> float | None:
    """Returns the score of a final answer.

    0 if it is correct, `None` if that is undecided. An incorrect number scores
    `0.5 + 0.5 · min(1, |found - expected| / max(|found|, |expected|))`, anything else that is incorrect 1. The formula
    is ours: every wrong answer stays well apart from a right one, and among wrong ones the score grows with the
    distance, without a scale that a problem would have to bring.

    Args:
        verdict (`Verdict`): Whether the answer is right.
        expected (`str`, *optional*): The reference answer.
        found (`str`, *optional*): The answer as the solution writes it.
    """
    if verdict is Verdict.UNDECIDED:
        return None
    if verdict is Verdict.CORRECT:
        return 0.0
    values = _value(expected), _value(found)
    if values[0] is None or values[1] is None:
        return 1.0
    scale = max(abs(values[0]), abs(values[1]))
    # Both zero is possible: 0 cm for 0 %, say, where the unit makes it wrong.
    distance = min(Fraction(1), abs(values[1] - values[0]) / scale) if scale else Fraction(0)
    return 0.5 + 0.5 * float(distance)


def evidence(
    verdict: Verdict, expected: str | None, found: str | None, step: int | None, span: tuple[int, int] | None
) -> tuple[Evidence, ...]:
    """Returns what there is to show for an incorrect answer; nothing for any other."""
    if verdict is not Verdict.INCORRECT:
        return ()
    if found is None:
        message = f"The solution ends without a final answer; it should be {_short(expected)}."
    else:
        message = f"The final answer is {_short(found)}, but it should be {_short(expected)}."
    return (Evidence(DIMENSION, "rule", step, span, expected, found, message),)


def _short(text: str | None) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "\u2026"


def _value(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        form = read_form(text)
        form = form.value if isinstance(form, Labelled) else form
        return exact(form.node) if isinstance(form, Quantity) else None
    except (UnreadableError, NotExactError, TooCostlyError):
        return None
