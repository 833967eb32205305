"""The rows that flow through the package: pool, solution, profile, pair. Every column name stands here once.

A *pool row* is a problem with its candidates; a *solution row* is a problem with one solution; a *profile row* is what
the verifier says of a solution; a *pair row* is a prompt with a chosen and a rejected completion and the signals that
the weight is later computed from. Rows are plain dictionaries, so that every intermediate is a `datasets.Dataset`
(JSONL or Parquet) which a person can open.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

# Pool rows
ID = "id"
PROBLEM = "problem"
REFERENCE_ANSWER = "reference_answer"
REFERENCE_SOLUTION = "reference_solution"
CANDIDATES = "candidates"
SOLUTION = "solution"
TRUNCATED = "truncated"
"""Whether a candidate was cut at the maximum length of sampling, and so has no end of its own."""
GENERATOR = "generator"
"""What a candidate was sampled from, as its maker calls it."""

# Solution rows, which also have the columns above
STEPS = "steps"
PROFILE = "profile"

# Labels: of a solution row the first two, of a pool row's candidate the last
IS_CORRECT_ANSWER = "is_correct_answer"
FIRST_ERROR_STEP = "first_error_step"
IS_CORRECT = "is_correct"

# Scored pool rows: a candidate's score, and the row's own columns
SCORE = "score"
RENDERED_REFERENCE = "rendered_reference"
"""The reference solution in the candidates' own form, as it was scored."""
REFERENCE_SCORE = "reference_score"
FINGERPRINT = "fingerprint"
"""What the scores were computed with, as [`~fingerprint.Fingerprint.to_json`] writes it."""
SCORE_COLUMNS: dict[str, type] = {
    "tokens": int,
    "logp": float,
    "mean_logp": float,
    "min_logp": float,
    "confidence": float,
    "perplexity": float,
    "truncated": bool,
    "digest": str,
}
"""What a score holds: completion tokens, their summed, mean and minimum log-prob (nats), mean token probability,
exp(-mean_logp), whether the maximum length cut the text, and the digest of the tokens. What needs a token is null where
there is none."""

# SFT rows: a rendered prompt, by the name that pairs have for it, and the text that is learnt
COMPLETION = "completion"

# Pair rows
PROMPT = "prompt"
CHOSEN = "chosen"
REJECTED = "rejected"
PROBLEM_ID = "problem_id"
CHOSEN_INDEX = "chosen_index"
REJECTED_INDEX = "rejected_index"
CHOSEN_ANSWER = "chosen_answer"
REJECTED_ANSWER = "rejected_answer"

KIND = "kind"
REJECTED_FIRST_FAULTY_STEP = "rejected_first_faulty_step"
REJECTED_DIMENSIONS = "rejected_dimensions"
HARDNESS = "hardness"
HARDNESS_CONFIDENCE = "hardness_confidence"
HARDNESS_PROXIMITY = "hardness_proximity"
HARDNESS_FLAW = "hardness_flaw"
HARDNESS_BAND = "hardness_band"
SHARED_PREFIX = "shared_prefix"
"""Share of the longer completion's text that both begin with."""
CHOSEN_LENGTH = "chosen_length"
REJECTED_LENGTH = "rejected_length"
"""Completion tokens if the pool is scored, else characters."""

# Reference log-probs of a pair: sums over the completion tokens, in nats, and what they were computed with
REF_CHOSEN_LOGPS = "ref_chosen_logps"
REF_REJECTED_LOGPS = "ref_rejected_logps"
REF_FINGERPRINT = "ref_fingerprint"
REF_DIGEST = "ref_digest"
"""The digests of the chosen and the rejected tokens, one after the other."""

# Error profiles
VERDICT = "verdict"
VERDICTS = ("correct", "incorrect", "undecided")
SCORES = "scores"
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

# Signals of a pair, and the weight that a user may bring instead
REJECTED_WRONGNESS = "rejected_wrongness"
REJECTED_ABSURDITY = "rejected_absurdity"
REJECTED_SEVERITY = "rejected_severity"
CHOSEN_CONFIDENCE = "chosen_confidence"
REJECTED_CONFIDENCE = "rejected_confidence"
REJECTED_NLL = "rejected_nll"
SIGNALS = (
    REJECTED_WRONGNESS,
    REJECTED_ABSURDITY,
    REJECTED_SEVERITY,
    CHOSEN_CONFIDENCE,
    REJECTED_CONFIDENCE,
    REJECTED_NLL,
)
REWARD_MARGIN = "reward_margin"
"""A reward model's score of the chosen less that of the rejected completion; mining leaves none."""
WEIGHT = "weight"
PAIR_WEIGHT = "pair_weight"
"""The weight that a pair is trained with; the trainer computes it anew and never reads it from data."""

# What a pair may bring for its loss
DPO_MARGIN = "dpo_margin"
"""δ, a finite number: how much larger the reward of the chosen than that of the rejected completion is to be."""
DPO_BETA = "dpo_beta"
"""β of the pair, > 0, in place of the configured one."""
LOSS_COLUMNS = (DPO_MARGIN, DPO_BETA)

REFERENCE_INDEX = -1
"""`chosen_index` of a pair whose chosen completion is the reference solution."""


_NOT_LINES = {
    b"\x1f\x8b": "compressed (gzip); unpack it first, as with `gunzip -k`",
    b"BZh": "compressed (bzip2); unpack it first",
    b"\xfd7zXZ": "compressed (xz); unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it first",
    b"PK\x03\x04": "compressed (zip); unpack it first",
    b"PAR1": "Parquet; write it as JSONL first, as with `datasets.Dataset.to_json`",
}
"""What files of other formats begin with."""


class SchemaError(ValueError):
    """A row that is not what the schema asks for. The message names file, row, column, value and a way out."""


def row_error(source: str, row: int, column: str, value: object, hint: str) -> SchemaError:
    """The error for a bad value: names source, 0-based row, column and value (cut to 80 characters), then the hint."""
    # As JSON writes them; numbers and texts look alike in both.
    shown = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return _error(source, row, column, f"got {shown}. {hint}")


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
        return [{**shared, SOLUTION: candidate[SOLUTION]} for candidate in row[CANDIDATES]]
    return [{**shared, SOLUTION: row.get(SOLUTION), STEPS: row.get(STEPS)}]


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
            raise row_error(source, index, name, share, "Give a number in [0, 1], or null if not judged.")


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


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file; empty lines are passed over.

    Raises:
        [`SchemaError`]: If a line is not a JSON object, or the file is compressed. Rows are counted from 0, as
            elsewhere.
        `FileNotFoundError`: If there is no such file.
    """
    with Path(path).open("rb") as file:
        yield from jsonl_rows(file, str(path))


def jsonl_rows(lines: Iterable[bytes], source: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSONL text, such as that of an open file; `source` names it in messages.

    Raises:
        [`SchemaError`]: As [`read_jsonl`].
    """
    for index, line in enumerate(line for line in lines if line.strip()):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            kind = next((kind for start, kind in _NOT_LINES.items() if index == 0 and line.startswith(start)), None)
            if kind is not None:
                raise SchemaError(f"{source}: this is no JSONL file but {kind}.") from error
            hint = f"This line is not valid JSON in UTF-8 ({error}). Mend or remove it."
            raise row_error(source, index, "(whole row)", line.strip().decode(errors="replace"), hint) from error
        if not isinstance(row, dict):
            raise row_error(source, index, "(whole row)", row, "A row is a JSON object, one on each line.")
        yield row


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSONL, replacing the file only when all of them were written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    # A lone surrogate is written as its JSON escape.
    with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial.replace(path)
