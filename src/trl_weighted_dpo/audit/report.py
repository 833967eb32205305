"""What an audit found: checks, their severities, their results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from trl_weighted_dpo.settings.audit import AuditConfig


class Severity(StrEnum):
    """How bad a finding is: an `error` teaches the wrong thing or breaks training, a `warning` asks for a look."""

    ERROR = "error"
    WARNING = "warning"


class Status(StrEnum):
    """What became of a check. It is `skipped` if the data has nothing to check."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


SEVERITIES: dict[str, Severity] = {
    "malformed": Severity.ERROR,
    "mislabelled": Severity.ERROR,
    "flagged_chosen": Severity.ERROR,
    "unverified": Severity.WARNING,
    "identical": Severity.ERROR,
    "prefix": Severity.WARNING,
    "duplicate": Severity.WARNING,
    "contradiction": Severity.ERROR,
    "truncated_to_equal": Severity.ERROR,
    "prompt_too_long": Severity.WARNING,
    "contaminated": Severity.ERROR,
    "contaminated_but_numbers": Severity.WARNING,
    "length_predictable": Severity.WARNING,
    "unusable_signals": Severity.ERROR,
    "weight_outliers": Severity.WARNING,
    "weights_clipped": Severity.WARNING,
    "effective_sample_size": Severity.WARNING,
    "reference_logps": Severity.ERROR,
}
"""Every check, in the order of a report."""

OF_THE_SET = ("length_predictable", "weights_clipped", "effective_sample_size")
"""Checks of the whole set, which name no rows; the others find rows and tolerate a share of them."""


@dataclass(frozen=True)
class Example:
    """One row that a check found.

    Args:
        row (`int`): 0-based row.
        detail (`str`): What is wrong with it.
        problem_id (`str`, *optional*): Its `problem_id`, if it has one.
        excerpt (`str`): The beginning of its prompt.
    """

    row: int
    detail: str
    problem_id: str | None = None
    excerpt: str = ""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        name (`str`): One of `SEVERITIES`.
        status (`Status`): What became of it.
        count (`int`): How many pairs it found; of a check of the whole set, 0.
        of (`int`): How many pairs it looked at.
        threshold (`str`): From where on the status is no longer `pass`.
        note (`str`): What a person should know beside it: figures, or why it was skipped or is weaker than it could be.
        figures (`Mapping[str, Any]`): The figures of a check of the whole set, in plain JSON types.
        rows (`Sequence[int]`): The 0-based rows that it found, ascending.
        examples (`Sequence[Example]`): The first of them.
    """

    name: str
    status: Status
    count: int
    of: int
    threshold: str
    note: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[int] = ()
    examples: Sequence[Example] = ()

    @property
    def severity(self) -> Severity:
        """How bad its findings are."""
        return SEVERITIES[self.name]

    @property
    def share(self) -> float:
        """Share of the pairs it looked at that it found, in [0, 1]."""
        return self.count / self.of if self.of else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        return {
            "name": self.name,
            "severity": self.severity.value,
            "status": self.status.value,
            "count": self.count,
            "of": self.of,
            "share": self.share,
            "threshold": self.threshold,
            "note": self.note,
            "figures": dict(self.figures),
            "rows": list(self.rows),
            "examples": [asdict(example) for example in self.examples],
        }


def status_of(name: str, is_bad: bool) -> Status:
    """The status of a check that found something bad, or not."""
    if not is_bad:
        return Status.PASS
    return Status.FAIL if SEVERITIES[name] is Severity.ERROR else Status.WARN


def skipped(name: str, why: str) -> CheckResult:
    """The result of a check that had nothing to look at."""
    return CheckResult(name, Status.SKIPPED, 0, 0, "", why)


class Tally:
    """Collects the rows that a check finds: all their numbers, and what is wrong with the first of them.

    Args:
        name (`str`): The check.
        tolerated (`float`): Share of the rows looked at that may be found, in [0, 1].
        examples (`int`): How many of them are explained.
    """

    def __init__(self, name: str, tolerated: float, examples: int) -> None:
        self.name = name
        self.of = 0
        self.rows: list[int] = []
        self._tolerated, self._most = tolerated, examples
        self._examples: list[Example] = []

    def add(self, row: int, detail: str) -> None:
        """Finds a row; rows come in ascending order."""
        self.rows.append(row)
        if len(self._examples) < self._most:
            self._examples.append(Example(row, detail))

    def result(self, note: str = "") -> CheckResult:
        """The result, once all rows were looked at."""
        status = status_of(self.name, len(self.rows) > self._tolerated * self.of)
        threshold = f"> {self._tolerated:.2%}" if self._tolerated else "any"
        return CheckResult(
            self.name, status, len(self.rows), self.of, threshold, note, rows=self.rows, examples=self._examples
        )


def tally_of(config: AuditConfig, name: str) -> Tally:
    """A tally for a check, as an audit's settings have it."""
    return Tally(name, config.tolerated.get(name, 0.0), config.examples)


def check_tolerated(tolerated: Mapping[str, float]) -> None:
    """Check the shares of rows that checks may find.

    Raises:
        `ValueError`: If no check that finds rows has that name, or a share is not in [0, 1].
    """
    for name, share in tolerated.items():
        if name not in SEVERITIES or name in OF_THE_SET:
            there = ", ".join(check for check in SEVERITIES if check not in OF_THE_SET)
            raise ValueError(f"No check {name!r} finds rows, so none can be tolerated. Choose one of {there}.")
        if not 0 <= share <= 1:
            raise ValueError(f"The tolerated share of {name!r} must lie in [0, 1], got {share}.")


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Args:
        source (`str`): Where the pairs come from.
        pairs (`int`): How many rows there are.
        checks (`Sequence[CheckResult]`): One result for each check.
    """

    source: str
    pairs: int
    checks: Sequence[CheckResult]

    def __getitem__(self, name: str) -> CheckResult:
        """The result of a check."""
        return next(check for check in self.checks if check.name == name)

    def found(self, severity: Severity) -> bool:
        """Whether a check of this severity, or of a worse one, did not pass."""
        statuses = {check.status for check in self.checks}
        return Status.FAIL in statuses or (severity is Severity.WARNING and Status.WARN in statuses)

    def bad_rows(self, severity: Severity) -> set[int]:
        """The rows that checks of this severity, or of a worse one, found, those that are tolerated among them."""
        severities = (Severity.ERROR,) if severity is Severity.ERROR else tuple(Severity)
        return {row for check in self.checks if check.severity in severities for row in check.rows}

    def with_examples(self, told: Mapping[int, tuple[str | None, str]]) -> "AuditReport":
        """The report whose examples have the problem id and the excerpt that are told of their rows."""
        checks = [
            replace(
                check,
                examples=[
                    replace(example, problem_id=told[example.row][0], excerpt=told[example.row][1])
                    for example in check.examples
                ],
            )
            for check in self.checks
        ]
        return replace(self, checks=checks)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {"source": self.source, "pairs": self.pairs, "checks": [check.to_dict() for check in self.checks]}
