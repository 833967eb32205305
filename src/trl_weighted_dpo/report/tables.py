"""Tables for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def mining_table(report: Mapping[str, Any]) -> Table:
    """What became of a pool, from [`MiningReport.to_dict`][mining.pairing.MiningReport]."""
    table = Table(title="Mining", show_header=False, title_justify="left")
    table.add_row("problems", f"{report['problems']}")
    table.add_row("candidates", f"{report['candidates']}")
    for verdict, count in sorted(report["verdicts"].items()):
        table.add_row(f"  {verdict}", f"{count} ({count / report['candidates']:.1%})")
    for reason, count in sorted(report["problems_without_pairs"].items()):
        table.add_row(f"problems left out: {reason}", f"{count}")
    table.add_row("pairs", f"{report['pairs']}")
    return table


def weights_table(weighting: Mapping[str, Any]) -> Table:
    """The weights that a run trained with, from the `weighting` part of `weighted_dpo.json`."""
    table = Table(title="Weights", show_header=False, title_justify="left")
    settings, summary = weighting["settings"], weighting["summary"]
    table.add_row("scheme", f"{summary['scheme']} (λ = {settings['lambda_']})")
    table.add_row("pairs", f"{summary['pairs']}")
    table.add_row("mean, min, max", f"{summary['mean']:.3f}, {summary['min']:.3f}, {summary['max']:.3f}")
    table.add_row("effective sample size", f"{summary['ess']:.1%}")
    table.add_row("at a clip bound", f"{summary['clipped']:.1%}")
    return table
