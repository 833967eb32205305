"""Checks of rows, with errors that name file, row, column and value, and say what to do."""

import json
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from trl_weighted_dpo.core.printing import cut
from trl_weighted_dpo.core.schema import (
    CANDIDATES,
    CHOSEN,
    ID,
    IS_CORRECT,
    PROBLEM,
    PROFILE,
    PROMPT,
    REFERENCE_ANSWER,
    REFERENCE_SOLUTION,
    REJECTED,
    SCORE,
    SCORE_COLUMNS,
    SCORES,
    SOLUTION,
    STEPS,
    VERDICT,
    VERDICTS,
)

_PROFILE_COLUMNS: dict[str, type | tuple[type, ...]] = {
    VERDICT: str,
    "reason": str,
    "answer": (str, type(None)),
    "answer_is_weak": bool,
    # Parquet has null for an object without any key.
    SCORES: (Mapping, type(None)),
    "evidence": list,
    "first_faulty_step": (int, type(None)),
    "wrongness": (int, float, type(None)),
    "absurdity": (int, float, type(None)),
    "unavailable": list,
}


class SchemaError(ValueError):
    """A row that is not what the schema asks for. The message names file, row, column, value and a way out."""


def row_error(source: str, row: int, column: str, value: object, hint: str) -> SchemaError:
    """The error for a bad value: names source, 0-based row, column and value (cut to 80 characters), then the hint."""
    # As JSON writes them; numbers and texts look alike in both.
    shown = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return _error(source, row, column, f"got {cut(shown)}. {hint}")


def _error(source: str, row: int, column: str, what: str) -> SchemaError:
    counted = "" if "counted from 0" in source else " (Rows are counted from 0.)"
    return SchemaError(f"{source}: row {row}, column {column!r}: {what}{counted}")


def _missing(source: str, index: int, column: str, row: Mapping[str, Any], hint: str = "") -> SchemaError:
    there = ", ".join(sorted(map(str, row))) or "none"
    return _error(source, index, column, f"the column is missing; there are: {there}. {hint}".strip())


def check_pool_row(row: Mapping[str, Any], index: int, source: str = "pool") -> None:
    """Check one pool row.

    Args:
        row (`Mapping[str, Any]`):
            Row with `problem`, `candidates` (each a mapping with `solution`) and, optionally, `id`,
            `reference_answer` and `reference_solution`.
        index (`int`):
            0-based position of the row, for the message.
        source (`str`, *optional*, defaults to `"pool"`):
            File or dataset the row comes from, for the message.

    Raises:
        [`SchemaError`]: If a column is missing or of another type.
    """
    if not isinstance(row, Mapping):
        raise row_error(source, index, "(whole row)", row, "A pool row is a JSON object.")
    for column in (PROBLEM, CANDIDATES):
        if column not in row:
            hint = (
                f"A pool row needs {PROBLEM!r} (text), {CANDIDATES!r} (list of objects with {SOLUTION!r}) and, to tell "
                f"right from wrong, {REFERENCE_ANSWER!r}."
            )
            raise _missing(source, index, column, row, hint)
    _check_problem(row, index, source)
    _check_optional_texts(row, (ID, REFERENCE_ANSWER, REFERENCE_SOLUTION), index, source)
    candidates = row[CANDIDATES]
    if not isinstance(candidates, list):
        raise row_error(source, index, CANDIDATES, candidates, f"Give a list of objects with {SOLUTION!r}.")
    for position, candidate in enumerate(candidates):
        solution = candidate.get(SOLUTION) if isinstance(candidate, Mapping) else candidate
        if not isinstance(candidate, Mapping) or not isinstance(solution, str):
            raise row_error(
                source, index, f"{CANDIDATES}[{position}].{SOLUTION}", solution, "Give the candidate's full text."
            )


def check_solution_row(row: Mapping[str, Any], index: int, source: str = "solutions") -> None:
    """Check one solution row.

    Args:
        row (`Mapping[str, Any]`):
            Row with `problem`, a solution as `solution` (text) or `steps` (list of texts, which counts if both are
            there) and, optionally, `reference_answer` and `reference_solution`.
        index (`int`):
            0-based position of the row, for the message.
        source (`str`, *optional*, defaults to `"solutions"`):
            File or dataset the row comes from, for the message.

    Raises:
        [`SchemaError`]: If a column is missing or of another type.
    """
    if not isinstance(row, Mapping):
        raise row_error(source, index, "(whole row)", row, "A solution row is a JSON object.")
    steps = row.get(STEPS)
    if steps is not None and not steps and row.get(SOLUTION) is None:
        raise row_error(source, index, STEPS, steps, f"It is empty: give at least one text, or a text as {SOLUTION!r}.")
    for column in (PROBLEM,) if steps else (PROBLEM, SOLUTION):
        if column not in row:
            hint = (
                f"A solution row needs {PROBLEM!r} (text), {SOLUTION!r} (text) or {STEPS!r} (list of texts) and, to "
                f"tell right from wrong, {REFERENCE_ANSWER!r}; a pool row has {CANDIDATES!r} instead of a solution."
            )
            raise _missing(source, index, column, row, hint)
    _check_problem(row, index, source)
    _check_optional_texts(row, (REFERENCE_ANSWER, REFERENCE_SOLUTION), index, source)
    if not steps:
        if not isinstance(row[SOLUTION], str):
            raise row_error(source, index, SOLUTION, row[SOLUTION], f"Give a text, or its steps as {STEPS!r}.")
    elif not isinstance(steps, list):
        raise row_error(source, index, STEPS, steps, "Give a list of texts, or null.")
    else:
        for position, step in enumerate(steps):
            if not isinstance(step, str):
                raise row_error(source, index, f"{STEPS}[{position}]", step, "Give the step's text.")


