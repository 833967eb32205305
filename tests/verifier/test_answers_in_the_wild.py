import pytest

from tests.verifier.answers_in_the_wild import KINDS
from trl_weighted_dpo.verifier import MathVerifier

VERDICTS = {"C": "correct", "I": "incorrect", "U": "undecided"}
ROWS = [pytest.param(*row, id=f"{kind}: {row[1][-40:]!r}") for kind, rows in KINDS.items() for row in rows]


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.mark.parametrize(("reference", "solution", "verdicts"), ROWS)
def test_verdicts(verifier: MathVerifier, reference: str, solution: str, verdicts: str) -> None:
    profile = verifier.verify("", solution, reference)

    assert profile.verdict.value in [VERDICTS[letter] for letter in verdicts], (profile.reason, profile.answer)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_rows_that_a_careless_reader_gets_wrong(kind: str) -> None:
    assert len(KINDS[kind]) >= 10
