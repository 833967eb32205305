"""What became of a mined pool, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def mining_table(report: Mapping[str, Any]) -> Table:
    """What became of a pool, from [`MiningReport.to_dict`][mining.report.MiningReport]."""
    table = Table(title="Mining", show_header=False, title_justify="left")

    def add(name: str, count: int, of: int | None = None) -> None:
        table.add_row(name, f"{count} ({count / of:.1%})" if of else f"{count}")

    pairs = report["pairs"]
    add("problems", report["problems"])
    add("candidates", report["candidates"])
    for verdict, count in sorted(report["verdicts"].items()):
        add(f"  {verdict}", count, report["candidates"])
    for reason, count in report["unusable"].items():
        add(f"  not used: {reason}", count, report["candidates"])
    for reason, count in report["problems_without_pairs"].items():
        add(f"problems left out: {reason}", count, report["problems"])
    for reason, count in report["dropped"].items():
        add(f"combinations dropped: {reason}", count)
    add("pairs", pairs)
    if pairs:
        table.add_section()
        for kind, count in report["kinds"].items():
            add(f"  rejected: {kind.replace('_', ' ')}", count, pairs)
        for dimension, count in report["dimensions"].items():
            add(f"  rejected shows {dimension}", count, pairs)
        for band, count in report["bands"].items():
            add(f"  {band} by the pool's terciles", count, pairs)
        _add_quantiles(table, report)
    return table


def _add_quantiles(table: Table, report: Mapping[str, Any]) -> None:
    lengths = report["lengths"]
    table.add_section()
    table.add_row("", "min, quartiles, max")
    for name, values in report["hardness"].items():
        table.add_row(f"hardness of {name}", _shown(values, ".3f"))
    for side in ("chosen", "rejected"):
        table.add_row(f"{lengths['unit']} of {side}", _shown(lengths[side], ".0f"))
    table.add_row("rejected is longer", f"{lengths['longer_rejected']:.1%} of pairs, ties half")
    table.add_row("shared beginning", f"{report['shared_prefix']:.1%} of the longer text, mean")


def _shown(values: Sequence[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)
