"""`weighted-dpo plan`: memory and time of a training run, without weights."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.settings import PlanConfig

if TYPE_CHECKING:
    from trl_weighted_dpo.planning.config import RunConfig
    from trl_weighted_dpo.planning.pairs import Pairs
    from trl_weighted_dpo.planning.plan import Machine

UNFIT, UNUSABLE = 1, 2
"""Exit codes: the run does not fit; it could not be planned."""


@with_settings()
def plan(
    recipe: Annotated[
        Path, typer.Argument(help="Axolotl YAML with `rl: weighted_dpo`, or YAML or JSON of WeightedDPOConfig fields.")
    ],
    planned: Callable[..., PlanConfig],
    model: Annotated[
        str | None, typer.Option(help="Folder with the model's config.json, instead of the recipe's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with bytes, instead of tables.")] = False,
) -> None:
    """Plan memory and time of a training run, from its recipe and the model's config.json. No weights are loaded.

    Exit code: 0 if the run fits, 1 if it does not, 2 if it could not be planned.
    """
    from contextlib import redirect_stdout
    from dataclasses import replace

    from trl_weighted_dpo.cli.paths import check_paths

    try:
        check_paths([recipe])
        config = planned()
        # Libraries log to it when they are imported, DeepSpeed among them.
        with redirect_stdout(sys.stderr):
            from trl_weighted_dpo.planning.model import load_config
            from trl_weighted_dpo.planning.plan import Planner, remedies
            from trl_weighted_dpo.planning.recipe import read_recipe

            settings = read_recipe(recipe)
            if model is not None:
                settings = replace(settings, model=model)
            machine = _machine(config)
            planner = Planner(load_config(settings.model), _pairs(config, settings))
            made = planner.plan(settings, machine)
            changes = [] if made.fits else list(remedies(planner, made))
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from error
    _show(made, changes, as_json)
    if not made.fits:
        raise typer.Exit(UNFIT)


def _machine(config: PlanConfig) -> "Machine":
    from trl_weighted_dpo.planning.gpus import find_gpu
    from trl_weighted_dpo.planning.plan import Machine

    known, memory, tflops = find_gpu(config.gpu), config.gpu_memory, config.gpu_tflops
    if memory is not None and tflops is None:
        # Another card, of which nothing is said.
        return Machine(config.gpus, memory, None if memory != known.memory else known.tflops, config.mfu)
    return Machine(config.gpus, memory or known.memory, tflops or known.tflops, config.mfu)


def _pairs(config: PlanConfig, settings: "RunConfig") -> "Pairs":
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import RowFile
    from trl_weighted_dpo.core.models import load_tokenizer
    from trl_weighted_dpo.planning.pairs import assumed_pairs, measured_pairs

    if config.pairs.isdecimal():
        if not int(config.pairs):
            raise ValueError("--pairs 0: give at least one pair.")
        return assumed_pairs(int(config.pairs), config.prompt_tokens, config.completion_tokens, settings.max_length)
    check_paths([Path(config.pairs)])
    rows = RowFile(Path(config.pairs))
    return measured_pairs(rows, load_tokenizer(settings.model), settings.max_length, settings.share_prompt)


def _show(made: Any, changes: list[tuple[str, Any]], as_json: bool) -> None:
    from rich.console import Console

    from trl_weighted_dpo.report.plan import memory_notes, memory_table, remedy_line, run_table, time_table

    lines = [remedy_line(sentence, changed) for sentence, changed in changes]
    if as_json:
        typer.echo(json.dumps({**made.to_dict(), "remedies": lines}, indent=2))
        return
    console = Console()
    console.print(run_table(made))
    console.print(memory_table(made))
    for note in memory_notes(made):
        console.print(note, markup=False, highlight=False)
    if not made.fits:
        several = lines and not changes[0][1].fits
        head = (
            "One upon another:"
            if several
            else "Each of these makes it fit:"
            if lines
            else "Nothing known makes it fit."
        )
        console.print(f"It does not fit. {head}", markup=False, highlight=False)
        for line in lines:
            console.print(f"- {line}", markup=False, highlight=False)
    console.print(time_table(made))
