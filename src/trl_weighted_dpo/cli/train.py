"""`weighted-dpo train`: pairs → model, launched by accelerate as `trl dpo` is."""

import os

import typer

_SET_BY_LAUNCHERS = ("LOCAL_RANK", "ACCELERATE_MIXED_PRECISION")


def train(context: typer.Context) -> None:
    """Train with weighted DPO, by the flags of `trl dpo` and more: see --help.

    Flags of accelerate launch, such as --num_processes, are passed on to it. In processes that a launcher has started
    it trains there.
    """
    arguments = list(context.args)
    try:
        if any(name in os.environ for name in _SET_BY_LAUNCHERS) and not {"-h", "--help"} & set(arguments):
            from trl_weighted_dpo.training.run import main

            main(arguments)
        else:
            _launch(arguments)
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _launch(arguments: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from trl_weighted_dpo.core import seam
    from trl_weighted_dpo.training.launch import launch_settings

    settings = launch_settings(arguments)
    try:
        seam.launch(settings)
    except ChildFailedError as failed:
        # The process has said why.
        raise typer.Exit(1) from failed
