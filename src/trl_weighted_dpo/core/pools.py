"""Pool rows of any source: candidates as texts, one solution a row, labels and numbers become what the schema has."""

import hashlib
import json
import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_solution_row, row_error
from trl_weighted_dpo.core.files import RowFile

logger = logging.getLogger(__name__)

_OF_PROBLEMS = (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


class PoolRows:
    """The pool rows of rows as people have them, which can be read again and again.

    * A candidate may be a text, or have its text as `solution`, `text`, `completion`, `response` or `output`.
    * Numbers as ids and answers become texts, whole ones without a fraction.
    * Rows with one solution each are grouped by their problem, in the order in which problems first appear. What is
      neither the problem's nor the same id in all of its rows goes with the candidate.
    * A row without a reference answer takes labels instead: `is_correct` or `correct`, or a `reward` of at least the
      threshold, of each candidate or as lists beside them. They become `is_correct`, true or false.

    Memory does not grow with the source: rows to be grouped lie in a temporary database on disk.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Any rows, such as a [`~core.files.RowFile`] or a list; no iterator.
        source (`str`):
            Where they are from, for messages.
        reward_threshold (`float`, *optional*):
            The least reward of a correct solution; without it rewards are not labels.
        is_grouped (`bool`, *optional*, defaults to `True`):
            Whether rows with one solution each become pools.

    Iterating raises [`~core.checks.SchemaError`] at a row that is neither of the two, or whose label is none.
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        source: str,
        reward_threshold: float | None = None,
        is_grouped: bool = True,
    ) -> None:
        self.rows, self.source = rows, source
        self.reward_threshold, self.is_grouped = reward_threshold, is_grouped
        self._said: set[str] = set()
        self._groups: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return self.source

    def __len__(self) -> int:
        if not self._has_solutions():
            return len(self.rows) if isinstance(self.rows, Sized) else sum(1 for _ in self.rows)
        (count,) = self._grouped().execute("SELECT count(*) FROM problems").fetchone()
        return int(count)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._has_solutions():
            return self._pools()
        return (self._row(row, index) for index, row in enumerate(self.rows))

    def _has_solutions(self) -> bool:
        """Whether there is one solution in each row, to be grouped."""
        first = next(iter(self.rows), None) if self.is_grouped and self._groups is None else None
        return self._groups is not None or (first is not None and _is_solution(first))

    def _row(self, plain: Mapping[str, Any], index: int) -> dict[str, Any]:
        row: dict[str, Any] = {**plain}
        # The id of a solution row is not looked at unless it becomes that of a pool.
        is_solution = schema.CANDIDATES not in row and not self.is_grouped
        for column in (schema.REFERENCE_ANSWER,) if is_solution else (schema.REFERENCE_ANSWER, schema.ID):
            if column in row:
                row[column] = text_of(row[column], index, column, str(self))
        answer = row.get(schema.REFERENCE_ANSWER)
        if isinstance(row.get(schema.CANDIDATES), list):
            beside = {} if answer is not None else _beside(row)
            row[schema.CANDIDATES] = [
                self._candidate(candidate, {name: values[position] for name, values in beside.items()}, index, answer)
                for position, candidate in enumerate(row[schema.CANDIDATES])
            ]
        elif schema.CANDIDATES not in row:
            row = self._candidate(row, {}, index, answer)
        return row

    def _candidate(self, candidate: Any, beside: Mapping[str, Any], index: int, answer: str | None) -> Any:
        if isinstance(candidate, str):
            candidate = {schema.SOLUTION: candidate}
        if not isinstance(candidate, Mapping):
            return candidate
        candidate = {**beside, **candidate}
        if candidate.get(schema.SOLUTION) is None and not candidate.get(schema.STEPS):
            name = next((name for name in schema.SOLUTION_NAMES if isinstance(candidate.get(name), str)), None)
            if name is not None:
                candidate[schema.SOLUTION] = candidate.pop(name)
        label = None if answer is not None else self._label(candidate, index)
        return candidate if label is None else candidate | {schema.IS_CORRECT: label}

    def _label(self, candidate: Mapping[str, Any], index: int) -> bool | None:
        name = next((name for name in schema.LABEL_NAMES if candidate.get(name) is not None), None)
        if name is not None:
            value = candidate[name]
            label = value if isinstance(value, bool) else _TRUTH.get(str(value).strip().lower())
            if label is None:
                raise row_error(str(self), index, name, value, "A label is true or false, or 1 or 0.")
        elif (value := candidate.get(schema.REWARD)) is None:
            return None
        elif self.reward_threshold is None:
            self._say(
                f"{self}: there are rewards but no reference answers. They are not used: say which reward is that of a "
                "correct solution (--reward-threshold)."
            )
            return None
        elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise row_error(str(self), index, schema.REWARD, value, "A reward is a finite number, or null.")
        else:
            name, label = schema.REWARD, value >= self.reward_threshold
        self._say(f"{self}: rows without a reference answer have their verdicts from the label {name!r}.")
        return label

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning(text)

    def _grouped(self) -> sqlite3.Connection:
        """The rows by problem, in a database that is deleted with the object."""
        if self._groups is None:
            groups = sqlite3.connect("", check_same_thread=False)
            groups.execute("CREATE TABLE problems (key BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID")
            groups.execute("CREATE TABLE solutions (key BLOB, place INTEGER, row TEXT)")
            for index, plain in enumerate(self.rows):
                row = self._row(plain, index)
                if schema.CANDIDATES in row:
                    hint = f"The rows before it have one {schema.SOLUTION!r} each: give rows of one kind."
                    raise row_error(str(self), index, schema.CANDIDATES, row[schema.CANDIDATES], hint)
                check_solution_row(row, index, str(self))
                key = hashlib.blake2b(row[schema.PROBLEM].encode(errors="surrogatepass"), digest_size=16).digest()
                groups.execute("INSERT OR IGNORE INTO problems VALUES (?, ?)", (key, index))
                groups.execute("INSERT INTO solutions VALUES (?, ?, ?)", (key, index, json.dumps(row, default=str)))
            self._groups = groups
        return self._groups

    def _pools(self) -> Iterator[dict[str, Any]]:
        found = self._grouped().execute(
            "SELECT problems.place, solutions.place, row FROM solutions JOIN problems USING (key) ORDER BY 1, 2"
        )
        rows: list[tuple[int, dict[str, Any]]] = []
        group = -1
        for first, place, text in found:
            if first != group and rows:
                yield _pool(rows, str(self))
                rows = []
            group = first
            rows.append((place, json.loads(text)))
        if rows:
            yield _pool(rows, str(self))


class PoolFile(PoolRows):
    """The pool rows of a source: as [`PoolRows`], from a file, a folder or the hub.

    Args:
        source (`str` or `Path`), limit, columns, split:
            As for [`~core.files.RowFile`]; the limit counts rows of the source.
        reward_threshold, is_grouped:
            As for [`PoolRows`].
    """

    def __init__(
        self,
        source: str | Path,
        limit: int | None = None,
        columns: Mapping[str, str] | None = None,
        split: str | None = None,
        reward_threshold: float | None = None,
        is_grouped: bool = True,
    ) -> None:
        super().__init__(RowFile(source, limit, columns, split), str(source), reward_threshold, is_grouped)


def _is_solution(row: Mapping[str, Any]) -> bool:
    return schema.CANDIDATES not in row and any(name in row for name in (*schema.SOLUTION_NAMES, schema.STEPS))


def _beside(row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Labels and rewards that stand in lists beside the candidates, one for each."""
    size = len(row[schema.CANDIDATES])
    names = (*schema.LABEL_NAMES, schema.REWARD)
    return {name: row[name] for name in names if isinstance(row.get(name), list) and len(row[name]) == size}


def _pool(rows: list[tuple[int, dict[str, Any]]], source: str) -> dict[str, Any]:
    """One pool row of the solution rows of a problem."""
    pool: dict[str, Any] = {}
    candidates = []
    ids = {row.get(schema.ID) for _, row in rows}
    shared = (*_OF_PROBLEMS, *((schema.ID,) if len(ids) == 1 else ()))
    for index, row in rows:
        for name in shared:
            value = row.pop(name, None)
            if value is not None and pool.setdefault(name, value) != value:
                hint = f"An earlier row of the same problem has {pool[name]!r}. Give all of them the same."
                raise row_error(source, index, name, value, hint)
        if row.get(schema.STEPS):
            row[schema.SOLUTION] = "\n".join(row[schema.STEPS])
        candidates.append(row)
    return pool | {schema.CANDIDATES: candidates}


def text_of(value: Any, index: int, column: str, source: str) -> Any:
    """An id or answer as text: a number is written out, a whole one without a fraction; anything else is left.

    Raises:
        [`~core.checks.SchemaError`]: If it is a number but not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not math.isfinite(value):
        raise row_error(source, index, column, value, "It is no number: give a text, a number or null.")
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else str(value)
