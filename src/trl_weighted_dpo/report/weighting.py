"""Weights for the terminal: figures of one scheme or of several, histograms, pairs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from trl_weighted_dpo.report.text import one_line
from trl_weighted_dpo.settings.weighting import CONTROLS

_BAR = 40


def weights_table(weighting: Mapping[str, Any]) -> Table:
    """Figures of the weights of one scheme; `weighting` as for [`weight_figures`]."""
    table = Table(title="Weights", show_header=False, title_justify="left")
    for name, value in weight_figures(weighting):
        table.add_row(name, Text(value))
    return table


def weight_figures(weighting: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person should know of the weights of one scheme: pairs of name and value, as text.

    Args:
        weighting (`Mapping[str, Any]`):
            With `settings`, `statistics` and `summary`, as the `weighting` part of `weighted_dpo.json`. A stream has no
            summary: then the scheme only.
    """
    scheme = ("scheme", f"{_name(weighting)} (λ = {weighting['settings']['lambda_']})")
    summary = weighting["summary"]
    if summary is None:
        return [scheme]
    figures = [
        scheme,
        ("pairs", f"{summary['pairs']}"),
        ("mean, min, max", f"{summary['mean']:.3f}, {summary['min']:.3f}, {summary['max']:.3f}"),
        ("effective sample size", f"{summary['ess']:.1%}"),
        ("weight of the heaviest tenth", f"{summary['top_decile']:.1%}"),
    ]
    if summary["ess_u"] is not None:
        figures += [
            ("effective sample size of u", f"{summary['ess_u']:.1%}"),
            ("u at clip_min, at clip_max", f"{summary['at_clip_min']:.1%}, {summary['at_clip_max']:.1%}"),
        ]
    return figures


def comparison_table(weightings: Sequence[Mapping[str, Any]]) -> Table:
    """Figures of the weights of several schemes, a row for each.

    Args:
        weightings (`Sequence[Mapping[str, Any]]`):
            Each as for [`weights_table`]; those after the first may have a `rank_correlation` with it.
    """
    settings, summary = weightings[0]["settings"], weightings[0]["summary"]
    title = f"Weights of {summary['pairs']} pairs, λ = {settings['lambda_']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = ("mean", "min", "max", "ESS\nof w", "ESS\nof u", "u at\nmin", "u at\nmax", "top\n10%", "rank\ncorr.")
    table.add_column("scheme", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for weighting in weightings:
        summary = weighting["summary"]
        of_u = [_share(summary[name], summary["ess_u"]) for name in ("ess_u", "at_clip_min", "at_clip_max")]
        correlation = weighting.get("rank_correlation")
        table.add_row(
            Text(_name(weighting)),
            *(f"{summary[name]:.2f}" for name in ("mean", "min", "max")),
            f"{summary['ess']:.0%}",
            *of_u,
            f"{summary['top_decile']:.0%}",
            "-" if correlation is None else f"{correlation:+.2f}",
        )
    return table


def _share(value: float | None, ess_u: float | None) -> str:
    return "-" if ess_u is None else f"{value:.0%}"


def _name(weighting: Mapping[str, Any]) -> str:
    scheme = str(weighting["statistics"]["scheme"])
    return f"{scheme} of {weighting['settings']['control_of']}" if scheme in CONTROLS else scheme


def histogram_table(histogram: Mapping[str, Any], title: str) -> Table:
    """A histogram with bars; arguments as for [`histogram_rows`], and what is counted."""
    table = Table(title=title, show_header=False, title_justify="left")
    for row in histogram_rows(histogram):
        table.add_row(*row)
    return table


def histogram_rows(histogram: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Bins of a histogram as text: from where to where, the count, and a bar.

    Args:
        histogram (`Mapping[str, Any]`):
            As [`~weighting.Histogram`] in plain types: `edges`, one more than `counts`, or one value twice.
    """
    most = max(histogram["counts"])
    edges = histogram["edges"]
    for low, high, count in zip(edges, edges[1:], histogram["counts"], strict=False):
        yield f"{low:.3f} to {high:.3f}", f"{count}", "█" * round(_BAR * count / most)


def pairs_table(pairs: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Pairs with weight, row and signals, a row for each. Signals that none of them has are left out; the
    others are those of the rejected completion, but for `chosen_confidence`.

    Args:
        pairs (`Sequence[Mapping[str, Any]]`): Each with `row`, `problem_id`, `weight` and `signals`, by name.
        title (`str`): Which pairs they are.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    names = [name for name in pairs[0]["signals"] if any(pair["signals"][name] is not None for pair in pairs)]
    for name in ("weight", "row", "problem_id", *names):
        heading = name.removeprefix("rejected_").replace("_", "\n")
        table.add_column(heading, justify="left" if name == "problem_id" else "right", overflow="fold")
    for pair in pairs:
        signals = ("-" if (value := pair["signals"][name]) is None else f"{value:.4g}" for name in names)
        identity = "-" if pair["problem_id"] is None else one_line(str(pair["problem_id"]))
        table.add_row(f"{pair['weight']:.3f}", f"{pair['row']}", Text(identity), *signals)
    return table
