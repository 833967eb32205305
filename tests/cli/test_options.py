"""Options from settings: what a command is given for its parameters."""

from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from trl_weighted_dpo.cli.options import settings_of_command, with_settings
from trl_weighted_dpo.settings import HardnessConfig, PairingConfig, SamplingConfig, ScoringConfig


def run(command, *arguments):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, arguments)


def test_a_command_makes_its_settings_of_options():
    made = []

    @with_settings("few_shot", "prompt_template")
    def command(
        name: Annotated[str, typer.Argument()],
        *,
        sampling: Callable[..., SamplingConfig],
        scoring: Callable[..., ScoringConfig],
        top_k: Annotated[int, typer.Option()] = 3,
    ) -> None:
        made.append((name, sampling(top_k=top_k), scoring()))

    assert run(command, "a").exit_code == 0
    assert made.pop() == ("a", SamplingConfig(top_k=3), ScoringConfig())
    # A setting of both has one option.
    flags = ["--stop", "x", "--stop", "y", "--top-k", "5", "--max-length", "0", "--batch-tokens", "9", "--seed", "7"]
    assert run(command, "a", *flags).exit_code == 0
    sampling = SamplingConfig(stop=("x", "y"), top_k=5, batch_tokens=9, seed=7)
    assert made.pop() == ("a", sampling, ScoringConfig(max_length=None, batch_tokens=9))
    assert run(command, "a", "--prompt-template", "x").exit_code == 2
    assert list(settings_of_command(command)) == [SamplingConfig, ScoringConfig]


def test_settings_are_made_in_the_command_which_explains_what_is_wrong():
    @with_settings()
    def command(pairing: Callable[..., PairingConfig]) -> None:
        with pytest.raises(ValueError, match=r"--hardness steps=-1: steps is '-1'\. Give a number of at least 0"):
            pairing()
        assert pairing(hardness=HardnessConfig(steps=2.0)).hardness.steps == 2.0
        typer.echo("made")

    assert run(command, "--hardness", "steps=-1").output == "made\n"
