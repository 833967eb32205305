from itertools import islice

import pytest

from tests.verifier.generated_pairs import Pair, pairs
from trl_weighted_dpo.verifier import MathVerifier, Verdict

COUNT = 200


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.mark.long
@pytest.mark.parametrize("is_equal", [True, False], ids=["equal", "different"])
def test_generated_pairs(verifier: MathVerifier, is_equal: bool) -> None:
    """`benchmarks/generated_answers.py` tries many more."""
    drawn = list(islice(pairs(is_equal, seed=1), COUNT))
    verdicts = [verifier.compare(f"$\\boxed{{{p.reference}}}$", f"$\\boxed{{{p.found}}}$").verdict for p in drawn]

    wrong = Verdict.INCORRECT if is_equal else Verdict.CORRECT
    assert [pair for pair, verdict in zip(drawn, verdicts, strict=True) if verdict is wrong] == []
    decided = sum(verdict is not Verdict.UNDECIDED for verdict in verdicts)
    assert decided >= 0.97 * COUNT
    assert {pair.form for pair in drawn} == {"expression", "constant", "interval", "set", "tuple"}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("|x-9|", "x-9"),
        ("|x-9|", "9-x"),
        (r"\sqrt{(x-4)^2}", "x-4"),
        ("|x-9|+|x-20|", "29-2x"),
        (r"\sqrt[3]{x^3+1}", "x+1"),
        (r"|x|", r"\sqrt[3]{x^3}"),
        (r"\lfloor x \rfloor", "x"),
        ("|x|+|y|", "|x+y|"),
        ("|x|+|y|", "x+y"),
    ],
)
def test_what_agrees_on_one_side_only_is_not_correct(verifier: MathVerifier, reference: str, found: str) -> None:
    for _ in range(3):
        assert verifier.compare(reference, found).verdict is not Verdict.CORRECT
        assert verifier.compare(found, reference).verdict is not Verdict.CORRECT


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("-2", r"\sqrt[3]{-8}"),
        (r"\sqrt{(x-4)^2}", "|x-4|"),
        ("|x-9|", "|9-x|"),
        (r"\lfloor 7/2 \rfloor", "3"),
        (r"\lceil 7/2 \rceil", "4"),
        (r"\sqrt[3]{x^3}", "x"),
    ],
)
def test_what_agrees_everywhere_is_not_incorrect(verifier: MathVerifier, reference: str, found: str) -> None:
    assert verifier.compare(reference, found).verdict is not Verdict.INCORRECT


def test_the_generator_does_not_repeat_itself() -> None:
    drawn: set[Pair] = set(islice(pairs(True, seed=2), 200))

    assert len(drawn) > 180
