import pytest

from tests.verifier.answers_in_the_wild import ANOTHER, KINDS, PARAPHRASED
from trl_weighted_dpo.verifier import MathVerifier

VERDICTS = {"C": "correct", "I": "incorrect", "U": "undecided"}
ROWS = [
    pytest.param(*row, id=f"{kind}: {row[1][-40:]!r}")
    for table in (KINDS, PARAPHRASED)
    for kind, rows in table.items()
    for row in rows
]


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.mark.parametrize(("reference", "solution", "verdicts"), ROWS)
def test_verdicts(verifier: MathVerifier, reference: str, solution: str, verdicts: str) -> None:
    profile = verifier.verify("", solution, reference)

    assert profile.verdict.value in [VERDICTS[letter] for letter in verdicts], (profile.reason, profile.answer)


@pytest.mark.parametrize("another", ANOTHER)
def test_what_follows_the_answer_is_reported(verifier: MathVerifier, another: str) -> None:
    profile = verifier.verify("", "2 + 3 = 5. The answer is 5." + another.format(9), "5")

    assert profile.verdict.value == "correct"
    assert {item.kind for item in profile.evidence} & {"new_question", "special_token"}


@pytest.mark.parametrize("solution", [r"\boxed{\text{}}", r"The answer is $x_{\text{}} = 5$.", r"\boxed{\text{ }}"])
def test_an_empty_roman_text_raises_nothing(verifier: MathVerifier, solution: str) -> None:
    assert verifier.verify("", solution, "5").verdict.value in ("correct", "undecided")


def test_both_tables_have_every_kind() -> None:
    assert KINDS.keys() == PARAPHRASED.keys()
    assert all(len(rows) >= 10 for table in (KINDS, PARAPHRASED) for rows in table.values())
