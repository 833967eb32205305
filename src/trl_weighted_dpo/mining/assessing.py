"""Many pool rows → what mining knows of them, in order, in one process or several, with flat memory."""

import base64
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from trl_weighted_dpo import schema
from trl_weighted_dpo.journal import digest
from trl_weighted_dpo.mining.assessment import Assessed, AssessmentConfig, assess_row
from trl_weighted_dpo.verifier.many import CHUNKS_AHEAD, ROW_SECONDS
from trl_weighted_dpo.verifier.verifier import MathVerifier
from trl_weighted_dpo.verifier.workers import WorkerError, Workers

CHUNK_ROWS = 16
"""Rows that go to a process at once."""

_TASK = f"{__name__}:_assessed"
_PROFILE_PARTS = ("verdict", "answer", "answer_is_weak", "scores", "first_faulty_step", "wrongness", "absurdity")


def row_digest(row: Mapping[str, Any]) -> str:
    """Identity of a pool row: SHA-256 of its problem, references, solutions, profiles and scores."""
    return digest(_essentials(row))


def _essentials(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what mining does not look at."""
    names = (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION, schema.REFERENCE_SCORE)
    essentials: dict[str, Any] = {name: row.get(name) for name in names}
    if schema.RENDERED_REFERENCE in row:
        essentials[schema.RENDERED_REFERENCE] = row[schema.RENDERED_REFERENCE]
    essentials[schema.CANDIDATES] = [_essential_candidate(candidate) for candidate in row.get(schema.CANDIDATES) or ()]
    return essentials


def _essential_candidate(candidate: Mapping[str, Any]) -> dict[str, Any]:
    profile, score = candidate.get(schema.PROFILE), candidate.get(schema.SCORE)
    return {
        schema.SOLUTION: candidate[schema.SOLUTION],
        schema.PROFILE: None if profile is None else {name: profile[name] for name in _PROFILE_PARTS},
        schema.SCORE: score,
    }


def check_row(row: Mapping[str, Any], index: int, source: str) -> None:
    """Check a pool row, and the profiles and scores of its candidates that are there.

    Raises:
        [`~schema.SchemaError`]: Names source, row, column and value.
    """
    schema.check_pool_row(row, index, source)
    for position, candidate in enumerate(row[schema.CANDIDATES]):
        where = f"{source}, row {index}, candidate {position}"
        if candidate.get(schema.PROFILE) is not None:
            schema.check_profile_row(candidate[schema.PROFILE], index, where)
        if candidate.get(schema.SCORE) is not None:
            schema.check_score(candidate[schema.SCORE], index, where)


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
        [`~schema.SchemaError`]: If a row is not a pool row; those before it come first.
        `ChildProcessError`: If the processes cannot start.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, but someone has to do the work: pass at least 1.")
    if workers == 1:
        for index, row in enumerate(rows, first):
            check_row(row, index, source)
            yield row_digest(row), assess_row(row, verifier, config)
        return
    failures: list[Exception] = []
    processes = _Processes(verifier, config, workers)
    threads = ThreadPoolExecutor(workers, "assess_rows")
    pending: deque[tuple[list[str], Future[list[list[Assessed]]]]] = deque()
    try:
        for chunk in _chunks(_until_failure(rows, first, source, failures)):
            pending.append(([digest(row) for row in chunk], threads.submit(processes.assess, chunk)))
            while pending and (pending[0][1].done() or len(pending) > CHUNKS_AHEAD * workers):
                names, future = pending.popleft()
                yield from zip(names, future.result(), strict=True)
        for names, future in pending:
            yield from zip(names, future.result(), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)
        processes.close()
    if failures:
        raise failures[0]


def _until_failure(
    rows: Iterable[Mapping[str, Any]], first: int, source: str, failures: list[Exception]
) -> Iterator[dict[str, Any]]:
    try:
        for index, row in enumerate(rows, first):
            check_row(row, index, source)
            yield _essentials(row)
    except Exception as error:
        failures.append(error)


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Processes:
    """Worker processes with a verifier each; a row that ends its process twice leaves its candidates undecided."""

    def __init__(self, verifier: MathVerifier, config: AssessmentConfig, count: int) -> None:
        self._pickled = base64.b64encode(pickle.dumps((verifier, config))).decode()
        seconds = CHUNK_ROWS * (ROW_SECONDS + 6 * verifier.timeout)
        self._workers = Workers(__name__, seconds, verifier.memory_mib, count)
        try:
            self._run([])
        except WorkerError as error:
            raise ChildProcessError(
                f"A worker process for mining cannot start ({error}). See whether `python -c 'import {__name__}'` runs "
                "and memory is left, or pass workers=1."
            ) from error

    def assess(self, rows: list[dict[str, Any]]) -> list[list[Assessed]]:
        try:
            return self._run(rows)
        except WorkerError:
            return [self._assess_alone(row) for row in rows]

    def _assess_alone(self, row: dict[str, Any]) -> list[Assessed]:
        try:
            return self._run([row])[0]
        except WorkerError as error:
            return [_lost(index, f"mining failed: {error}") for index in range(len(row[schema.CANDIDATES]))]

    def _run(self, rows: list[dict[str, Any]]) -> list[list[Assessed]]:
        answer = self._workers.run(_TASK, self._pickled, rows)
        return [[Assessed.from_dict(parts) for parts in of_row] for of_row in answer]

    def close(self) -> None:
        self._workers.close()


def _lost(index: int, why: str) -> Assessed:
    return Assessed(index, "undecided", why, None, None, None, None, False, None, (), 0, None, None, {}, {})


@lru_cache(maxsize=1)
def _unpickled(pickled: str) -> tuple[MathVerifier, AssessmentConfig]:
    # From the parent process, through a pipe that nobody else holds.
    unpickled: tuple[MathVerifier, AssessmentConfig] = pickle.loads(base64.b64decode(pickled))
    return unpickled


def _assessed(pickled: str, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What is known of some rows, as plain JSON types. Runs in a worker process."""
    verifier, config = _unpickled(pickled)
    return [[one.to_dict() for one in assess_row(row, verifier, config)] for row in rows]
