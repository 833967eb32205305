"""Verifies rows through a journal, so that a stopped run resumes."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, check_solution_row, solution_rows
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.identity import canonical, digest
from trl_weighted_dpo.core.journal import Journal
from trl_weighted_dpo.verifier.many import VerificationReport
from trl_weighted_dpo.verifier.profile import ErrorProfile
from trl_weighted_dpo.verifier.verifier import MathVerifier

_Row = tuple[str, list[dict[str, Any]]]
"""What decides a row's profiles, as its identity, and its solutions."""


def verify_into(
    journal: Path,
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier | None = None,
    workers: int = 1,
    source: str = "rows",
    total: int | None = None,
) -> VerificationReport:
    """Verify rows into a journal, going on where an earlier run with the same settings and rows stopped.

    Args:
        journal (`Path`):
            File that is made, or taken up. What no longer fits (other settings, other rows, a line cut short by a kill)
            is verified anew from there on.
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows and solution rows; a row with `candidates` is a pool row.
        verifier ([`MathVerifier`], *optional*):
            A default one if `None`.
        workers (`int`, *optional*, defaults to `1`):
            Processes to verify in, as for [`MathVerifier.verify_many`].
        source (`str`, *optional*, defaults to `"rows"`):
            Where the rows come from, for messages.
        total (`int`, *optional*):
            How many rows there are, for the progress bar.

    Returns:
        The report over all rows, those of earlier runs included.

    Raises:
        [`~core.checks.SchemaError`]: If a row is neither a pool row nor a solution row; what was verified until then
            stays in the journal.
    """
    verifier, report = verifier or MathVerifier(), VerificationReport()
    bar = tqdm(desc=f"Verifying {source}", unit=" rows", total=total)
    with bar, Journal(journal, canonical({"verifier": verifier.identity})) as entries:
        todo = _checked(rows, source)
        new: list[_Row] = []
        for identity, solutions in todo:
            entry = entries.next_entry({"row": identity})
            if entry is None:
                new = [(identity, solutions)]
                break
            for fields in entry["profiles"]:
                report.add(ErrorProfile.from_dict(fields))
            bar.update()
        report.resumed = report.solutions
        for identity, profiles in _verified(itertools.chain(new, todo), verifier, workers, source, report):
            entries.write({"row": identity, "profiles": [profile.to_dict() for profile in profiles]})
            bar.update()
        entries.finish()
    return report


class RowsWithProfiles:
    """The rows of a finished journal with their profiles: as `profile` in a solution row, in each of the `candidates`
    of a pool row. All else stays as it is. They can be read as often as the rows.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            The rows that were verified.
        journal (`Path`):
            What [`verify_into`] made of them.

    Iterating raises `ValueError` if the rows are not those that the journal was made of.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], journal: Path) -> None:
        self.rows, self.journal = rows, journal

    def __iter__(self) -> Iterator[dict[str, Any]]:
        entries = itertools.islice(read_jsonl(self.journal), 1, None)
        for row, entry in itertools.zip_longest(self.rows, entries):
            if row is None or entry is None or entry["row"] != _identity(solution_rows(row)):
                raise ValueError("the rows have changed while they were verified. Run again: what was done is kept.")
            if schema.CANDIDATES in row:
                candidates = zip(row[schema.CANDIDATES], entry["profiles"], strict=True)
                yield {
                    **row,
                    schema.CANDIDATES: [{**candidate, schema.PROFILE: profile} for candidate, profile in candidates],
                }
            else:
                yield {**row, schema.PROFILE: entry["profiles"][0]}


def _identity(solutions: list[dict[str, Any]]) -> str:
    return digest([list(solution.values()) for solution in solutions])


def _checked(rows: Iterable[Mapping[str, Any]], source: str) -> Iterator[_Row]:
    for index, row in enumerate(rows):
        check = check_pool_row if schema.CANDIDATES in row else check_solution_row
        check(row, index, source)
        solutions = solution_rows(row)
        yield _identity(solutions), solutions


def _verified(
    rows: Iterable[_Row], verifier: MathVerifier, workers: int, source: str, report: VerificationReport
) -> Iterator[tuple[str, list[ErrorProfile]]]:
    """The identity of each row with the profiles of its solutions."""
    waiting: deque[tuple[str, int]] = deque()

    def solutions() -> Iterator[dict[str, Any]]:
        for identity, of_row in rows:
            waiting.append((identity, len(of_row)))
            yield from of_row

    done: list[ErrorProfile] = []
    for profile in verifier.verify_many(solutions(), workers, source, report):
        while not waiting[0][1]:
            yield waiting.popleft()[0], []
        done.append(profile)
        if len(done) == waiting[0][1]:
            yield waiting.popleft()[0], done
            done = []
    yield from ((identity, []) for identity, _ in waiting)
