"""Reads labelled files: solutions with steps, pools, answer pairs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier


@dataclass(frozen=True)
class Solution:
    """A labelled solution.

    Args:
        problem (`str`): Its problem.
        solution (`str` or `list[str]`): It, as text or as its steps.
        reference_answer (`str`, *optional*): The right final answer.
        reference_solution (`str`, *optional*): A worked solution.
        is_correct (`bool`, *optional*): Whether its answer is right.
        first_error (`int`, *optional*): Its first faulty step, 0-based; -1 for none.
        kind (`str`): Where the row comes from, such as `"negatives"`.
        error_types (`tuple[str, ...]`): What is wrong with the first faulty step.
    """

    problem: str
    solution: str | list[str]
    reference_answer: str | None
    reference_solution: str | None
    is_correct: bool | None
    first_error: int | None = None
    kind: str = ""
    error_types: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.solution if isinstance(self.solution, str) else "\n".join(self.solution)

    @property
    def steps(self) -> list[str]:
        return (
            [line for line in self.solution.split("\n") if line.strip()]
            if isinstance(self.solution, str)
            else self.solution
        )


@dataclass(frozen=True)
class Pair:
    """Two answers, and whether they are the same."""

    gold: str
    found: str
    is_equivalent: bool


@dataclass
class File:
    """What a file holds.

    Args:
        name (`str`): Its name without suffix.
        stepwise (`list[Solution]`): Solutions whose first faulty step is known.
        candidates (`list[Solution]`): Others whose answer is known to be right or wrong.
        pairs (`list[Pair]`): Answer pairs.
    """

    name: str
    stepwise: list[Solution] = field(default_factory=list)
    candidates: list[Solution] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)


def read_files(paths: Iterable[Path]) -> list[File]:
    """Reads files, and every `*.jsonl` of folders; rows without labels are passed over, and files of such rows."""
    files = [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    read = [_read(file) for file in files]
    return [file for file in read if file.stepwise or file.candidates or file.pairs]


def _read(path: Path) -> File:
    file = File(path.stem)
    for row in read_jsonl(path):
        if "equivalent" in row:
            file.pairs.append(Pair(row["gold"], row["pred"], row["equivalent"]))
            continue
        shared = row["problem"], row.get("solution"), row.get("reference_answer"), row.get("reference_solution")
        for candidate in row.get("candidates") or ():
            if candidate.get("is_correct") is not None:
                file.candidates.append(
                    Solution(shared[0], candidate["solution"], *shared[2:], is_correct=candidate["is_correct"])
                )
        if row.get("first_error_step") is not None:
            file.stepwise.append(_stepwise(row))
        elif row.get("is_correct_answer") is not None:
            file.candidates.append(Solution(*shared, is_correct=row["is_correct_answer"]))
    return file


def _stepwise(row: dict[str, Any]) -> Solution:
    meta = row.get("meta") or {}
    types = meta.get("first_error_types") or row.get("error_types") or ()
    return Solution(
        row["problem"],
        row.get("steps") or row["solution"],
        row.get("reference_answer"),
        row.get("reference_solution"),
        row.get("is_correct_answer"),
        row["first_error_step"],
        meta.get("kind", ""),
        tuple(types),
    )


def profile_of(verifier: MathVerifier, item: Solution, with_reference: bool = True) -> ErrorProfile:
    """The profile of a solution, with its references or with them hidden."""
    references = (item.reference_answer, item.reference_solution) if with_reference else (None, None)
    return verifier.verify(item.problem, item.solution, *references)
