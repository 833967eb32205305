"""Examples that come before each problem, read from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, row_error
from trl_weighted_dpo.core.files import read_jsonl


def read_few_shot(path: Path) -> tuple[tuple[str, str], ...]:
    """Problems with solutions from a JSONL file, for [`~settings.sampling.SamplingConfig`].

    Args:
        path (`Path`): Rows with `problem` and `solution`, or `reference_solution` in place of that.

    Raises:
        [`~core.checks.SchemaError`]: If a row has no problem or no solution, or there is no row.
        `FileNotFoundError`: If there is no such file.
    """
    shots = tuple(_shot(row, index, str(path)) for index, row in enumerate(read_jsonl(path)))
    if not shots:
        raise SchemaError(f"{path}: there is no row. Give at least one problem with a solution, or no file.")
    return shots


def _shot(row: Mapping[str, Any], index: int, source: str) -> tuple[str, str]:
    column = schema.SOLUTION if schema.SOLUTION in row else schema.REFERENCE_SOLUTION
    for name in (schema.PROBLEM, column):
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise row_error(source, index, name, value, "Give the text of a problem and of its solution.")
    return row[schema.PROBLEM], row[column]
