import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from trl_weighted_dpo.verifier import ErrorProfile, Finding, MathVerifier, SolutionView, Verdict
from trl_weighted_dpo.verifier.findings import DimensionResult

SURDS = (r"\frac{1}{\sqrt{2}}", r"The answer is $\frac{\sqrt{2}}{2}$.")


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("solution", "reference", "verdict", "reason", "score", "weak"),
    [
        ("6 * 3 = 18\nA: 18", "18", "correct", "same expression", 0.0, False),
        ("6 * 3 = 26\nA: 26", "18", "incorrect", "numbers differ", 0.5 + 0.5 * 8 / 26, False),
        ("A: -18", "18", "incorrect", "numbers differ", 1.0, False),
        ("A: Evelyn", "Navin", "incorrect", "words differ", 1.0, False),
        ("A: 18", None, "undecided", "no reference answer", None, False),
        ("A:", "18", "undecided", "unreadable answer", None, False),
        ("So it is 18.", "18", "correct", "same expression", 0.0, True),
        ("So it is 18 +", "18", "undecided", "cut off", None, True),
        ("So it is 17 +", "18", "incorrect", "numbers differ", 0.5 + 0.5 / 18, True),
        ("", "18", "incorrect", "no answer", 1.0, False),
    ],
)
def test_a_profile(verifier, solution, reference, verdict, reason, score, weak) -> None:
    profile = verifier.verify("How many?", solution, reference)

    assert (profile.verdict, profile.answer_is_weak) == (verdict, weak)
    assert profile.reason in (reason, "same number", "same text")
    assert profile.scores["final_answer"] == (pytest.approx(score) if score is not None else None)
    found = [item for item in profile.evidence if item.dimension == "final_answer"]
    assert bool(found) == (verdict == "incorrect")


def test_the_evidence_points_at_the_answer(verifier) -> None:
    solution = "6 * 3 = 26\nA: 26"
    evidence = verifier.verify("How many?", solution, "18").evidence[-1]

    assert evidence.span is not None
    assert solution[slice(*evidence.span)] == "26"
    assert (evidence.step, evidence.expected, evidence.found) == (1, "18", "26")
    assert evidence.message == "The final answer is 26, but it should be 18: it is off by 44 %."


@pytest.mark.parametrize(
    ("expected", "found", "kind"),
    [
        ("18", "-18", "wrong_sign"),
        ("18", "19", "off_by_one"),
        ("18", "36", "factor_of_two"),
        ("18", "9", "factor_of_two"),
        ("18", "180", "factor_of_ten"),
        ("18", "0.018", "factor_of_ten"),
        ("18", "15", "intermediate_value"),
        ("18", "5", "given_value"),
        ("18", "26", "wrong_answer"),
        ("Evelyn", "Navin", "wrong_answer"),
        ("18", "", "no_answer"),
    ],
)
def test_a_wrong_answer_says_how_it_is_wrong(verifier, expected, found, kind) -> None:
    solution = f"So.\nA: {found}" if found else ""
    profile = verifier.verify("3 bags of 5.", solution, expected, "3 * 5 = 15\n15 + 3 = 18\n#### 18")

    assert [item.kind for item in profile.evidence if item.dimension == "final_answer"] == [kind]


def test_steps_are_the_text_they_join_to(verifier) -> None:
    steps = ["Step 1: 6 * 3\n= 18", "Step 2: done", "A: 26"]
    from_steps, from_text = (verifier.verify("", solution, "18") for solution in (steps, "\n".join(steps)))

    assert from_steps.evidence[-1].span == from_text.evidence[-1].span
    assert from_steps.evidence[-1].step == 2


def test_a_reference_solution_gives_the_reference_answer(verifier) -> None:
    assert verifier.verify("", "A: 18", reference_solution="6*3=18\n#### 18").verdict is Verdict.CORRECT
    assert verifier.verify("", "A: 18", reference_solution="It is 18.").reason == "no reference answer"


