"""One loader for problems: where rows come from, what their columns mean, and what is wrong with them."""

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, is_encodable, row_error
from trl_weighted_dpo.core.pools import text_of
from trl_weighted_dpo.core.sources import source_rows
from trl_weighted_dpo.problems.presets import PRESETS, Layout, looks_like_an_answer

logger = logging.getLogger(__name__)

NAMES = ("auto", *PRESETS, "custom")
"""What `preset` may be."""

_OF_POOLS = (schema.CANDIDATES, schema.RENDERED_REFERENCE, schema.REFERENCE_SCORE, schema.FINGERPRINT)
_TEXTS = (schema.ID, schema.REFERENCE_ANSWER)


def load_problems(
    source: str | Any,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Load problems from a file, a folder or the hub.

    Args:
        source (`str` or `Path`):
            See [`~core.sources.source_rows`]. A pool gives its problems; its candidates are left out.
        preset (`str`, *optional*):
            What the columns mean: one of `NAMES`. `"auto"`, the default unless there are `columns`, goes by their
            names; `"custom"`, the default with `columns`, takes what those say and columns with our names.
        columns (`Mapping[str, str]`, *optional*):
            Our column → theirs, such as `{"problem": "question"}`; goes before the preset.
        split (`str`, *optional*):
            Which split of a folder or of a set on the hub, where there are several.
        limit (`int`, *optional*):
            How many problems at most, the first ones.

    Returns:
        `list[dict]`: Rows with `id`, `problem`, `reference_answer`, `reference_solution` (the last two may be `None`)
        and what the source has besides. Without an id a row gets one that depends on the text of the problem alone; of
        such rows with the same problem the first is taken.

    Raises:
        `ValueError`: If the source cannot be read, a preset or column is not there, no row is, or no problem has an
            answer while a column that may hold them is unread.
        [`~core.checks.SchemaError`]: If a problem is empty or no valid Unicode, an id is there twice, or a value has a
            wrong type.
    """
    source = str(source)
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; give at least 1.")
    columns = dict(columns or {})
    rows = source_rows(source, split)
    first = next(rows, None)
    if first is None:
        raise ValueError(f"{source}: there is no row.")
    name = preset or ("custom" if columns else "auto")
    chosen = _preset(name, first, columns, source)
    found = [*itertools.islice(_distinct(itertools.chain([first], rows), chosen, columns, source), limit)]
    _check_answers(found, source)
    return found


def _check_answers(rows: Sequence[Mapping[str, Any]], source: str) -> None:
    """Refuse to load a set without its answers while a column that may hold them is unread."""
    if any(row[schema.REFERENCE_ANSWER] is not None for row in rows):
        return
    has_solutions = any(row[schema.REFERENCE_SOLUTION] is not None for row in rows)
    for name in dict.fromkeys(name for row in rows for name in row):
        is_solution = "solution" in name.lower() or "rationale" in name.lower()
        if name in (schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION) or (is_solution and has_solutions):
            continue
        if looks_like_an_answer(name):
            raise ValueError(
                f"{source}: no problem would have a reference answer, but the column {name!r} is not read. If it holds "
                f"the answers, say so: --column reference_answer={name} (in Python `columns`). If not, give it another "
                f"name: --column note={name}."
            )


def _preset(name: str, first: Mapping[str, Any], columns: Mapping[str, str], source: str) -> Layout:
    if name not in NAMES:
        raise ValueError(f"There is no preset {name!r}. Choose one of {', '.join(NAMES)}.")
    there = ", ".join(map(str, first))
    for ours, theirs in columns.items():
        if ours in _OF_POOLS:
            raise ValueError(f"A column cannot be called {ours!r}: pools have one of their own. Give it another name.")
        if theirs not in first:
            raise ValueError(f"{source}: there is no column {theirs!r} to be {ours!r}; there are: {there}.")
    if name == "custom":
        if schema.PROBLEM not in first and schema.PROBLEM not in columns:
            raise ValueError(
                f"{source}: which column has the problem? There are: {there}. Name it (--column problem=NAME)."
            )
        return PRESETS["own"]
    if name == "auto":
        for known in PRESETS.values():
            if set(known.needs) <= first.keys() and known.describes(first):
                return known
        if schema.PROBLEM in first:
            return PRESETS["own"]
        raise ValueError(
            f"{source}: no preset knows the columns {there}. Say which is which, as in --column problem=NAME --column "
            f"reference_answer=NAME (in Python `columns`), or name a preset: {', '.join(PRESETS)}."
        )
    missing = [column for column in PRESETS[name].needs if column not in first]
    if missing:
        raise ValueError(
            f"{source}: the preset {name!r} reads the column {missing[0]!r}, but there are: {there}. Choose another "
            "preset, or name columns (--column)."
        )
    return PRESETS[name]


def _distinct(
    rows: Iterator[Mapping[str, Any]], preset: Layout, columns: Mapping[str, str], source: str
) -> Iterator[dict[str, Any]]:
    """The problems of rows, each with an id of its own."""
    first: dict[str, int] = {}
    repeated = 0
    for index, row in enumerate(rows):
        problem = _mapped(row, index, preset, columns, source)
        has_id = problem[schema.ID] is not None
        if not has_id:
            problem[schema.ID] = "sha256-" + hashlib.sha256(problem[schema.PROBLEM].encode()).hexdigest()[:16]
        if first.setdefault(problem[schema.ID], index) == index:
            yield problem
        elif has_id:
            earlier = f"Row {first[problem[schema.ID]]} has this id, too. Ids tell problems apart: give each its own."
            raise row_error(source, index, schema.ID, problem[schema.ID], earlier)
        else:
            repeated += 1
    if repeated:
        logger.warning("%s: %d rows without an id repeat a problem; the first of each is taken.", source, repeated)


def _mapped(
    row: Mapping[str, Any], index: int, preset: Layout, columns: Mapping[str, str], source: str
) -> dict[str, Any]:
    needs = [column for column in preset.needs if not (column == schema.PROBLEM and column in columns)]
    for column in (*needs, *columns.values()):
        if column not in row:
            there = ", ".join(map(str, row)) or "none"
            raise row_error(source, index, column, None, f"The column is missing; there are: {there}.")
    taken = {*preset.reads, *columns.values(), *_OF_POOLS}
    problem = {schema.ID: row.get(schema.ID), **preset.map(row), **{ours: row[name] for ours, name in columns.items()}}
    for column in _TEXTS:
        problem[column] = text_of(problem[column], index, column, source)
    problem |= {name: value for name, value in row.items() if name not in taken and name not in problem}
    check_pool_row({**problem, schema.CANDIDATES: []}, index, source)
    if not is_encodable(problem[schema.PROBLEM]):
        hint = "The text holds a broken surrogate, which no tokenizer reads: drop it."
        raise row_error(source, index, schema.PROBLEM, problem[schema.PROBLEM], hint)
    for name, value in problem.items():
        if not _is_json(value):
            raise row_error(source, index, name, value, "It is nothing that JSON can hold: convert or drop it.")
    return problem


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
