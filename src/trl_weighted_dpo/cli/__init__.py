"""The `weighted-dpo` command. Each command is a file; what is slow to import is imported inside it."""

import typer

from trl_weighted_dpo.cli.audit import audit
from trl_weighted_dpo.cli.calibrate import calibrate
from trl_weighted_dpo.cli.evaluate import evaluate
from trl_weighted_dpo.cli.mine import mine
from trl_weighted_dpo.cli.plan import plan
from trl_weighted_dpo.cli.plugins import plugins
from trl_weighted_dpo.cli.problems import problems
from trl_weighted_dpo.cli.run import run
from trl_weighted_dpo.cli.sample import sample
from trl_weighted_dpo.cli.score import score
from trl_weighted_dpo.cli.train import train
from trl_weighted_dpo.cli.verify import verify
from trl_weighted_dpo.cli.weigh import weigh

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Verifier-guided, hard-negative, per-pair weighted DPO for math."""


app.command()(run)
app.command()(problems)
app.command()(sample)
app.command()(verify)
app.command()(score)
app.command()(mine)
app.command()(audit)
app.command()(weigh)
# TRL's parser reads the arguments, --help included.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)(train)
app.command()(evaluate)
app.command()(plan)
app.command()(calibrate)
app.command()(plugins)


def main() -> None:
    """Entry point of the `weighted-dpo` script."""
    app()
