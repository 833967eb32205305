"""Many solutions: rows in, profiles out, in order, in one process or several, with flat memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_solution_row, label_of
from trl_weighted_dpo.core.processes import Processes, unpacked
from trl_weighted_dpo.core.workers import START_SECONDS
from trl_weighted_dpo.verifier.labels import with_label
from trl_weighted_dpo.verifier.profile import DIMENSIONS, ErrorProfile, Verdict

if TYPE_CHECKING:
    from trl_weighted_dpo.verifier.verifier import MathVerifier

CHUNK_ROWS = 64
"""Rows that go to a process at once: few enough to be shared out evenly, enough to make the way there cheap."""

CHUNK_CHARACTERS = 200_000
"""Characters of such rows: with a row that is longer than this the chunk ends."""

ROW_SECONDS = START_SECONDS + 30.0
"""How long a chunk may take before its process counts as hung and its rows are tried one by one, and how long one of
these may then take; to which come the time limits of the verifier itself. The fast path has no other clock."""

WORKER_DIED = "worker died"
"""Reason of a profile whose solution ended its process twice."""

_TASK = f"{__name__}:_verified"
_Arguments = tuple[str, str | list[str], str | None, str | None]
_Solution = tuple[_Arguments, bool | None]
"""What is verified, and the label that its verdict comes from if it has one."""


@dataclass
class VerificationReport:
    """What became of many solutions.

    Args:
        solutions (`int`): How many there are.
        verdicts (`Counter[str]`): How many have each verdict.
        undecided (`Counter[str]`): How many are undecided for each reason, `"timeout"` and `"worker died"` among them.
        checked (`Counter[str]`): In how many each dimension was checked.
        found (`Counter[str]`): In how many each dimension has evidence.
        resumed (`int`): How many of them an earlier run had verified.
    """

    solutions: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    resumed: int = 0

    def add(self, profile: ErrorProfile) -> None:
        """Counts one more profile."""
        self.solutions += 1
        self.verdicts[profile.verdict.value] += 1
        if profile.verdict is Verdict.UNDECIDED:
            self.undecided[profile.reason] += 1
        # A dimension that was never checked is counted too, with 0: those that were added are known from here only.
        self.checked.update({dimension: score is not None for dimension, score in profile.scores.items()})
        self.found.update({item.dimension for item in profile.evidence})

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain JSON types: every verdict and dimension, and reasons from the most frequent on."""
        dimensions = dict.fromkeys((*DIMENSIONS, *self.checked))
        return {
            "solutions": self.solutions,
            "verdicts": {verdict: self.verdicts[verdict] for verdict in schema.VERDICTS},
            "undecided": dict(sorted(self.undecided.items(), key=lambda item: (-item[1], item[0]))),
            "checked": {dimension: self.checked[dimension] for dimension in dimensions},
            "found": {dimension: self.found[dimension] for dimension in dimensions},
            "resumed": self.resumed,
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
        check_solution_row(row, index, source)
        yield verify_arguments(row), label_of(row)


def verify_arguments(row: Mapping[str, Any]) -> _Arguments:
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
    arguments, label = solution
    try:
        profile = verifier.verify(*arguments)
        return profile if label is None else with_label(profile, label, verifier.calibration, bool(arguments[3]))
    except Exception as error:
        # One solution that the verifier fails on must not cost the others; the report counts it.
        return _failed(verifier, "memory limit" if isinstance(error, MemoryError) else f"error: {type(error).__name__}")


def _failed(verifier: "MathVerifier", reason: str) -> ErrorProfile:
    return ErrorProfile(Verdict.UNDECIDED, reason, scores=dict.fromkeys(verifier.dimensions))


def _verified(packed: str, solutions: list[_Solution]) -> list[dict[str, Any]]:
    """The profiles of some solutions as plain JSON types. Runs in a worker process."""
    return [_profile(unpacked(packed), solution).to_dict() for solution in solutions]


def _in_processes(verifier: "MathVerifier", solutions: Iterator[_Solution], workers: int) -> Iterator[ErrorProfile]:
    def lost(solution: _Solution, reason: str) -> ErrorProfile:
        return _failed(verifier, WORKER_DIED if reason == "worker failed" else reason)

    processes = Processes[_Solution, ErrorProfile](
        preload=type(verifier).__module__,
        task=_TASK,
        shared=verifier,
        read=ErrorProfile.from_dict,
        lost=lost,
        seconds=ROW_SECONDS + 6 * verifier.timeout,
        memory_mib=verifier.memory_mib,
        count=workers,
    )
    yield from processes.map(solutions, _chunks, "verify_many")


def _chunks(solutions: Iterator[_Solution]) -> Iterator[list[_Solution]]:
    chunk: list[_Solution] = []
    characters = 0
    for solution in solutions:
        chunk.append(solution)
        characters += sum(len(part) if isinstance(part, str) else sum(map(len, part or ())) for part in solution[0])
        if len(chunk) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
