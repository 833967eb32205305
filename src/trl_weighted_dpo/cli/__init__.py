"""The `weighted-dpo` command. Each command is a file; what is slow to import is imported inside it."""

import typer

from trl_weighted_dpo.cli.mine import mine

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Verifier-guided, hard-negative, per-pair weighted DPO for math."""


app.command()(mine)


def main() -> None:
    """Entry point of the `weighted-dpo` script."""
    app()
