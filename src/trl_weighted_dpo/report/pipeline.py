"""What became of the stages of a run, for the terminal."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from rich.table import Table


def stages_table(stages: Iterable[Mapping[str, Any]]) -> Table:
    """A row for each stage.

    Args:
        stages (`Iterable[Mapping[str, Any]]`):
            Each with `stage`, `state`, `rows` (`int` or `None`), `seconds` (`float` or `None`) and `output`.
    """
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("state")
    table.add_column("rows", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("output", overflow="fold")
    for stage in stages:
        rows = "" if stage["rows"] is None else f"{stage['rows']}"
        seconds = stage["seconds"]
        time = "" if seconds is None else str(timedelta(seconds=round(seconds)))
        table.add_row(stage["stage"], stage["state"], rows, time, stage["output"])
    return table
