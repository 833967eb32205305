"""Tables of an evaluation."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from trl_weighted_dpo.report.text import one_line


def evaluation_tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Models, comparisons and slices, from [`~evaluation.evaluating.Evaluation.report`]."""
    level = f"{report['settings']['confidence']:.0%}"
    yield _models(report, level)
    if report["comparisons"]:
        yield _comparisons(report, level)
    for slice_ in report["slices"]:
        yield _slice(slice_, report, level)


def _models(report: Mapping[str, Any], level: str) -> Table:
    measures = dict.fromkeys(name for model in report["models"].values() for name in model["measures"])
    title = f"{report['problems']['count']} problems, in % with {level} intervals"
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in measures:
        table.add_column(name, justify="right")
    table.add_column("undecided", justify="right")
    for name, model in report["models"].items():
        cells = [_estimate(model["measures"].get(measure)) for measure in measures]
        counted = {m: own["verdicts"] for m, own in model["measures"].items() if "verdicts" in own}
        undecided = [f"{measure} {verdicts['undecided']}" for measure, verdicts in counted.items()]
        table.add_row(Text(one_line(name)), *cells, "\n".join(undecided))
    return table


def _comparisons(report: Mapping[str, Any], level: str) -> Table:
    table = Table(title=f"Against {one_line(report['baseline'])}, on the same problems", title_justify="left")
    for name in ("measure", "model"):
        table.add_column(name, overflow="fold")
    for name in (f"difference, {level}", "gained", "lost", "p (McNemar)", "p (Holm)"):
        table.add_column(name, justify="right")
    for own in report["comparisons"]:
        tested = [str(own["gained"]), str(own["lost"]), _p(own["p"]), _p(own["p_holm"])] if "p" in own else ["-"] * 4
        table.add_row(own["measure"], Text(one_line(own["model"])), _difference(own), *tested)
    return table


def _slice(slice_: Mapping[str, Any], report: Mapping[str, Any], level: str) -> Table:
    title = f"By {slice_['slice']} ({one_line(slice_['by'])})"
    if "made_from" in slice_:
        title += f", from {slice_['made_from']}, measured on {slice_['measured_on']}"
    table = Table(title=f"{title}; in % with {level} intervals", title_justify="left")
    if not slice_["is_independent"]:
        table.caption = (
            "The groups were picked by the outcomes that are measured: differences from the baseline regress to the "
            "mean and show no effect. Give samples and greedy candidates."
        )
        table.caption_justify = "left"
    for name in ("group", "problems"):
        table.add_column(name, justify="left" if name == "group" else "right")
    models = list(report["models"])
    # The first measure alone: the report has the others.
    measure = next(name for group in slice_["groups"].values() for own in group["measures"].values() for name in own)
    for model in models:
        table.add_column(f"{one_line(model)}\n{measure}", justify="right")
    for model in models[1:]:
        table.add_column(f"{one_line(model)}\ndifference", justify="right")
    for name, group in slice_["groups"].items():
        cells = [_estimate(group["measures"].get(model, {}).get(measure)) for model in models]
        found = {own["model"]: own for own in group["comparisons"] if own["measure"] == measure}
        changes = [_difference(found[model]) if model in found else "-" for model in models[1:]]
        table.add_row(Text(one_line(name)), str(group["problems"]), *cells, *changes)
    return table


def _estimate(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return "-"
    if measure["interval"] is None:
        return f"{100 * measure['value']:.1f}"
    low, high = measure["interval"]
    return f"{100 * measure['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _difference(own: Mapping[str, Any]) -> str:
    if own["interval"] is None:
        return f"{100 * own['difference']:+.1f}"
    low, high = own["interval"]
    return f"{100 * own['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.0e}"
