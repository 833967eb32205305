"""`weighted-dpo mine`: pool → pairs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import POOL, pool_file
from trl_weighted_dpo.settings import PairingConfig, PoolRowsConfig, WorkersConfig


@with_settings()
def mine(
    pool: Annotated[Path, typer.Argument(help=f"{POOL} Plain, verified, scored, or both.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pairs go: *.jsonl or *.parquet.")],
    pairing: Callable[..., PairingConfig],
    processes: Callable[..., WorkersConfig],
    reading: Callable[..., PoolRowsConfig],
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON instead of a table.")] = False,
) -> None:
    """Verify the candidates of a pool, unless they are verified, and pair correct with hard incorrect ones.

    Can be stopped and run again: what was verified lies in OUTPUT.journal until all is done.
    """
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import check_suffix, write_rows
    from trl_weighted_dpo.mining.journal import MinedPairs, mine_into
    from trl_weighted_dpo.report.mining import mining_table

    try:
        config, workers = pairing(), processes().workers
        check_suffix(output)
        check_paths([], output, [pool])
        journal, mined = (output.with_name(output.name + end) for end in (".journal", ".mined"))
        report = mine_into(journal, mined, pool_file(pool, reading()), config=config, source=str(pool), workers=workers)
        if as_json:
            typer.echo(json.dumps(report.to_dict(), indent=2))
        else:
            Console().print(mining_table(report.to_dict()))
        if not report.problems:
            journal.unlink()
        if not report.is_scored and report.pairs and config.hardness.function == "product":
            typer.echo("The pool is not scored, so hardness is proximity × flaw, without confidence.", err=as_json)
        if report.pairs:
            write_rows(output, MinedPairs(mined))
            journal.unlink()
        mined.unlink()
        if not report.pairs:
            raise ValueError("no pair could be made, so nothing was written. See the counts above.")
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{report.pairs} pairs written to {output}", err=as_json)
