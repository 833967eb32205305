"""Sound solutions as language models write them, none of which may have an exact finding."""

import json
from pathlib import Path

import pytest

from trl_weighted_dpo.verifier import MathVerifier

ROWS = [json.loads(line) for line in Path(__file__).with_name("sound_texts.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier() as verifier:
        yield verifier


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_sound_text_has_no_exact_finding(verifier, row) -> None:
    profile = verifier.verify(row["problem"], row["solution"])

    assert [item.message for item in profile.evidence if item.channel == "rule"] == []
