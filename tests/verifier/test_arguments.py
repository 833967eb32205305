"""What is no text, no number of processes and no result is named, and evidence comes in the order of the text."""

import pytest

from trl_weighted_dpo.verifier import Finding, MathVerifier
from trl_weighted_dpo.verifier.findings import DimensionResult


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problem": None}, r'problem is None \(NoneType\), but it is a text: pass "" if there is none'),
        ({"solution": None}, r"solution is None \(NoneType\), but it is a text or the list of its steps"),
        ({"solution": b"A: 7"}, r"solution is b'A: 7' \(bytes\)"),
        ({"solution": iter(["A: 7"])}, r"solution is <list_iterator .*pass list\(\.\.\.\) of an iterator"),
        ({"solution": ["a", None]}, r"solution\[1\] is None \(NoneType\), but each step is a text"),
        ({"reference_answer": 42}, r"reference_answer is 42 \(int\), but it is a text or None: pass str"),
        ({"reference_solution": ["a"]}, r"reference_solution is \['a'\] \(list\)"),
        ({"solution": [0] * 500}, r"solution\[0\] is 0 \(int\)"),
        ({"reference_answer": [0] * 500}, r"0, 0, 0, … \(list\)"),
    ],
)
def test_an_argument_of_another_type_is_named(arguments, message) -> None:
    with pytest.raises(TypeError, match=message):
        MathVerifier().verify(**{"problem": "p", "solution": "A: 7", **arguments})


@pytest.mark.parametrize("workers", ["2", 2.0, None, True])
def test_workers_are_counted_in_whole_numbers(workers) -> None:
    with pytest.raises(TypeError, match=rf"workers is {workers!r}, but it is a whole number"):
        MathVerifier().verify_many([], workers=workers)


def gives(result):
    def check(_facts):
        return result

    return check


def finding(step, span, dimension="step_ordering"):
    return Finding(dimension, "k", "heuristic", step, span, None, None, "m")


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (0.5, TypeError, r"gave 0\.5 \(float\), but a check gives a DimensionResult"),
        (None, TypeError, r"gave None \(NoneType\), but a check gives a DimensionResult"),
        (
            DimensionResult(1.5),
            ValueError,
            r"gave the score 1\.5 \(float\), but a score is a number in \[0, 1\], or None",
        ),
        (DimensionResult(float("nan")), ValueError, r"gave the score nan"),
        (DimensionResult("high"), ValueError, r"gave the score 'high' \(str\)"),
        (DimensionResult(0.5, finding(0, None)), TypeError, r"gave the evidence .*, but it is a tuple of Finding"),
        (DimensionResult(0.5, ("late",)), TypeError, r"gave the evidence \('late',\)"),
    ],
)
def test_what_is_nothing_is_named_with_its_check(result, kind, message) -> None:
    verifier = MathVerifier(checks={"step_ordering": gives(result)})
    with pytest.raises(kind, match=r"the check 'gives\.<locals>\.check' of step_ordering " + message):
        verifier.verify("p", "A: 7", "7")


def test_a_check_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"checks\['step_ordering'\] is 0\.5 \(float\), but it is a function"):
        MathVerifier(checks={"step_ordering": 0.5})


def test_evidence_comes_in_the_order_of_the_text() -> None:
    order = [finding(0, (0, 9)), finding(0, None), finding(1, (10, 12)), finding(1, (11, 12)), finding(None, None)]
    of_others = finding(1, (10, 12), "numerical_validity")
    checks = {
        "step_ordering": gives(DimensionResult(0.5, tuple(order[::-1]))),
        "numerical_validity": gives(DimensionResult(0.5, (of_others,))),
        **{
            name: gives(DimensionResult(0.0)) for name in ("semantic_alignment", "structural_integrity", "final_answer")
        },
    }
    profile = MathVerifier(checks=checks).verify("", "So it is.\nA: 7")
    assert list(profile.evidence) == [*order[:3], of_others, *order[3:]]
