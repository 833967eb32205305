"""Which error a candidate made, and what the majority of candidates answers."""

import pytest

from tests.evaluation.pools import outcomes, profile
from trl_weighted_dpo.evaluation.measures import _is_same, majority_verdict
from trl_weighted_dpo.evaluation.outcomes import Outcome, error_class, majority, modal_class, outcome
from trl_weighted_dpo.verifier import MathVerifier, Verdict

CASES = {
    "correct": profile("correct", final_answer=0.0, numerical_validity=0.9, semantic_alignment=0.9),
    "undecided": profile("undecided", numerical_validity=0.9),
    "miscalculated": profile("incorrect", final_answer=0.55, numerical_validity=0.4, semantic_alignment=0.9),
    "near_miss": profile("incorrect", final_answer=0.75, numerical_validity=0.0, step_ordering=0.1),
    "other_incorrect": profile("incorrect", final_answer=0.751, numerical_validity=0.0, semantic_alignment=0.9),
}


@pytest.mark.parametrize("name", CASES)
def test_class_of_a_profile(name):
    assert error_class(CASES[name]) == name


@pytest.mark.parametrize("dimension", ["semantic_alignment", "logical_consistency", "step_ordering"])
def test_a_near_miss_shows_in_any_dimension_of_meaning(dimension):
    near = {"final_answer": 0.6, "numerical_validity": None}
    assert error_class(profile("incorrect", **near, **{dimension: 0.05})) == "near_miss"
    assert error_class(profile("incorrect", **near, structural_integrity=0.9)) == "other_incorrect"


def test_class_without_any_score():
    """Parquet has null for an object without keys."""
    assert error_class({"verdict": "incorrect", "scores": None}) == "other_incorrect"


def test_unfinished_thinking_is_a_class_of_its_own():
    with MathVerifier() as verifier:
        found = outcome(verifier.verify(PROBLEM, "<think>\n40 - 8 = 32. The answer is 32. Wait", "32").to_dict())
    assert (found.verdict, found.error_class) == ("undecided", "unfinished_thinking")


PROBLEM = "Tom has 40 apples and loses 8 of them. How many apples does Tom have?"
REFERENCE = "Tom has 40 - 8 = 32 apples.\n#### 32"
REAL = {
    "Tom has 40 - 8 = 32 apples.\nA: 32": "correct",
    "Tom has 40 + 8 = 48 apples.\nA: 48": "near_miss",
    "Tom has 40 - 8 = 31 apples.\nA: 31": "miscalculated",
    "Tom has 40 * 8 = 320 apples.\nA: 320": "other_incorrect",
}


@pytest.mark.parametrize(("solution", "name"), REAL.items())
def test_class_of_real_solutions(solution, name):
    with MathVerifier() as verifier:
        found = outcome(verifier.verify(PROBLEM, solution, "32", REFERENCE).to_dict())
    assert found.error_class == name
    assert found.answer == solution.split("A: ")[1]


def vote(letters, answers):
    return majority(outcomes(letters, answers), _is_same)


def test_majority_wins_right_or_wrong():
    assert vote("ccii", ["4", "4", "5", "6"]).verdict is Verdict.CORRECT
    assert vote("ccciiii", ["4"] * 3 + ["5"] * 4).answer == "5"


def test_answers_that_are_equivalent_vote_together():
    assert vote("icici", ["1/2", "4", "0.5", "4", "\\frac{1}{2}"]).answer == "1/2"
    assert vote("icici", ["1/2", "4", "0.6", "4", "0.7"]).answer == "4"


def test_right_answers_vote_together_however_they_are_written():
    assert vote("cici", ["x = 4", "5", "four dollars", "6"]).verdict is Verdict.CORRECT


def test_of_groups_of_the_same_size_the_first_wins():
    assert vote("icic", ["5", "4", "5", "4"]).answer == "5"
    assert vote("cici", ["4", "5", "4", "5"]).answer == "4"


def test_undecided_and_missing_answers_have_no_vote():
    assert vote("uuuc", ["7", "7", "7", "4"]).verdict is Verdict.CORRECT
    assert vote("iiic", [None, None, None, "4"]).verdict is Verdict.CORRECT
    assert vote("uui", ["7", None, None]) is None


def test_verdict_of_a_majority_that_nobody_voted_in():
    nobody = Outcome(Verdict.INCORRECT, None, "other_incorrect")
    assert majority_verdict([nobody, nobody]) is Verdict.INCORRECT
    assert majority_verdict([nobody, *outcomes("u")]) is Verdict.UNDECIDED


def test_class_that_most_are_in():
    assert modal_class(outcomes("ncnic")) == "near_miss"
    assert modal_class(outcomes("cnnc")) == "correct"
    assert modal_class(outcomes("uncn")) == "near_miss"
