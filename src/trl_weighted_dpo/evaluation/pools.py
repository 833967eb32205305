"""Pools → outcomes of the candidates of each problem, verified on the way where they bring no profiles."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, check_profile_row, row_error
from trl_weighted_dpo.core.pools import PoolFile
from trl_weighted_dpo.core.printing import short_repr
from trl_weighted_dpo.evaluation.outcomes import Outcome, outcome
from trl_weighted_dpo.verifier.files import RowsWithProfiles, verify_into
from trl_weighted_dpo.verifier.verifier import MathVerifier

logger = logging.getLogger(__name__)

_SHOWN_IDS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """What is known of a problem besides its candidates.

    Args:
        text (`str`): The problem.
        reference_answer (`str`, *optional*), reference_solution (`str`, *optional*): As in the pool.
        columns (`Mapping[str, str | int | float | bool]`): All else in its row that is text, number or truth value.
    """

    text: str
    reference_answer: str | None
    reference_solution: str | None
    columns: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Answered:
    """The candidates of one pool.

    Args:
        source (`str`): The pool, for messages and the report.
        problems (`Mapping[str, Problem]`): By id, or by the problem's text where rows have no id, in the pool's order.
        outcomes (`Mapping[str, tuple[Outcome, ...]]`): Of each problem's candidates, at least one, in their order.
    """

    source: str
    problems: Mapping[str, Problem]
    outcomes: Mapping[str, tuple[Outcome, ...]]

    @property
    def fewest(self) -> int:
        """How many candidates each problem has at least."""
        return min(map(len, self.outcomes.values()))


def read_answered(rows: PoolFile, journal: Path, workers: int = 1) -> Answered:
    """Read a pool, and verify its candidates unless all of them bring a profile.

    Args:
        rows ([`~core.pools.PoolFile`]): Pool rows.
        journal (`Path`):
            Where profiles that are made here are kept. It is taken up by a later run: the same rows are not verified
            twice by the same version.
        workers (`int`, *optional*, defaults to `1`): Processes to verify in.

    Raises:
        [`~core.checks.SchemaError`]: If a row is no pool row, has no candidates, or is there twice.
        `ValueError`: If there are no rows, or there is nothing to verify by (see [`check_references`]).
    """
    total, has_profiles = _check(rows)
    if has_profiles:
        return _answered(rows, str(rows))
    check_references(rows, str(rows))
    with MathVerifier() as verifier:
        verify_into(journal, rows, verifier, workers, str(rows), total)
    return _answered(RowsWithProfiles(rows, journal), str(rows))


def check_references(problems: Iterable[Mapping[str, Any]], source: str) -> None:
    """Check that there is something to tell right from wrong by; warns of problems without it.

    Raises:
        `ValueError`: If no problem has a reference answer or solution: nothing would be decided, and accuracy be 0.
    """
    columns = (schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)
    has_reference = [any(row.get(name) is not None for name in columns) or _is_labelled(row) for row in problems]
    missing = has_reference.count(False)
    if missing == len(has_reference):
        raise ValueError(
            f"{source}: no problem has a {columns[0]!r} or {columns[1]!r}, so nothing can be told right from wrong. "
            "Give problems with answers; where another column has them, name it: --column reference_answer=NAME."
        )
    if missing:
        logger.warning(
            "%s: %d of %d problems have neither reference answer nor solution. They are undecided, which counts as not "
            "correct.", source, missing, len(has_reference),
        )  # fmt: skip


def _is_labelled(row: Mapping[str, Any]) -> bool:
    candidates = row.get(schema.CANDIDATES) or ()
    return bool(candidates) and all(isinstance(candidate.get(schema.IS_CORRECT), bool) for candidate in candidates)


def _check(rows: PoolFile) -> tuple[int, bool]:
    """How many rows there are, and whether all candidates have profiles. What is wrong is told before any work."""
    total, has_profiles, seen = 0, True, dict[str, int]()
    for index, row in enumerate(rows):
        source = str(rows)
        check_pool_row(row, index, source)
        if not row[schema.CANDIDATES]:
            hint = "A problem without candidates has no accuracy: sample it, or remove the row from all pools."
            raise row_error(source, index, schema.CANDIDATES, [], hint)
        key = _key(row)
        if key in seen:
            column = schema.PROBLEM if row.get(schema.ID) is None else schema.ID
            hint = f"It is that of row {seen[key]} too, and each problem counts once: give one id to each problem."
            raise row_error(source, index, column, key, hint)
        seen[key] = index
        for position, candidate in enumerate(row[schema.CANDIDATES]):
            if candidate.get(schema.PROFILE) is None:
                has_profiles = False
            else:
                check_profile_row(candidate[schema.PROFILE], index, f"{source}, candidate {position}")
        total += 1
    if not total:
        raise ValueError(f"{rows}: the file is empty, so there is nothing to evaluate.")
    return total, has_profiles


def _key(row: Mapping[str, Any]) -> str:
    identity = row.get(schema.ID)
    return str(row[schema.PROBLEM] if identity is None else identity)


def _answered(rows: Iterable[Mapping[str, Any]], source: str) -> Answered:
    problems: dict[str, Problem] = {}
    outcomes: dict[str, tuple[Outcome, ...]] = {}
    known = {schema.ID, schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION, schema.CANDIDATES}
    for row in rows:
        key = _key(row)
        columns = {n: value for n, value in row.items() if n not in known and isinstance(value, str | int | float)}
        problems[key] = Problem(
            row[schema.PROBLEM], row.get(schema.REFERENCE_ANSWER), row.get(schema.REFERENCE_SOLUTION), columns
        )
        outcomes[key] = tuple(outcome(candidate[schema.PROFILE]) for candidate in row[schema.CANDIDATES])
    return Answered(source, problems, outcomes)


def check_same_problems(pools: Iterable[Answered]) -> None:
    """Check that pools hold the same problems, whatever their order.

    Raises:
        `ValueError`: If an id is in one of them only, or stands for another problem or reference answer: it names the
            pools and up to five of the ids.
    """
    remaining = iter(pools)
    first = next(remaining)
    for other in remaining:
        parts = list(_differences(first, other))
        if parts:
            raise ValueError(
                f"{first.source} and {other.source} do not hold the same problems: {'; '.join(parts)}. Models are "
                "compared on the same problems only: evaluate both on the problems that both have."
            )


def _differences(first: Answered, other: Answered) -> Iterator[str]:
    for one, two in ((first, other), (other, first)):
        missing = [key for key in one.problems if key not in two.problems]
        if missing:
            yield f"{len(missing)} are only in {one.source} ({_shown(missing)})"
    for what, name in (("the text of the problem", "text"), ("the reference answer", "reference_answer")):
        differing = [
            key
            for key, problem in first.problems.items()
            if key in other.problems and getattr(problem, name) != getattr(other.problems[key], name)
        ]
        if differing:
            yield f"{what} differs in {len(differing)} ({_shown(differing)})"


def _shown(ids: list[str]) -> str:
    return ", ".join(map(short_repr, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
