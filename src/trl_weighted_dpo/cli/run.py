"""`weighted-dpo run`: the whole method from one YAML."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.pipeline.running import Outcome


def run(
    recipe: Annotated[Path, typer.Argument(help="YAML of the run; recipes/run.yaml has a comment above each key.")],
    only: Annotated[
        str | None, typer.Option(help="Run this stage alone: score, in every round, or round-2/score.", metavar="STAGE")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Begin with this stage; what is before is taken as it is.")
    ] = None,
    last: Annotated[str | None, typer.Option("--until", help="End with this stage.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and why; run nothing.")] = False,
) -> None:
    """Run SFT, sample, verify, score, mine, weigh, train and evaluate from one YAML.

    Each stage is a command of its own, which is printed. Can be stopped and run again: stages whose inputs and settings
    are as they were are not run again, and one that was stopped goes on at its row or checkpoint.
    """
    from rich.console import Console

    from trl_weighted_dpo.pipeline.processes import Stopped
    from trl_weighted_dpo.pipeline.reading import read_recipe
    from trl_weighted_dpo.pipeline.running import Selection, StageError, run_recipe
    from trl_weighted_dpo.report.pipeline import stages_table

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character must not end the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        checked = read_recipe(recipe)
        outcomes = run_recipe(checked, Selection(only, first, last), say, dry_run)
    except (ValueError, OSError, StageError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except Stopped as stopped:
        typer.echo("Stopped. Run again to go on from here.", err=True)
        raise typer.Exit(128 + stopped.number) from stopped
    console.print(stages_table([_shown(outcome) for outcome in outcomes]))
    report = checked.output_dir / "evaluation" / "evaluation.json"
    if report.is_file() and not dry_run:
        say(f"Report: {report}")


def _shown(outcome: "Outcome") -> dict[str, str | int | float | None]:
    return {
        "stage": outcome.stage.name,
        "state": outcome.state,
        "rows": outcome.rows,
        "seconds": outcome.seconds,
        "output": str(outcome.stage.output),
    }
