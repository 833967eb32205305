"""Agreement with labelled development data, where it is there."""

import json
from pathlib import Path

import pytest

from trl_weighted_dpo.verifier import MathVerifier, Verdict


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def agreement(verifier: MathVerifier, path: Path) -> float:
    verdicts = [
        (
            verifier.verify(row["problem"], candidate["solution"], row["reference_answer"]).verdict,
            candidate["is_correct"],
        )
        for row in rows(path)
        for candidate in row["candidates"]
    ]
    return sum(verdict == ("correct" if right else "incorrect") for verdict, right in verdicts) / len(verdicts)


def test_gsm8k_needs_no_worker(shared_data: Path) -> None:
    verifier = MathVerifier()

    assert agreement(verifier, shared_data / "gsm8k_solutions_pool.jsonl") == 1.0
    assert not verifier._workers._idle


def test_math(shared_data: Path, verifier: MathVerifier) -> None:
    assert agreement(verifier, shared_data / "math_cot_pool.jsonl") >= 0.99


def test_answer_pairs(shared_data: Path, verifier: MathVerifier) -> None:
    pairs = rows(shared_data / "answer_pairs.jsonl")
    verdicts = [verifier.compare(pair["gold"], pair["pred"]).verdict for pair in pairs]
    agreeing = sum(v == ("correct" if p["equivalent"] else "incorrect") for v, p in zip(verdicts, pairs, strict=True))

    assert agreeing / len(pairs) >= 0.98
    wrongly_correct = [p for v, p in zip(verdicts, pairs, strict=True) if v is Verdict.CORRECT and not p["equivalent"]]
    # With this option a set and the condition that it solves count as different, which they are not in mathematics.
    assert [pair for pair in wrongly_correct if pair["options"].get("allow_set_relation_comp") is not False] == []
