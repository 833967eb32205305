"""Many solutions: rows in, profiles out, in order, in one process or several, with flat memory.

The processes are [`~workers.Workers`]: fresh interpreters, which work in any thread and in daemonic processes, need no
guard around the caller's main script, and die alone.
"""

import base64
import pickle
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo import schema
from trl_weighted_dpo.verifier.profile import DIMENSIONS, ErrorProfile, Verdict
from trl_weighted_dpo.verifier.workers import START_SECONDS, WorkerError, Workers

if TYPE_CHECKING:
    from trl_weighted_dpo.verifier.verifier import MathVerifier

CHUNK_ROWS = 64
"""Rows that go to a process at once: few enough to be shared out evenly, enough to make the way there cheap."""

CHUNK_CHARACTERS = 200_000
"""Characters of such rows: with a row that is longer than this the chunk ends."""

CHUNKS_AHEAD = 8
"""Chunks for each process that are read before the first of them is done: a slow row then holds up no other process."""

ROW_SECONDS = START_SECONDS + 30.0
"""How long a chunk may take before its process counts as hung and its rows are tried one by one, and how long one of
these may then take; to which come the time limits of the verifier itself. The fast path has no other clock."""

WORKER_DIED = "worker died"
"""Reason of a profile whose solution ended its process twice."""

_TASK = f"{__name__}:_verified"
_Solution = tuple[str, str | list[str], str | None, str | None]


