"""`weighted-dpo evaluate`: models or their pools → accuracy with intervals, and paired comparisons."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.evaluation.files import ModelFiles


def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report and what it is made of.")],
    pool: Annotated[
        list[str] | None,
        typer.Option(
            help="Samples of a model: a pool, verified or not. The first model is the baseline.", metavar="NAME=FILE"
        ),
    ] = None,
    greedy: Annotated[
        list[str] | None,
        typer.Option(help="Greedy candidates of a model: a pool with one for each problem.", metavar="NAME=FILE"),
    ] = None,
    difficulty: Annotated[
        str | None,
        typer.Option(help="Split by this column, by steps (of the reference solution) or accuracy (of the baseline)."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 10_000,
    workers: Annotated[int, typer.Option(min=1, help="Processes to verify in.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of tables.")] = False,
) -> None:
    """Evaluate models on the same problems, and compare each with the first one.

    Can be stopped and run again: what was verified lies in the output folder.
    """
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.evaluation.evaluating import EvaluationConfig
    from trl_weighted_dpo.evaluation.files import evaluate_files
    from trl_weighted_dpo.report.evaluation import evaluation_tables

    try:
        config = EvaluationConfig(difficulty, confidence, resamples)
        models = _models(pool or (), greedy or ())
        check_paths([path for model in models for path in (model.greedy, model.samples) if path is not None])
        report = evaluate_files(output, models, config, workers)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    console = Console()
    for table in evaluation_tables(report):
        console.print(table)
    typer.echo(f"Report written to {output / 'evaluation.json'}")


def _models(pools: Iterable[str], greedy: Iterable[str]) -> "list[ModelFiles]":
    """The models that are named, in the order of --pool, then --greedy."""
    from trl_weighted_dpo.evaluation.files import ModelFiles

    found: dict[str, dict[str, Path]] = {}
    for option, kind, values in (("--pool", "samples", pools), ("--greedy", "greedy", greedy)):
        for value in values:
            name, sign, path = value.partition("=")
            if not sign or not path:
                raise ValueError(f"{option} {value}: give NAME=FILE, with a name for the model.")
            files = found.setdefault(name, {})
            if kind in files:
                raise ValueError(f"{option} {value}: {name} has the pool {files[kind]} already. Give one to each name.")
            files[kind] = Path(path)
    if not found:
        raise ValueError("there is nothing to evaluate: give --pool NAME=FILE.")
    return [ModelFiles(name, **files) for name, files in found.items()]
