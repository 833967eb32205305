"""A command line of `weighted-dpo train` → settings of `accelerate launch`."""

import difflib
from typing import Any

_WORKER = "trl_weighted_dpo.training.run"


def launch_settings(arguments: list[str]) -> Any:
    """Settings of `accelerate launch` for a command line, which is checked.

    Raises:
        `ValueError`: If a flag is neither TRL's nor ours nor accelerate's, or the run cannot work.
    """
    from trl_weighted_dpo.training.arguments import check

    settings, parsed = parse_launch(arguments)
    check(*parsed)
    return settings


def parse_launch(arguments: list[str]) -> tuple[Any, list[Any]]:
    """Settings of `accelerate launch` for a command line, and the dataclasses of its other flags.

    Raises:
        `ValueError`: If a flag is neither TRL's nor ours nor accelerate's, or its value is wrong.
    """
    from trl_weighted_dpo.core import seam
    from trl_weighted_dpo.training.arguments import TrainParser

    def refuse(message: str) -> None:
        raise ValueError(f"accelerate launch: {message}")

    parser, launcher = TrainParser(), seam.launch_parser()
    launcher.error = refuse
    *parsed, from_yaml, from_line = parser.parse(arguments)
    # YAML has `multi_gpu: true` for a flag without a value.
    flags = seam.resolve_accelerate_config([item for item in from_yaml if item != "True"] + from_line)
    own = _without(arguments, from_line)
    settings, rest = launcher.parse_known_args(["--module", "--quiet", *flags, _WORKER, *own])
    unknown = [flag.partition("=")[0] for flag in rest if flag.startswith("-")]
    if unknown:
        known = [option for one in (parser, launcher) for option in one._option_string_actions]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "See weighted-dpo train --help."
        raise ValueError(f"Unknown flag or key of the YAML: {unknown[0]}. {hint}")
    if settings.training_script != _WORKER:
        raise ValueError(
            f"{settings.training_script!r} belongs to no flag. Give a model by --model_name_or_path, pairs by "
            "--dataset_name and a YAML by --config."
        )
    return settings, parsed


def _without(arguments: list[str], left_over: list[str]) -> list[str]:
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
