"""`weighted-dpo mine`: pool → pairs."""

from pathlib import Path
from typing import Annotated

import typer


def mine(
    pool: Annotated[Path, typer.Argument(help="Pool, as JSONL: problem, reference_answer, candidates.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pairs go, as JSONL.")],
    pairs_per_problem: Annotated[int, typer.Option(min=1, help="Pairs made of one problem, at most.")] = 1,
    chosen_fallback: Annotated[
        str, typer.Option(help="Chosen where no candidate is correct: none or reference_solution.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Seed of the choice among candidates.")] = 42,
    allow_weak_answers: Annotated[
        bool, typer.Option("--allow-weak-answers", help="Reject also by answers that were guessed.")
    ] = False,
) -> None:
    """Verify the candidates of a pool and pair the correct with the incorrect ones.

    Can be stopped and run again: what was mined lies in OUTPUT.journal until all is done.
    """
    from rich.console import Console

    from trl_weighted_dpo import schema
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.mining.journal import mine_into, mined_rows
    from trl_weighted_dpo.mining.pairing import PairingConfig
    from trl_weighted_dpo.report.tables import mining_table

    try:
        config = PairingConfig(pairs_per_problem, chosen_fallback, seed, allow_weak_answers)
        check_paths([pool], output)
        journal = output.with_name(output.name + ".journal")
        report = mine_into(journal, schema.read_jsonl(pool), config=config, source=str(pool))
        Console().print(mining_table(report.to_dict()))
        if not report.problems:
            journal.unlink()
        if not report.pairs:
            raise ValueError("no pair could be made, so nothing was written. See the counts above.")
        schema.write_jsonl(output, (pair for row in mined_rows(journal) for pair in row["pairs"]))
        journal.unlink()
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{report.pairs} pairs written to {output}")
