"""What a check of one's own sees of a solution."""

import dataclasses
from fractions import Fraction

import pytest

from trl_weighted_dpo import plugins
from trl_weighted_dpo.verifier import DIMENSIONS, DimensionResult, Finding, MathVerifier, SolutionView, Verdict
from trl_weighted_dpo.verifier.view import AnswerView, EquationView, NumberView, StepView

PROBLEM = "A pen costs $3 and half of the 8 pens are red. What do all cost?"
SOLUTION = ["All cost 8 * 3 = 25 dollars.", "A: 25"]
REFERENCE = "8*3=<<8*3=24>>24\n#### 24"


def view(**changes: object) -> SolutionView:
    arguments = {"problem": PROBLEM, "solution": SOLUTION, "reference_solution": REFERENCE} | changes
    return MathVerifier().view(**arguments)  # type: ignore[arg-type]


def test_it_holds_texts_steps_numbers_equations_and_the_answer() -> None:
    seen = view()

    assert (seen.problem, seen.solution) == (PROBLEM, "All cost 8 * 3 = 25 dollars.\nA: 25")
    assert seen.steps == (StepView(0, SOLUTION[0], (0, 28)), StepView(1, "A: 25", (29, 34)))
    assert seen.numbers == (
        NumberView(Fraction(8), "8", (9, 10), 0, "", False),
        NumberView(Fraction(3), "3", (13, 14), 0, "", False),
        NumberView(Fraction(25), "25", (17, 19), 0, "dollar", False),
        NumberView(Fraction(25), "25", (32, 34), 1, "", False),
    )
    assert seen.equations == (EquationView(("8 * 3", "25"), (Fraction(24), Fraction(25)), ("=",), (9, 19), 0),)
    assert [(number.value, number.text, number.unit, number.step) for number in seen.problem_numbers] == [
        (Fraction(3), "3", "dollar", None),
        (Fraction(1, 2), "half", "", None),
        (Fraction(8), "8", "pen", None),
    ]
    assert seen.answer == AnswerView("25", (32, 34), 1, Fraction(25), False)
    assert (seen.reference_answer, seen.reference_solution) == ("24", REFERENCE)
    assert seen.verdict is Verdict.INCORRECT


def test_what_is_not_there_is_none() -> None:
    seen = view(problem="", solution="", reference_solution=None)

    assert (seen.numbers, seen.equations, seen.problem_numbers) == ((), (), ())
    assert (seen.answer, seen.reference_answer, seen.reference_solution) == (None, None, None)
    assert seen.verdict is Verdict.UNDECIDED


def test_a_position_has_a_step() -> None:
    seen = view(solution="\n3 * 8 = 24\n\nA: 24")

    assert [seen.step_at(position) for position in (0, 1, 12, 17)] == [None, 0, 0, 1]


def test_it_cannot_be_changed() -> None:
    seen = view()

    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.problem = "another"  # type: ignore[misc]
    with pytest.raises(TypeError):
        seen.results["final_answer"] = DimensionResult(0.0)  # type: ignore[index]


def graver(view: SolutionView) -> DimensionResult:
    """The package's own check, and one finding more."""
    own = view.results["numerical_validity"]
    more = Finding("numerical_validity", "odd", "heuristic", 0, None, None, None, "This is odd.")
    return DimensionResult(1.0, (*own.evidence, more))


def test_a_check_in_place_of_the_packages_own_may_add_to_it() -> None:
    profile = MathVerifier(checks={"numerical_validity": graver}).verify(PROBLEM, SOLUTION)

    assert profile.scores["numerical_validity"] == 1.0
    kinds = [item.kind for item in profile.evidence if item.dimension == "numerical_validity"]
    assert kinds == ["wrong_equation", "odd"]
    assert tuple(profile.scores) == DIMENSIONS


def test_the_packages_own_checks_can_be_looked_up_and_used_like_any_other() -> None:
    checks = {name: plugins.find("dimensions", name) for name in DIMENSIONS}
    plain = MathVerifier()

    assert MathVerifier(checks=checks).verify(PROBLEM, SOLUTION, "24") == plain.verify(PROBLEM, SOLUTION, "24")
