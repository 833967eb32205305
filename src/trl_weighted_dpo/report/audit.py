"""An audit for the terminal."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from trl_weighted_dpo.audit.report import AuditReport, CheckResult, Status
from trl_weighted_dpo.report.text import one_line

_STYLES = {Status.PASS: "green", Status.WARN: "yellow", Status.FAIL: "red", Status.SKIPPED: "dim"}


def audit_table(report: AuditReport) -> Table:
    """One line for each check; [`audit_notes`] go under it."""
    table = Table(
        title=f"Audit of {report.pairs} pairs", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in ("check", "result", "found", "bad if"):
        table.add_column(name, justify="right" if name == "found" else "left", no_wrap=name != "bad if")
    for check in report.checks:
        status = Text(check.status.value, style=_STYLES[check.status])
        table.add_row(check.name, status, _found(check), check.threshold)
    return table


def audit_notes(report: AuditReport) -> Iterator[Text]:
    """What a person should know beside the table, as `name: note`."""
    for check in report.checks:
        if check.note:
            yield Text.assemble((check.name, _STYLES[check.status]), f": {one_line(check.note)}")


def _found(check: CheckResult) -> str:
    return f"{check.count} of {check.of} ({check.share:.2%})" if check.of and not check.figures else ""


def audit_examples(report: AuditReport) -> Iterator[Text]:
    """What is wrong with the first rows of each check that found some."""
    for check in report.checks:
        if check.examples:
            yield Text.assemble("\n", (check.name, _STYLES[check.status]))
        for example in check.examples:
            name = "" if example.problem_id is None else f" ({one_line(example.problem_id)})"
            yield Text(f"  row {example.row}{name}: {one_line(example.detail)}")
            yield Text(f"      {one_line(example.excerpt)}", style="dim")
