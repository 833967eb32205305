"""Markdown tables."""

import math
import re
from collections.abc import Iterable, Sequence

SUMMARY = ("measure", "data", "verifier", "baseline", "which is")
"""Columns of the summary that every section adds rows to."""

_NUMBER = re.compile(r"[-+]?\d|-$")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, with an empty one after it; columns of numbers are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [all(_NUMBER.match(row[column]) for row in cells) for column in range(len(header))]
    rule = "|" + "|".join("---:" if is_numeric else "---" for is_numeric in numeric) + "|"
    return [_line(header), rule, *map(_line, cells), ""]


def percent(value: float | None, digits: int = 1) -> str:
    """A value that is in percent already; `-` for none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def share(count: int, total: int) -> str:
    """A count with what part of the total it is."""
    return f"{count} ({100 * count / total:.1f} %)" if total else "-"


def area(value: float | None) -> str:
    """An AUROC; `-` for none."""
    return "-" if value is None else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
