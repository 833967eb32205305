"""The dimension `final_answer`: how far the final answer is from the reference answer."""

from fractions import Fraction

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.facts import Facts, answer_value
from trl_weighted_dpo.verifier.findings import DimensionResult, finding, placed
from trl_weighted_dpo.verifier.profile import Verdict

DIMENSION = "final_answer"


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
    values = answer_value(expected), answer_value(found)
    if values[0] is None or values[1] is None:
        return 1.0
    scale = max(abs(values[0]), abs(values[1]))
    # Both zero is possible: 0 cm for 0 %, say, where the unit makes it wrong.
    distance = min(Fraction(1), abs(values[1] - values[0]) / scale) if scale else Fraction(0)
    return 0.5 + 0.5 * float(distance)


def check(facts: Facts) -> DimensionResult:
    """Checks the final answer by its verdict; undecided ones have no score."""
    verdict = facts.decision.verdict
    found = facts.answer.text if facts.answer is not None else None
    unavailable = ("reference answer",) if facts.expected is None else ()
    value = score(verdict, facts.expected, found)
    if verdict is not Verdict.INCORRECT:
        return DimensionResult(value, (), unavailable)
    if facts.answer is None or found is None:
        message = f"The solution ends without a final answer; it should be {excerpt(facts.expected or '')}."
        missing = finding(DIMENSION, "no_answer", None, message, expected=facts.expected)
        return DimensionResult(value, (missing,), unavailable)
    kind, how = _how_far(facts, facts.target, answer_value(found))
    message = f"The final answer is {excerpt(found)}, but it should be {excerpt(facts.expected or '')}{how}."
    wrong = finding(DIMENSION, kind, facts.answer.span, message, expected=facts.expected, found=found)
    return DimensionResult(value, placed(facts.solution, (wrong,)), unavailable)


def _how_far(facts: Facts, expected: Fraction | None, found: Fraction | None) -> tuple[str, str]:
    """What kind of wrong answer it is, the most telling first, and how the message says so."""
    if expected is None or found is None:
        return "wrong_answer", ""
    if found == -expected:
        return "wrong_sign", ": the sign is wrong"
    if facts.route is not None and found in facts.route.results:
        return "intermediate_value", f": {number(found)} is a value on the way to it"
    if any(mention.value == found for mention in facts.problem.mentions):
        return "given_value", ": that is a number of the problem"
    if abs(found - expected) == 1:
        return "off_by_one", ": it is off by one"
    if expected and found:
        ratio = max(found / expected, expected / found)
        if ratio == 2:
            return "factor_of_two", ": it is off by a factor of two"
        if ratio in (10, 100, 1000):
            return "factor_of_ten", f": it is off by a factor of {ratio}"
        error = 100 * abs(found - expected) / abs(expected)
        if error < 1_000:
            return "wrong_answer", f": it is off by {float(error):.{0 if error >= 10 else 1}f} %"
    return "wrong_answer", ""
