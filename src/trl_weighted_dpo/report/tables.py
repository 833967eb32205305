"""Tables for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from trl_weighted_dpo.report.text import one_line


def calibration_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """Weights, cross-validated figures and reliability, from what [`verifier.calibration.calibrate`] returns."""
    cases = {case: content[f"{case}_reference_solution"] for case in ("with", "without")}
    table = Table(title="Weights of wrongness: what a score adds to the log-odds", title_justify="left")
    table.add_column("reference solution:\nscore:", no_wrap=True)
    for case in cases:
        for score in (1, 0):
            table.add_column(f"{case}\n{score}", justify="right")
    for name in content["with_reference_solution"]["weights"]:
        parts = [case["weights"][name] for case in cases.values()]
        table.add_row(name, *(f"{v:+.2f}" for part in parts for v in (part["present"], -part["absent"])))
    table.add_row("(bias)", *(cell for case in cases.values() for cell in (f"{case['bias']:+.2f}", "")))
    yield table

    validation = content["cross_validation"]
    views = {"all": validation["all"], **validation["views"]}
    table = Table(title=f"Cross-validated by problem, {validation['folds']} folds", title_justify="left")
    for name in ("reference", "examples", "wrong", "log-loss", "Brier", "ECE", "AUROC"):
        table.add_column(name, justify="left" if name == "reference" else "right", no_wrap=True)
    for name, figures in views.items():
        keys = ("log_loss", "brier_score", "calibration_error", "auroc")
        cells = ("-" if figures[key] is None else f"{figures[key]:.3f}" for key in keys)
        table.add_row(name, f"{figures['examples']}", f"{figures['wrong'] / figures['examples']:.1%}", *cells)
    yield table

    table = Table(title="Reliability", title_justify="left")
    for name in ("examples", "wrongness", "wrong"):
        table.add_column(name, justify="right")
    for bin in validation["all"]["reliability"]:
        table.add_row(f"{bin['count']}", f"{bin['predicted']:.3f}", f"{bin['observed']:.3f}")
    yield table


def verification_table(report: Mapping[str, Any], seconds: float) -> Table:
    """What became of verified solutions, from [`VerificationReport.to_dict`][verifier.many.VerificationReport], and how
    fast they were verified."""
    solutions = report["solutions"]
    table = Table(title="Verification", show_header=False, title_justify="left")

    def add(name: str, count: int, of: int) -> None:
        table.add_row(Text(name), f"{count} ({count / of:.1%})" if of else "0")

    table.add_row("solutions", f"{solutions}")
    if report["resumed"]:
        add("  of an earlier run", report["resumed"], solutions)
    for verdict, count in report["verdicts"].items():
        add(f"  {verdict}", count, solutions)
    for reason, count in report["undecided"].items():
        add(f"    {one_line(reason)}", count, solutions)
    table.add_row("with evidence, of those checked", "")
    for dimension, count in report["found"].items():
        checked = report["checked"][dimension]
        table.add_row(f"  {dimension}", f"{count} of {checked} ({count / checked:.1%})" if checked else "not checked")
    fresh = solutions - report["resumed"]
    if fresh:
        table.add_row("speed", f"{fresh / seconds:.0f} solutions/s")
    return table
