"""`weighted-dpo train`: pairs → model, launched by accelerate as `trl dpo` is."""

import os
from typing import Any

import typer

_WORKER = "trl_weighted_dpo.training.run"
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
    from accelerate.commands.launch import launch_command
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from trl_weighted_dpo.training.arguments import TrainParser, check

    parser = TrainParser()
    *parsed, from_yaml, from_line = parser.parse(arguments)
    settings = _launch_settings(from_yaml + from_line, without(arguments, from_line), parser)
    check(*parsed)
    try:
        launch_command(settings)
    except ChildFailedError as failed:
        # The process has said why.
        raise typer.Exit(1) from failed


def _launch_settings(flags: list[str], training: list[str], parser: Any) -> Any:
    """Settings of `accelerate launch`.

    Raises:
        `ValueError`: If a flag is neither TRL's nor ours nor accelerate's.
    """
    import difflib

    from accelerate.commands.launch import launch_command_parser
    from trl.cli.accelerate_config import resolve_accelerate_config_argument

    def refuse(message: str) -> None:
        raise ValueError(f"accelerate launch: {message}")

    launcher = launch_command_parser()
    launcher.error = refuse
    # YAML has `multi_gpu: true` for a flag without a value.
    flags = resolve_accelerate_config_argument([flag for flag in flags if flag != "True"])
    settings, rest = launcher.parse_known_args(["--module", "--quiet", *flags, _WORKER, *training])
    unknown = [flag for flag in rest if flag.startswith("-")]
    if unknown:
        known = [option for one in (parser, launcher) for option in one._option_string_actions]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " See weighted-dpo train --help."
        raise ValueError(f"Unknown flag or key of the YAML: {unknown[0].partition('=')[0]}.{hint}")
    if settings.training_script != _WORKER:
        raise ValueError(
            f"{settings.training_script!r} belongs to no flag. Give a model by --model_name_or_path, pairs by "
            "--dataset_name and a YAML by --config."
        )
    return settings


def without(arguments: list[str], left_over: list[str]) -> list[str]:
    """The arguments without those that the parser left over, which are some of them in the same order."""
    remaining = iter(left_over)
    following = next(remaining, None)
    kept = []
    for argument in arguments:
        if argument == following:
            following = next(remaining, None)
        else:
            kept.append(argument)
    return kept
