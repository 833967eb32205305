"""`weighted-dpo weigh`: what a weighting would do, without training."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import PAIRS, row_file
from trl_weighted_dpo.settings import RowsConfig, WeighConfig, WeightingConfig

if TYPE_CHECKING:
    from trl_weighted_dpo.core.files import RowFile


@with_settings()
def weigh(
    pairs: Annotated[Path, typer.Argument(help=f"{PAIRS} With signals or weights.")],
    *,
    scheme: Annotated[
        list[str] | None, typer.Option(help="How weights are computed (`auto`); given again, schemes are compared.")
    ] = None,
    weighting: Callable[..., WeightingConfig],
    shown: Callable[..., WeighConfig],
    reading: Callable[..., RowsConfig],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the pairs go with a `weight` column.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show the weights that pairs would be trained with."""
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import check_suffix, write_rows
    from trl_weighted_dpo.weighting.files import WeighedRows

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character must not end the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    schemes = list(dict.fromkeys(scheme or [WeightingConfig.scheme]))
    try:
        check_paths([], output, [pairs])
        if output is not None:
            check_suffix(output)
            if len(schemes) > 1:
                raise ValueError(f"--output holds the weights of one scheme, but {', '.join(schemes)} are given.")
        rows = row_file(pairs, reading())
        configs = [weighting(scheme=name) for name in schemes]
        weightings, weights = _weigh(rows, configs, shown().top)
        _show(weightings, as_json)
        if output is not None:
            write_rows(output, WeighedRows(rows, weights))
            typer.echo(f"{len(weights)} pairs with weights written to {output}", err=as_json)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _weigh(pairs: "RowFile", configs: list[WeightingConfig], top: int) -> tuple[list[dict[str, Any]], Any]:
    """What is shown of each weighting, in plain types, and the weights of the first."""
    from dataclasses import asdict

    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.weighting import compute_weights
    from trl_weighted_dpo.weighting.diagnostics import rank_correlation
    from trl_weighted_dpo.weighting.files import file_columns, heaviest_and_lightest, values_at

    columns, size = file_columns(pairs, configs)
    signals = {name: columns[name] for name in (*schema.SIGNALS, schema.REWARD_MARGIN) if name in columns}
    shown: list[dict[str, Any]] = []
    first = None
    for config in configs:
        weights, statistics, summary = compute_weights(columns, size, config, source=str(pairs))
        weighting: dict[str, Any] = {
            "settings": asdict(config),
            "statistics": asdict(statistics),
            "summary": asdict(summary),
        }
        if first is None:
            first = weights
        else:
            weighting["rank_correlation"] = rank_correlation(first, weights)
        shown.append(weighting)
        if len(configs) == 1:
            sides = dict(zip(("heaviest", "lightest"), heaviest_and_lightest(weights, min(top, size)), strict=True))
            problems = values_at(pairs, schema.PROBLEM_ID, {row for rows in sides.values() for row in rows})
            for side, rows in sides.items():
                weighting[side] = [
                    {
                        "row": row,
                        schema.PROBLEM_ID: problems[row],
                        "weight": float(weights[row]),
                        "signals": {name: values[row].as_py() for name, values in signals.items()},
                    }
                    for row in rows
                ]
    return shown, first


def _show(weightings: list[dict[str, Any]], as_json: bool) -> None:
    from rich.console import Console

    from trl_weighted_dpo.report.weighting import comparison_table, histogram_table, pairs_table, weights_table

    if as_json:
        typer.echo(json.dumps({"weightings": weightings}, indent=2))
        return
    console = Console()
    console.print(weights_table(weightings[0]) if len(weightings) == 1 else comparison_table(weightings))
    for weighting in weightings:
        for note in weighting["summary"]["notes"]:
            console.print(f"{weighting['summary']['scheme']}: {note}", markup=False, highlight=False)
    if len(weightings) == 1:
        weighting = weightings[0]
        console.print(histogram_table(weighting["summary"]["histogram"], "Pairs by weight"))
        for side in ("heaviest", "lightest"):
            if weighting[side]:
                console.print(pairs_table(weighting[side], f"The {side} pairs"))