def _check_problem(row: Mapping[str, Any], index: int, source: str) -> None:
    problem = row[PROBLEM]
    if not isinstance(problem, str) or not problem.strip():
        raise row_error(source, index, PROBLEM, problem, "Give the text of the problem.")


def _check_optional_texts(row: Mapping[str, Any], columns: Iterable[str], index: int, source: str) -> None:
    for column in columns:
        value = row.get(column)
        if value is not None and not isinstance(value, str):
            raise row_error(source, index, column, value, "Give a text or null; quote numbers.")


def solution_rows(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The solution rows of a checked row: of a pool row its candidates, in order, of a solution row that row."""
    shared = {column: row.get(column) for column in (PROBLEM, REFERENCE_ANSWER, REFERENCE_SOLUTION)}
    if CANDIDATES in row:
        return [{**shared, SOLUTION: candidate[SOLUTION], **_labels(row, candidate)} for candidate in row[CANDIDATES]]
    return [{**shared, SOLUTION: row.get(SOLUTION), STEPS: row.get(STEPS), **_labels(row, row)}]


def _labels(row: Mapping[str, Any], labelled: Mapping[str, Any]) -> dict[str, bool]:
    label = label_of({REFERENCE_ANSWER: row.get(REFERENCE_ANSWER), IS_CORRECT: labelled.get(IS_CORRECT)})
    return {} if label is None else {IS_CORRECT: label}


def label_of(solution: Mapping[str, Any]) -> bool | None:
    """The label of a solution row that stands in place of a reference answer; `None` if there is none, or an answer."""
    label = solution.get(IS_CORRECT)
    return label if isinstance(label, bool) and solution.get(REFERENCE_ANSWER) is None else None


def check_profile_row(row: Mapping[str, Any], index: int, source: str = "profiles") -> None:
    """Check one error profile in plain JSON types, as [`~verifier.ErrorProfile.to_dict`] writes it.

    Raises:
        [`SchemaError`]: If a column is missing or of another type, or a score is not null or a number in [0, 1].
    """
    if not isinstance(row, Mapping):
        raise row_error(source, index, PROFILE, row, "Profiles are written by `weighted-dpo verify`: rename your own.")
    for column, kinds in _PROFILE_COLUMNS.items():
        if column not in row:
            raise _missing(source, index, column, row)
        if not isinstance(row[column], kinds):
            raise row_error(source, index, column, row[column], "Write profiles with ErrorProfile.to_dict().")
    if row[VERDICT] not in VERDICTS:
        raise row_error(source, index, VERDICT, row[VERDICT], f"Give one of {', '.join(VERDICTS)}.")
    shares = {f"{SCORES}.{dimension}": score for dimension, score in (row[SCORES] or {}).items()}
    for name, share in {**shares, "wrongness": row["wrongness"], "absurdity": row["absurdity"]}.items():
        if not is_name(name.removeprefix(f"{SCORES}.")):
            raise row_error(source, index, name, share, NAME_HINT)
        if share is not None and (not isinstance(share, int | float) or not 0 <= share <= 1):
            raise row_error(source, index, name, share, "Give a number in [0, 1], or null if not checked.")


def check_score(score: Mapping[str, Any], index: int, source: str = "pool") -> None:
    """Check one candidate's score, as `weighted-dpo score` writes it.

    Raises:
        [`SchemaError`]: If a column is missing or of another type, or the confidence is not in [0, 1].
    """
    if not isinstance(score, Mapping):
        raise row_error(
            source, index, SCORE, score, "Scores are objects that `weighted-dpo score` writes: rename your own column."
        )
    for column, kind in SCORE_COLUMNS.items():
        name = f"{SCORE}.{column}"
        if column not in score:
            raise _missing(source, index, name, score, "Scores are written by `weighted-dpo score`.")
        value: Any = score[column]
        is_number = kind is float and isinstance(value, int | float) and isfinite(value)
        is_left_out = value is None and kind is float and not score["tokens"]
        if not (is_left_out or (is_number if kind is float else isinstance(value, kind))):
            raise row_error(source, index, name, value, "Score the pool again with `weighted-dpo score`.")
    if not 0.0 <= (score["confidence"] or 0.0) <= 1.0:
        raise row_error(source, index, f"{SCORE}.confidence", score["confidence"], "It is a mean probability.")


def check_pair_row(row: Mapping[str, Any], index: int, source: str = "pairs") -> None:
    """Check one pair row in any preference format of TRL: `chosen`, `rejected` and, unless the prompt is implicit in
    them, `prompt` are non-empty texts or conversations.

    Raises:
        [`SchemaError`]: If a column is missing, empty or of another type.
    """
    columns = (PROMPT, CHOSEN, REJECTED) if PROMPT in row else (CHOSEN, REJECTED)
    for column in columns:
        if column not in row:
            raise _missing(source, index, column, row)
        value = row[column]
        if not isinstance(value, str | list) or not value:
            raise row_error(source, index, column, value, "Give a non-empty text or a non-empty list of messages.")
        if isinstance(value, str) and not is_encodable(value):
            raise row_error(
                source, index, column, value, "The text holds a broken surrogate, which no tokenizer reads: drop it."
            )


NAME_HINT = "Names are lower-case identifiers: a to z, 0 to 9 and _, a letter first."


def is_name(value: object) -> bool:
    """Whether a value is the name of a dimension, a hardness and so on: a lower-case identifier in ASCII."""
    return isinstance(value, str) and re.fullmatch("[a-z][a-z0-9_]*", value) is not None


def is_encodable(text: str) -> bool:
    """Whether a text is valid Unicode: sampled text may hold lone surrogates, which tokenizers and files refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
