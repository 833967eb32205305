"""`weighted-dpo calibrate`: labelled solutions → the weights of wrongness."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.settings import CalibrationConfig


@with_settings()
def calibrate(
    labelled: Annotated[
        list[Path],
        typer.Argument(help="Labelled solutions or pools, as JSONL (is_correct_answer, first_error_step, is_correct)."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the weights go, as JSON.")],
    fitting: Callable[..., CalibrationConfig],
    as_json: Annotated[bool, typer.Option("--json", help="Print what is written instead of tables.")] = False,
) -> None:
    """Fit the weights of wrongness to labelled solutions; MathVerifier.from_calibration reads what is written."""
    import json

    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.report.tables import calibration_tables
    from trl_weighted_dpo.verifier.calibration import calibrate as fitted_to
    from trl_weighted_dpo.verifier.verifier import MathVerifier

    try:
        check_paths(labelled, output)
        folds = fitting().folds
        names = " ".join(path.name for path in labelled)
        command = f"weighted-dpo calibrate {names} -o {output.name} --folds {folds}"
        with MathVerifier() as verifier:
            content = fitted_to(labelled, verifier, folds, command, progress=True)
        text = json.dumps(content, indent=2) + "\n"
        partial = output.with_name(output.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(text, nl=False)
        return
    console = Console()
    for table in calibration_tables(content):
        console.print(table)
    if content["never_checked"]:
        typer.echo(f"Never checked in this data, so without weight: {', '.join(content['never_checked'])}")
    typer.echo(f"Weights written to {output}")
