"""Pools with chosen outcomes, as rows that bring profiles."""

from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import write_jsonl
from trl_weighted_dpo.evaluation.outcomes import Outcome
from trl_weighted_dpo.evaluation.pools import Answered, Problem
from trl_weighted_dpo.verifier import ErrorProfile, Verdict

VERDICTS = {"c": Verdict.CORRECT, "i": Verdict.INCORRECT, "u": Verdict.UNDECIDED}
CLASSES = {"c": "correct", "n": "near_miss", "i": "other_incorrect", "u": "undecided"}


def profile(verdict: str, answer: str | None = "1", **scores: float | None) -> dict[str, Any]:
    return ErrorProfile(Verdict(verdict), "test", answer, scores=scores).to_dict()


def outcomes(letters: str, answers: str | None = None) -> tuple[Outcome, ...]:
    """One outcome for each letter: correct, incorrect, near miss (also incorrect), undecided."""
    given = answers or letters
    return tuple(
        Outcome(VERDICTS["i" if letter == "n" else letter], answer, CLASSES[letter])
        for letter, answer in zip(letters, given, strict=True)
    )


def answered(source: str, *letters: str, **columns: list[Any]) -> Answered:
    """A pool whose problem `p0`, `p1`, … has the candidates of one text of letters."""
    problems = {
        f"p{index}": Problem(
            f"problem {index}", "1", "3 = 3\n\n4 = 4\n#### 4", {n: v[index] for n, v in columns.items()}
        )
        for index in range(len(letters))
    }
    return Answered(source, problems, {f"p{index}": outcomes(own) for index, own in enumerate(letters)})


def pool_file(path: Path, *letters: str, **changes: Any) -> Path:
    """A pool with answers that the verifier finds right (`c`), wrong (`i`), or cannot read (`u`)."""
    texts = {"c": "6 x 7 = 42\nA: 42", "i": "6 + 7 = 13\nA: 13", "u": "A: see \\left( the above 42"}
    rows = [
        {"id": f"p{index}", "problem": f"What is 6 x 7? ({index})", "reference_answer": "42"}
        | {"reference_solution": "6 x 7 = 42\n#### 42", "candidates": [{"solution": texts[one]} for one in own]}
        | changes
        for index, own in enumerate(letters)
    ]
    write_jsonl(path, rows)
    return path
