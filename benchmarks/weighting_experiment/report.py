"""The tables and the figure, from the runs and the gradients that lie in the experiment's folder."""

import json
import platform
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .arms import SFT, Arm
from .statistics import Difference, Seeds, accuracy, difference, rank_correlation

LIBRARIES = ("trl", "transformers", "torch")


@dataclass
class Runs:
    """The runs of an arm: which problems were solved, by set and seeds, and what was logged."""

    arm: Arm
    solved: dict[str, dict[Seeds, str]] = field(default_factory=lambda: defaultdict(dict))
    logged: list[dict[str, Any]] = field(default_factory=list)

    def mean(self, name: str) -> float | None:
        values = [record[name] for record in self.logged if name in record]
        return float(np.mean(values)) if values else None

    def fault(self, name: str, kind: str) -> float:
        """Share of all problems of a set whose solution has this fault, in percent."""
        shares = [100 * record["faults"][name][kind] / len(record["solved"][name]) for record in self.logged]
        return float(np.mean(shares))


def gather(records: Iterable[dict[str, Any]], step: str) -> dict[Arm, Runs]:
    found: dict[Arm, Runs] = {}
    for record in records:
        if record["step"] != step:
            continue
        arm = Arm(**record["arm"])
        runs = found.setdefault(arm, Runs(arm))
        runs.logged.append(record)
        for name, solved in record["solved"].items():
            runs.solved[name][record["sft_seed"], record["pair_seed"]] = solved
    return found


def against_sft(runs: Runs, sft: Runs, name: str) -> Difference:
    """A screening has one run for each SFT model, under that model's own pair seed."""
    of_model = {(model, 0): solved for (model, _), solved in sft.solved[name].items()}
    return difference(runs.solved[name], of_model)


