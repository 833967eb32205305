"""Assesses many pool rows, in order, in one process or several, with flat memory."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, check_profile_row, check_score
from trl_weighted_dpo.core.identity import digest
from trl_weighted_dpo.core.processes import Processes, unpacked
from trl_weighted_dpo.mining.assessment import Assessed, assess_row, check_scored
from trl_weighted_dpo.settings.mining import AssessmentConfig
from trl_weighted_dpo.verifier.many import ROW_SECONDS
from trl_weighted_dpo.verifier.verifier import MathVerifier

CHUNK_ROWS = 16
"""Rows that go to a process at once."""

_TASK = f"{__name__}:_assessed"
_PROFILE_PARTS = ("verdict", "answer", "answer_is_weak", "scores", "first_faulty_step", "wrongness", "absurdity")


def row_digest(row: Mapping[str, Any]) -> str:
    """Identity of a pool row: SHA-256 of its problem and references, and of its solutions with what is said of them."""
    return digest(_essentials(row))


def _essentials(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what mining does not look at."""
    names = (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION, schema.REFERENCE_SCORE)
    essentials: dict[str, Any] = {name: row.get(name) for name in names}
    if schema.RENDERED_REFERENCE in row:
        essentials[schema.RENDERED_REFERENCE] = row[schema.RENDERED_REFERENCE]
    # A label is the verdict only where there is no answer.
    is_labelled = row.get(schema.REFERENCE_ANSWER) is None
    candidates = row.get(schema.CANDIDATES) or ()
    essentials[schema.CANDIDATES] = [_essential_candidate(candidate, is_labelled) for candidate in candidates]
    return essentials


def _essential_candidate(candidate: Mapping[str, Any], is_labelled: bool) -> dict[str, Any]:
    profile, score = candidate.get(schema.PROFILE), candidate.get(schema.SCORE)
    is_cut = {schema.TRUNCATED: True} if candidate.get(schema.TRUNCATED) is True else {}
    label = candidate.get(schema.IS_CORRECT)
    return {
        **is_cut,
        **({schema.IS_CORRECT: label} if is_labelled and isinstance(label, bool) else {}),
        schema.SOLUTION: candidate[schema.SOLUTION],
        schema.PROFILE: None if profile is None else {name: profile[name] for name in _PROFILE_PARTS},
        schema.SCORE: score,
    }


def check_row(row: Mapping[str, Any], index: int, source: str) -> None:
    """Check a pool row, and the profiles and scores of its candidates that are there.

    Raises:
        [`~core.checks.SchemaError`]: Names source, row, column and value.
    """
    check_pool_row(row, index, source)
    for position, candidate in enumerate(row[schema.CANDIDATES]):
        where = f"{source}, row {index}, candidate {position}"
        if candidate.get(schema.PROFILE) is not None:
            check_profile_row(candidate[schema.PROFILE], index, where)
        if candidate.get(schema.SCORE) is not None:
            check_score(candidate[schema.SCORE], index, where)


def assess_rows(
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier,
    config: AssessmentConfig,
    workers: int = 1,
    source: str = "pool",
    first: int = 0,
) -> Iterator[tuple[str, list[Assessed]]]:
    """The digest of each row and what [`~mining.assessment.assess_row`] says of it, in order.

    Args:
        rows (`Iterable[Mapping[str, Any]]`): Pool rows, read only a little ahead.
        verifier ([`MathVerifier`]): For candidates without a profile.
        config ([`AssessmentConfig`]): What is looked at.
        workers (`int`, *optional*, defaults to `1`): Processes, at least 1; 1 is this process.
        source (`str`, *optional*, defaults to `"pool"`): Where the rows come from, for messages.
        first (`int`, *optional*, defaults to `0`): Position of the first row, for messages.

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row; those before it come first.
        `ChildProcessError`: If the processes cannot start.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, but someone has to do the work: pass at least 1.")
    if workers == 1:
        for index, row in enumerate(rows, first):
            check_row(row, index, source)
            check_scored(row, config, index, source)
            yield row_digest(row), assess_row(row, verifier, config)
        return
    names: deque[str] = deque()

    def essentials() -> Iterator[dict[str, Any]]:
        for index, row in enumerate(rows, first):
            check_row(row, index, source)
            check_scored(row, config, index, source)
            essential = _essentials(row)
            names.append(digest(essential))
            yield essential

    processes = Processes[dict[str, Any], list[Assessed]](
        preload=__name__,
        task=_TASK,
        shared=(verifier, config),
        read=lambda of_row: [Assessed.from_dict(parts) for parts in of_row],
        lost=_lost,
        seconds=CHUNK_ROWS * (ROW_SECONDS + 6 * verifier.timeout),
        memory_mib=verifier.memory_mib,
        count=workers,
    )
    for assessed in processes.map(essentials(), _chunks, "assess_rows"):
        yield names.popleft(), assessed


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _lost(row: dict[str, Any], reason: str) -> list[Assessed]:
    why = f"mining failed: {reason}"
    indices = range(len(row[schema.CANDIDATES]))
    return [
        Assessed(index, "undecided", why, None, None, None, None, False, None, (), 0, None, None, {}, {})
        for index in indices
    ]


def _assessed(packed: str, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What is known of some rows, as plain JSON types. Runs in a worker process."""
    verifier, config = unpacked(packed)
    return [[one.to_dict() for one in assess_row(row, verifier, config)] for row in rows]
