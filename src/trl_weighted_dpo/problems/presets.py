"""What the columns of well-known sets of math problems mean."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core import schema

Row = Mapping[str, Any]
_THEIRS = ("problem", "solution", "answer")

_GSM8K_ANSWER = re.compile(r"####\s*(\S[^\n]*?)\s*\Z")
_METAMATHQA_ANSWER = re.compile(r".*\bThe answer is:?\s*(\S[^\n]*?)\s*\Z", re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?[ \t]*(?:\{|([^\s{$\\.,;]+))")
_NO_ANSWERS = ("proof", "notfound")
"""What NuminaMath 1.5 has in place of an answer."""


@dataclass(frozen=True)
class Preset:
    """How rows of a set become problems.

    Args:
        reads (`tuple[str, ...]`):
            The columns that it takes, by which it is recognised; the last ones may be missing, as `optional` says.
        map (`Callable[[Row], dict[str, str | None]]`):
            From a row to our columns.
        optional (`int`, *optional*, defaults to `0`):
            How many of `reads` may be missing.
        describes (`Callable[[Row], bool]`, *optional*):
            Whether a row with these columns looks like one of this set, where sets share names.
    """

    reads: tuple[str, ...]
    map: Callable[[Row], dict[str, Any]]
    optional: int = 0
    describes: Callable[[Row], bool] = lambda row: True

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that have to be there."""
        return self.reads[: len(self.reads) - self.optional]


def gsm8k_answer(solution: str) -> str | None:
    """What follows `####` in the last line, without thousands separators; `None` if nothing does."""
    found = _GSM8K_ANSWER.search(solution)
    return found[1].replace(",", "") if found else None


def metamathqa_answer(solution: str) -> str | None:
    """What follows the last "The answer is:"; `None` if nothing does."""
    found = _METAMATHQA_ANSWER.match(solution)
    return found[1].rstrip(".") or None if found else None


def boxed_answer(solution: str) -> str | None:
    """What stands in the last `\\boxed{}` or `\\fbox{}` with balanced braces; `None` if there is none."""
    for box in reversed([*_BOX.finditer(solution)]):
        if box[1] is not None:
            return box[1]
        inside = _balanced(solution, box.end())
        if inside is not None:
            return inside.strip() or None
    return None


def _balanced(text: str, begin: int) -> str | None:
    """The text from a place to the brace that closes the one before it."""
    depth, at = 1, begin
    while at < len(text):
        if text[at] == "\\":
            # What is escaped opens and closes nothing.
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return text[begin:at]
        at += 1
    return None


def _problem(problem: Any, answer: Any, solution: Any) -> dict[str, Any]:
    return {schema.PROBLEM: problem, schema.REFERENCE_ANSWER: answer, schema.REFERENCE_SOLUTION: solution}


def _own(row: Row) -> dict[str, Any]:
    return _problem(*(row.get(name) for name in (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)))


def _gsm8k(row: Row) -> dict[str, Any]:
    return _problem(row["question"], _of_text(gsm8k_answer, row["answer"]), row["answer"])


def _math(row: Row) -> dict[str, Any]:
    answer = row.get("answer")
    if answer is None:
        answer = _of_text(boxed_answer, row["solution"])
    elif answer in _NO_ANSWERS:
        answer = None
    name = {schema.ID: row["unique_id"]} if "unique_id" in row else {}
    return {**name, **_problem(row["problem"], answer, row["solution"])}


def _metamathqa(row: Row) -> dict[str, Any]:
    return _problem(row["query"], _of_text(metamathqa_answer, row["response"]), row["response"])


def _orca_math(row: Row) -> dict[str, Any]:
    return _problem(row["question"], None, row.get("answer"))


def _of_text(read: Callable[[str], str | None], text: Any) -> str | None:
    return read(text) if isinstance(text, str) else None


PRESETS: dict[str, Preset] = {
    "own": Preset(
        (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION),
        _own,
        optional=2,
        describes=lambda row: schema.REFERENCE_ANSWER in row or not row.keys() & {"answer", "solution"},
    ),
    "gsm8k": Preset(("question", "answer"), _gsm8k, describes=lambda row: "####" in str(row["answer"])),
    "math": Preset(_THEIRS, _math, optional=1, describes=lambda row: "source" not in row),
    "numina_math": Preset(_THEIRS, _math, optional=1),
    "metamathqa": Preset(("query", "response"), _metamathqa),
    "orca_math": Preset(("question", "answer"), _orca_math, optional=1),
}
"""The sets, in the order in which `auto` tries them."""