@dataclass
class VerificationReport:
    """What became of many solutions.

    Args:
        solutions (`int`): How many there are.
        verdicts (`Counter[str]`): How many have each verdict.
        undecided (`Counter[str]`): How many are undecided for each reason, `"timeout"` and `"worker died"` among them.
        judged (`Counter[str]`): In how many each dimension was judged.
        found (`Counter[str]`): In how many each dimension has evidence.
        taken_up (`int`): How many of them an earlier run had verified.
    """

    solutions: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    taken_up: int = 0

    def add(self, profile: ErrorProfile) -> None:
        """Counts one more profile."""
        self.solutions += 1
        self.verdicts[profile.verdict.value] += 1
        if profile.verdict is Verdict.UNDECIDED:
            self.undecided[profile.reason] += 1
        # A dimension that was never judged is counted too, with 0: those that were added are known from here only.
        self.judged.update({dimension: score is not None for dimension, score in profile.scores.items()})
        self.found.update({item.dimension for item in profile.evidence})

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain JSON types: every verdict and dimension, and reasons from the most frequent on."""
        dimensions = dict.fromkeys((*DIMENSIONS, *self.judged))
        return {
            "solutions": self.solutions,
            "verdicts": {verdict: self.verdicts[verdict] for verdict in schema.VERDICTS},
            "undecided": dict(sorted(self.undecided.items(), key=lambda item: (-item[1], item[0]))),
            "judged": {dimension: self.judged[dimension] for dimension in dimensions},
            "found": {dimension: self.found[dimension] for dimension in dimensions},
            "taken_up": self.taken_up,
        }


def verify_many(
    verifier: "MathVerifier",
    rows: Iterable[Mapping[str, Any]],
    workers: int = 1,
    source: str = "rows",
    report: VerificationReport | None = None,
) -> Iterator[ErrorProfile]:
    """See [`MathVerifier.verify_many`]."""
    if type(workers) is not int:
        raise TypeError(f"workers is {workers!r}, but it is a whole number: how many processes there are to be.")
    if workers < 1:
        raise ValueError(f"workers is {workers}, but someone has to do the work: pass at least 1.")
    if workers > 1 and type(verifier).__module__ == "__main__":
        raise ValueError(
            f"{type(verifier).__name__} is defined in the main script, which other processes do not import: move it "
            "to a module, or pass workers=1."
        )
    solutions = _checked(rows, source)
    profiles = _in_processes(verifier, solutions, workers) if workers > 1 else _in_process(verifier, solutions)
    return profiles if report is None else _counted(profiles, report)


def _checked(rows: Iterable[Mapping[str, Any]], source: str) -> Iterator[_Solution]:
    for index, row in enumerate(rows):
        schema.check_solution_row(row, index, source)
        yield verify_arguments(row)


def verify_arguments(row: Mapping[str, Any]) -> _Solution:
    """What [`MathVerifier.verify`] takes, from a solution row that was checked: its steps count before its text."""
    solution = row.get(schema.STEPS) or row[schema.SOLUTION]
    return row[schema.PROBLEM], solution, row.get(schema.REFERENCE_ANSWER), row.get(schema.REFERENCE_SOLUTION)


def _counted(profiles: Iterator[ErrorProfile], report: VerificationReport) -> Iterator[ErrorProfile]:
    for profile in profiles:
        report.add(profile)
        yield profile


def _in_process(verifier: "MathVerifier", solutions: Iterator[_Solution]) -> Iterator[ErrorProfile]:
    return (_profile(verifier, solution) for solution in solutions)


def _profile(verifier: "MathVerifier", solution: _Solution) -> ErrorProfile:
    try:
        return verifier.verify(*solution)
    except Exception as error:
        # One solution that the verifier fails on must not cost the others; the report counts it.
        return _failed(verifier, "memory limit" if isinstance(error, MemoryError) else f"error: {type(error).__name__}")


def _failed(verifier: "MathVerifier", reason: str) -> ErrorProfile:
    return ErrorProfile(Verdict.UNDECIDED, reason, scores=dict.fromkeys(verifier.dimensions))


@lru_cache(maxsize=1)
def _unpickled(verifier: str) -> "MathVerifier":
    # From the parent process, through a pipe that nobody else holds.
    unpickled: MathVerifier = pickle.loads(base64.b64decode(verifier))
    return unpickled


def _verified(verifier: str, solutions: list[_Solution]) -> list[dict[str, Any]]:
    """The profiles of some solutions as plain JSON types. Runs in a worker process."""
    return [_profile(_unpickled(verifier), solution).to_dict() for solution in solutions]


class _Processes:
    """Worker processes that have a verifier each. A dead or hung one costs no other row than the one that it was at."""

    def __init__(self, verifier: "MathVerifier", count: int) -> None:
        self._verifier = verifier
        self._pickled = base64.b64encode(pickle.dumps(verifier)).decode()
        seconds = ROW_SECONDS + 6 * verifier.timeout
        self._workers = Workers(type(verifier).__module__, seconds, verifier.memory_mib, count)
        self._stopping = threading.Event()
        try:
            self._run([])
        except WorkerError as error:
            raise ChildProcessError(
                f"A worker process with the verifier cannot start ({error}). See whether `python -c 'import "
                f"{type(verifier).__module__}'` runs and memory is left, or pass workers=1 to verify in this process."
            ) from error

    def verify(self, solutions: list[_Solution]) -> list[ErrorProfile]:
        """The profiles of some solutions; one that ends its process twice, the second time alone, is undecided."""
        try:
            return self._run(solutions)
        except WorkerError:
            return [self._verify_alone(solution) for solution in solutions]

    def _verify_alone(self, solution: _Solution) -> ErrorProfile:
        if self._stopping.is_set():
            raise WorkerError("stopped")
        try:
            return self._run([solution])[0]
        except WorkerError as error:
            return _failed(self._verifier, WORKER_DIED if str(error) == "worker failed" else str(error))

    def _run(self, solutions: list[_Solution]) -> list[ErrorProfile]:
        return [ErrorProfile.from_dict(fields) for fields in self._workers.run(_TASK, self._pickled, solutions)]

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self._workers.close()


def _in_processes(verifier: "MathVerifier", solutions: Iterator[_Solution], workers: int) -> Iterator[ErrorProfile]:
    failures: list[Exception] = []
    processes = _Processes(verifier, workers)
    threads = ThreadPoolExecutor(workers, "verify_many")
    pending: deque[Future[list[ErrorProfile]]] = deque()
    try:
        for chunk in _chunks(_until_failure(solutions, failures)):
            pending.append(threads.submit(processes.verify, chunk))
            while pending and (pending[0].done() or len(pending) > CHUNKS_AHEAD * workers):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        processes.stop()
        threads.shutdown(cancel_futures=True)
        processes.close()
    if failures:
        raise failures[0]


def _until_failure(solutions: Iterator[_Solution], failures: list[Exception]) -> Iterator[_Solution]:
    """What comes before a bad row is verified and given out before its error is raised, as in one process."""
    try:
        yield from solutions
    except Exception as error:
        failures.append(error)


def _chunks(solutions: Iterator[_Solution]) -> Iterator[list[_Solution]]:
    chunk: list[_Solution] = []
    characters = 0
    for solution in solutions:
        chunk.append(solution)
        characters += sum(len(part) if isinstance(part, str) else sum(map(len, part or ())) for part in solution)
        if len(chunk) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