def arms_table(found: dict[Arm, Runs], name: str, harder: str | None = None) -> list[str]:
    columns = ["arm", f"{name}, %", "against SFT"] + [f"{harder}: against SFT"] * bool(harder)
    columns += ["misconceptions / slips / other, %", "displacement chosen / rejected, nats", "ESS"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    sft = found[SFT]
    ordered = sorted(found.values(), key=lambda runs: -accuracy(runs.solved[name]))
    for runs in ordered:
        cells = [runs.arm.name, f"{accuracy(runs.solved[name]):.1f}"]
        for problems in (name, harder) if harder else (name,):
            is_sft = runs.arm == SFT
            cells.append(f"{accuracy(sft.solved[problems]):.1f} %" if is_sft else against_sft(runs, sft, problems).text)
        cells.append(" / ".join(f"{runs.fault(name, kind):.1f}" for kind in ("misconception", "slip", "other")))
        chosen, rejected, share = (
            runs.mean(key) for key in ("chosen_displacement", "rejected_displacement", "effective_share")
        )
        cells.append("" if chosen is None else f"{chosen:+.1f} / {rejected:+.1f}")
        cells.append("" if share is None else f"{share:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def comparisons(found: dict[Arm, Runs], pairs: Iterable[tuple[str, Arm, Arm]]) -> list[str]:
    lines = ["| comparison | test, points | for each SFT model | harder, points |", "|---|---|---|---|"]
    for label, first, second in pairs:
        if first not in found or second not in found:
            continue
        one, other = found[first], found[second]
        cells = [label, difference(one.solved["test"], other.solved["test"]).text]
        models = sorted({model for model, _ in one.solved["test"]})
        each = []
        for model in models:
            mine = {seeds: solved for seeds, solved in one.solved["test"].items() if seeds[0] == model}
            each.append(f"{difference(mine, other.solved['test'], resamples=2).mean:+.1f}")
        cells += [" / ".join(each), difference(one.solved["harder"], other.solved["harder"]).text]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def why_table(folder: Path) -> list[str]:
    files = sorted(folder.glob("why-*.json"))
    measured = [json.loads(file.read_text()) for file in files]
    lines = []
    for strategy in ("random", "hard"):
        lines += [
            f"\n{strategy} negatives: rank correlation (Spearman) of the weights with",
            "",
            "| weights by | gradient norm | first-order gain in accuracy | gain, weighted / uniform |",
            "|---|---|---|---|",
        ]
        names = [*measured[0][strategy]["weights"], "hardness"]
        for name in names:
            values = [of[strategy]["weights"].get(name, of[strategy]["hardness"]) for of in measured]
            cells = [name]
            for target in ("gradient_norm", "gain"):
                found = [rank_correlation(v, of[strategy][target]) for v, of in zip(values, measured, strict=True)]
                cells.append(" / ".join(f"{one.mean:+.2f} ({one.lower:+.2f} to {one.upper:+.2f})" for one in found))
            ratios = [
                np.average(of[strategy]["gain"], weights=v) / np.mean(of[strategy]["gain"])
                for v, of in zip(values, measured, strict=True)
            ]
            cells.append(" / ".join(f"{ratio:.2f}" for ratio in ratios))
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", *fault_lines([of[strategy] for of in measured])]
    return lines


def fault_lines(measured: list[dict[str, Any]]) -> list[str]:
    """What the rejected solutions' faults are, and what they weigh and gain."""
    lines = [
        "| fault of the rejected | share of pairs | of the weight (verifier) | (confidence_gap) | gain, relative |",
        "|---|---|---|---|---|",
    ]
    for kind in ("misconception", "slip", "other"):
        shares, heavy, gaps, gains = [], [], [], []
        for of in measured:
            inside = np.array([fault == kind for fault in of["fault"]])
            shares.append(inside.mean())
            heavy.append(np.average(inside, weights=of["weights"]["verifier"]))
            gaps.append(np.average(inside, weights=of["weights"]["confidence_gap"]))
            gain = np.array(of["gain"])
            gains.append(gain[inside].mean() / gain.mean() if inside.any() else float("nan"))
        cells = [kind, *(f"{np.mean(values):.2f}" for values in (shares, heavy, gaps, gains))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def figure(found: dict[Arm, Runs], path: Path) -> None:
    """Change against the SFT model for each finalist, on the test and on the harder problems."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sft = found[SFT]
    arms = sorted((runs for arm, runs in found.items() if arm != SFT), key=lambda runs: accuracy(runs.solved["test"]))
    plot, axes = pyplot.subplots(figsize=(8, 0.5 * len(arms) + 1.2), layout="constrained")
    for shift, (name, colour) in zip((0.12, -0.12), (("test", "#1f6f8b"), ("harder", "#e08e45")), strict=True):
        found_here = [against_sft(runs, sft, name) for runs in arms]
        means = [one.mean for one in found_here]
        errors = [[one.mean - one.lower for one in found_here], [one.upper - one.mean for one in found_here]]
        places = [place + shift for place in range(len(arms))]
        label = f"{name} problems (SFT {accuracy(sft.solved[name]):.1f} %)"
        axes.errorbar(means, places, xerr=errors, fmt="o", color=colour, label=label, capsize=3)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(arms)), [runs.arm.name for runs in arms])
    axes.set_xlabel("change against the SFT model, points (95 % intervals)")
    axes.legend(loc="best", frameon=False)
    plot.savefig(path)


def header() -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [f"Made with `python -m benchmarks.weighting_experiment`, on {platform.machine()}, Python "
            f"{platform.python_version()}, {versions}, one thread for each run."]  # fmt: skip


def write(folder: Path, output: Path) -> None:
    """weighting_experiment.md and its figure."""
    from .__main__ import read_runs
    from .finalists import COMPARISONS

    records = read_runs(folder)
    lines = ["# Does weighting help, and do hard negatives?", "", *header()]
    screened, final = gather(records, "screen"), gather(records, "final")
    if final:
        lines += ["", "## Finalists", "", *arms_table(final, "test", "harder")]
        lines += ["", *comparisons(final, COMPARISONS)]
        figure(final, output.parent.parent / "docs" / "figures" / "weighting_experiment.svg")
    if list(folder.glob("why-*.json")):
        lines += ["", "## Why", *why_table(folder)]
    if screened:
        lines += ["", "## Screening", "", *arms_table(screened, "validation")]
    seconds = sum(record["seconds"] for record in records)
    lines += ["", f"{len(records)} runs, {seconds / 3600:.1f} processor hours."]
    (output / "weighting_experiment.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
