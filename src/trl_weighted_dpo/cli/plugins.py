"""`weighted-dpo plugins`: what is installed, and what it brings."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from trl_weighted_dpo.plugins import Plugin


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the plugins that are installed, and the names that each brings. Broken ones are listed with the cause."""
    import dataclasses
    import json

    from rich.console import Console

    from trl_weighted_dpo.plugins import installed, manager

    found = installed()
    if as_json:
        shown = [
            dataclasses.asdict(plugin) | {"brings": {kind: list(plugin.brings.get(kind, ())) for kind in manager.KINDS}}
            for plugin in found
        ]
        typer.echo(json.dumps(shown, indent=2))
    else:
        Console().print(_table(found))


def _table(found: "tuple[Plugin, ...]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from trl_weighted_dpo.plugins.manager import KINDS
    from trl_weighted_dpo.report.text import one_line

    table = Table(title="Plugins", title_justify="left")
    for column in ("plugin", "from", "brings"):
        table.add_column(column)
    for plugin in found:
        brings = Text("\n").join(
            Text.assemble((f"{KINDS[kind].noun}: ", "dim"), ", ".join(things))
            for kind, things in plugin.brings.items()
            if things
        )
        if plugin.error is not None:
            brings = Text.assemble(("broken: ", "bold red"), one_line(plugin.error))
        origin = one_line(f"{plugin.distribution} {plugin.version}") if plugin.distribution else "(unknown)"
        table.add_row(Text(one_line(plugin.name)), Text(origin), brings)
    return table
