"""`weighted-dpo weigh`: what a weighting would do, without training."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.weighting import WeightingConfig


def weigh(
    pairs: Annotated[Path, typer.Argument(help="Pairs, as JSONL or Parquet, with signals or weights.")],
    scheme: Annotated[
        list[str] | None, typer.Option(help="How weights come about; given again, schemes are compared.")
    ] = None,
    lambda_: Annotated[float, typer.Option("--lambda", help="How far weights go from 1; 0 is uniform DPO.")] = 0.3,
    clip_min: Annotated[float, typer.Option(help="Lower bound of the normalised raw weight u.")] = 0.2,
    clip_max: Annotated[float, typer.Option(help="Upper bound of u.")] = 5.0,
    wrongness: Annotated[float, typer.Option(help="Coefficient of the flaw in `verifier`.")] = 1.0,
    confidence_gap: Annotated[float, typer.Option(help="Coefficient of the confidence gap in `verifier`.")] = 1.0,
    nll: Annotated[float, typer.Option(help="Coefficient of the relative NLL in `verifier`.")] = 1.0,
    normalize_column: Annotated[
        bool, typer.Option("--normalize-column", help="Divide a `weight` column by its mean.")
    ] = False,
    control_of: Annotated[str, typer.Option(help="What `shuffled` and `inverse` turn around.")] = "verifier",
    shuffle_seed: Annotated[int, typer.Option(help="Seed of `shuffled`.")] = 42,
    top: Annotated[int, typer.Option(min=0, help="Heaviest and lightest pairs shown, of each.")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the pairs go with a `weight` column.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show the weights that pairs would be trained with."""
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import check_suffix, write_rows
    from trl_weighted_dpo.weighting import WeightingConfig
    from trl_weighted_dpo.weighting.files import WeighedRows

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character must not end the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    schemes = list(dict.fromkeys(scheme or ["auto"]))
    try:
        check_paths([pairs], output)
        if output is not None:
            check_suffix(output)
            if len(schemes) > 1:
                raise ValueError(f"--output holds the weights of one scheme, but {', '.join(schemes)} are given.")
        configs = [
            WeightingConfig(
                scheme=name,
                lambda_=lambda_,
                clip_min=clip_min,
                clip_max=clip_max,
                wrongness=wrongness,
                confidence_gap=confidence_gap,
                nll=nll,
                normalize_column=normalize_column,
                control_of=control_of,
                shuffle_seed=shuffle_seed,
            )
            for name in schemes
        ]
        weightings, weights = _weigh(pairs, configs, top)
        _show(weightings, as_json)
        if output is not None:
            write_rows(output, WeighedRows(pairs, weights))
            typer.echo(f"{len(weights)} pairs with weights written to {output}", err=as_json)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _weigh(path: Path, configs: "list[WeightingConfig]", top: int) -> tuple[list[dict[str, Any]], Any]:
    """What is shown of each weighting, in plain types, and the weights of the first."""
    from dataclasses import asdict

    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.weighting import compute_weights
    from trl_weighted_dpo.weighting.diagnostics import rank_correlation
    from trl_weighted_dpo.weighting.files import file_columns, heaviest_and_lightest, values_at

    columns, size = file_columns(path, configs)
    signals = {name: columns[name] for name in (*schema.SIGNALS, schema.REWARD_MARGIN) if name in columns}
    shown: list[dict[str, Any]] = []
    first = None
    for config in configs:
        weights, statistics, summary = compute_weights(columns, size, config, source=str(path))
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
            problems = values_at(path, schema.PROBLEM_ID, {row for rows in sides.values() for row in rows})
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
