"""What sampling made, for the terminal."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from trl_weighted_dpo.sampling.files import SamplingReport


def sampling_table(report: "SamplingReport") -> Table:
    """What became of the problems, and how fast."""
    table = Table(title="Sampling", show_header=False, title_justify="left")

    def add(name: str, count: int) -> None:
        table.add_row(name, f"{count} ({count / report.samples:.1%})")

    table.add_row("problems", f"{report.problems}")
    table.add_row("samples", f"{report.samples}")
    if report.resumed:
        add("  of an earlier run", report.resumed)
    add("  distinct", report.distinct)
    add("  truncated", report.truncated)
    table.add_row("tokens", f"{report.tokens} ({report.tokens / report.samples:.0f} each)")
    if report.new_tokens:
        table.add_row("speed", f"{report.new_tokens / report.seconds:.0f} tokens/s")
    return table
