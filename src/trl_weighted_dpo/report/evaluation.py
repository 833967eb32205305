"""Tables of an evaluation."""

from collections.abc import Iterable, Iterator, Mapping
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
        undecided = [f"{own['verdicts']['undecided']} {m}" for m, own in model["measures"].items() if _counts(own)]
        table.add_row(Text(one_line(name)), *cells, "\n".join(undecided))
    return table


def _counts(measure: Mapping[str, Any]) -> bool:
    return "verdicts" in measure


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
    measures = _measures(slice_["groups"].values())
    for model in models:
        for measure in measures:
            table.add_column(f"{one_line(model)}\n{measure}", justify="right")
    for measure in measures:
        for model in models[1:]:
            table.add_column(f"{one_line(model)}\n{measure}, difference", justify="right")
    for name, group in slice_["groups"].items():
        cells = [_estimate(group["measures"].get(model, {}).get(measure)) for model in models for measure in measures]
        found = {(own["measure"], own["model"]): own for own in group["comparisons"]}
        changes = [found.get((measure, model)) for measure in measures for model in models[1:]]
        shown = ["-" if own is None else _difference(own) for own in changes]
        table.add_row(Text(one_line(name)), str(group["problems"]), *cells, *shown)
    return table


def _measures(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for model in group["measures"].values() for name in model))


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