@pytest.mark.parametrize(
    ("reference", "found", "verdict"),
    [
        (*SURDS, "correct"),
        (r"\sqrt{8}", r"2\sqrt{2}", "correct"),
        (r"\frac{1}{3\sqrt[3]{x}^2}", r"\frac{1}{3x^{2/3}}", "correct"),
        (r"\sin^2 x + \cos^2 x", "1", "correct"),
        (r"e^{i\pi}", "-1", "correct"),
        ("f(x+1)", "f(1+x)", "correct"),
        (r"\log_2 8", "3", "correct"),
        ("4", r"4\sqrt{2}", "incorrect"),
        (r"\frac{\sqrt{3}}{2^{99}}", r"\frac{\sqrt{3}}{2^{98}}", "incorrect"),
        ("262537412640768744", r"e^{\pi\sqrt{163}}", "incorrect"),
        ("1", r"1+e^{-1000}", "undecided"),
        (r"e^{9^{9^9}}", "1", "undecided"),
    ],
)
def test_symbolic_comparison_in_a_worker(verifier, reference, found, verdict) -> None:
    assert verifier.compare(reference, found).verdict == verdict


def test_a_timeout_is_undecided() -> None:
    with MathVerifier(timeout=0.001) as verifier:
        profile = verifier.verify("", SURDS[1], SURDS[0])

    assert (profile.verdict, profile.reason) == (Verdict.UNDECIDED, "timeout")
    assert profile.scores["final_answer"] is None


def _profile(verifier: MathVerifier) -> ErrorProfile:
    return verifier.verify("", SURDS[1], SURDS[0])


@pytest.mark.long
def test_threads_and_processes_agree(verifier) -> None:
    expected = _profile(verifier)
    assert expected.verdict is Verdict.CORRECT

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(_profile, [verifier] * 8)) == {expected}
    # Children of these pools are daemonic, as those of `datasets.map(num_proc=...)` are.
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(_profile, [verifier]) == [expected]
    assert _profile(verifier) == expected


def test_a_verifier_survives_pickling(verifier) -> None:
    copy = pickle.loads(pickle.dumps(verifier))

    assert copy.verify("", "A: 18", "18") == verifier.verify("", "A: 18", "18")


@pytest.mark.parametrize("arguments", [{"timeout": 0}, {"memory_mib": 1}, {"max_workers": 0}])
def test_arguments_out_of_range_are_named(arguments) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MathVerifier(**arguments)


def test_importing_the_verifier_is_light() -> None:
    code = (
        "import sys, trl_weighted_dpo.verifier as v; v.compare('1', 'A: 1')\n"
        "assert not {'sympy', 'math_verify', 'mpmath', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def no_hurry(view: SolutionView) -> DimensionResult:
    """Solutions of fewer than three steps are in a hurry."""
    if len(view.steps) >= 3:
        return DimensionResult(0.0)
    message = "This solution is in a hurry."
    return DimensionResult(0.7, (Finding("step_ordering", "hurry", "heuristic", 0, None, None, None, message),))


def test_a_dimension_can_be_checked_by_a_function_of_ones_own() -> None:
    rows = [{"problem": "3 bags of 5?", "solution": "3 * 5 = 15\nA: 15", "reference_answer": "15"}] * 2
    with MathVerifier(checks={"step_ordering": no_hurry}) as verifier:
        for workers in (1, 2):
            for profile in verifier.verify_many(rows, workers=workers):
                assert profile.scores["step_ordering"] == 0.7
                assert [item.kind for item in profile.evidence] == ["hurry"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Style", r"'My-Style'.*semantic_alignment.*or one more\. Names are lower-case identifiers"),
        ("_style", "a letter first"),
        ("step_ordring", r"'step_ordring'.*write 'step_ordering', or call one more something else"),
    ],
)
def test_what_can_be_no_dimension_is_refused(name, message) -> None:
    with pytest.raises(ValueError, match=message):
        MathVerifier(checks={name: no_hurry})
