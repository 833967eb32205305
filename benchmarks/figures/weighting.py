"""Draws the plots of docs/weighting.md from the formulas themselves.

    python benchmarks/figures/weighting.py

Needs the extra `plots`. The same code and the same matplotlib give the same bytes.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.weighting import RAW_WEIGHTS, WeightingConfig, compute_weights
from trl_weighted_dpo.weighting.schemes import RELATIVE_NLL

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "figures"
PAIRS = 150


def raw_weights() -> Figure:
    """Each scheme's raw weight against what it reads."""
    figure, axes = plt.subplots(2, 3, figsize=(9, 5), sharey=False)
    share = np.linspace(0.0, 1.0, 49)
    half = np.full_like(share, 0.5)
    draw(
        axes[0, 0],
        share,
        "wrongness",
        {schema.REJECTED_WRONGNESS: share},
        "its signal",
        "wrongness, severity, absurdity",
    )
    columns = {schema.REJECTED_CONFIDENCE: share, schema.CHOSEN_CONFIDENCE: half}
    draw(axes[0, 1], share - half, "confidence_gap", columns, "conf(rejected) − conf(chosen)")
    relative = np.linspace(0.0, 5.0, 49)
    draw(axes[0, 2], relative, "perplexity", {RELATIVE_NLL: relative}, "nll / median(nll)")
    margin = np.linspace(-6.0, 6.0, 49)
    draw(axes[1, 0], margin, "reward_margin", {schema.REWARD_MARGIN: margin}, "reward(chosen) − reward(rejected)")
    for severity in (1 / 6, 1 / 2):
        for gap in (0.0, 0.4):
            columns = {
                schema.REJECTED_SEVERITY: np.full_like(relative, severity),
                schema.CHOSEN_CONFIDENCE: np.full_like(relative, 0.5),
                schema.REJECTED_CONFIDENCE: np.full_like(relative, 0.5 + gap),
                RELATIVE_NLL: relative,
            }
            label = f"severity {severity:.2f}, gap {gap:g}"
            draw(axes[1, 1], relative, "verifier", columns, "nll / median(nll)", label=label)
    axes[1, 1].legend(fontsize=7)
    normalised = np.linspace(0.0, 5.0, 51)
    turned = 1.0 / np.maximum(normalised, 1.0 / WeightingConfig().clip_max)
    axes[1, 2].plot(normalised, turned)
    axes[1, 2].set(title="inverse", xlabel="r / mean(r)", ylabel="r'")
    return figure


def draw(
    axes: Axes,
    x: np.ndarray,
    scheme: str,
    columns: dict[str, np.ndarray],
    signal: str,
    title: str | None = None,
    label: str | None = None,
) -> None:
    axes.plot(x, RAW_WEIGHTS[scheme](columns, WeightingConfig()), label=label)
    axes.set(title=title or scheme, xlabel=signal, ylabel="r")


def clip_and_interpolate() -> Figure:
    """From the normalised raw weight to u and to w before the last division."""
    config = WeightingConfig()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    x = np.linspace(0.0, 7.0, 701)
    u = np.clip(x, config.clip_min, config.clip_max)
    axes[0].plot(x, u)
    axes[0].set(title="clip", xlabel="r / mean(r)", ylabel="u")
    for lambda_ in (0.0, 0.3, 1.0):
        axes[1].plot(x, 1.0 + lambda_ * (u - 1.0), label=f"λ = {lambda_:g}")
    axes[1].set(title="interpolate", xlabel="r / mean(r)", ylabel="1 + λ (u − 1)")
    axes[1].legend()
    return figure


def controls() -> Figure:
    """Weights of the controls against those of `verifier`, on pairs with random signals."""
    random = np.random.RandomState(0)
    columns = {
        schema.REJECTED_SEVERITY: random.randint(1, 5, PAIRS) / 6,
        schema.CHOSEN_CONFIDENCE: random.beta(8, 2, PAIRS),
        schema.REJECTED_CONFIDENCE: random.beta(8, 2, PAIRS),
        schema.REJECTED_NLL: random.gamma(4.0, 0.1, PAIRS),
    }
    weights = {
        scheme: compute_weights(columns, PAIRS, WeightingConfig(scheme=scheme))[0]
        for scheme in ("verifier", "inverse", "shuffled")
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharex=True, sharey=True)
    for place, scheme in zip(axes, ("inverse", "shuffled"), strict=True):
        place.scatter(weights["verifier"], weights[scheme], s=4)
        place.set(title=scheme, xlabel="weight by verifier", ylabel="weight")
    return figure


def main() -> None:
    mpl.use("svg")
    # Text as text: smaller, and readable by a search. A fixed salt and no date: the same bytes each time.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weighting", "axes.titlesize": 10, "font.size": 9})
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, figure in (("raw", raw_weights()), ("interpolate", clip_and_interpolate()), ("controls", controls())):
        for axes in figure.axes:
            axes.locator_params(nbins=4)
        figure.tight_layout()
        figure.savefig(FOLDER / f"weighting-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
