"""What scoring found, for the terminal."""

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

if TYPE_CHECKING:
    from trl_weighted_dpo.scoring.files import ScoringReport

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def scoring_table(report: "ScoringReport", tokens_read: int, seconds: float) -> Table:
    """What became of a pool, and how fast.

    Args:
        report ([`~scoring.files.ScoringReport`]):
            Counts over all rows.
        tokens_read (`int`):
            Tokens that went through the model in this run, in all processes; prompts included, padding not.
        seconds (`float`):
            How long that took.
    """
    table = Table(title="Scoring", show_header=False, title_justify="left")

    def add(name: str, count: int) -> None:
        table.add_row(name, f"{count} ({count / report.candidates:.1%})")

    table.add_row("problems", f"{report.problems}")
    table.add_row("  with a scored reference", f"{report.references}")
    table.add_row("candidates", f"{report.candidates}")
    if report.candidates:
        add("  truncated", report.truncated)
    if report.without_tokens:
        add("  cut before the first token", report.without_tokens)
    if report.unreadable:
        add("  no valid Unicode: not scored", report.unreadable)
    scored = len(report.confidence)
    per_candidate = f" ({report.tokens / scored:.0f} each)" if scored else ""
    table.add_row("completion tokens", f"{report.tokens}{per_candidate}")
    if scored:
        table.add_row("quantiles", "".join(f"{share:>8.0%}" for share in QUANTILES))
        for name, values in (("confidence", report.confidence), ("perplexity", report.perplexity)):
            found = np.quantile(np.frombuffer(values), QUANTILES)
            table.add_row(f"  {name}", "".join(f"{value:>8.3g}" for value in found))
    if tokens_read:
        table.add_row("speed", f"{tokens_read / seconds:.0f} tokens/s, prompts included")
    return table
