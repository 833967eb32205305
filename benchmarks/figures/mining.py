"""Draws the plot of docs/mining.md from the formulas themselves.

    python benchmarks/figures/mining.py

Needs the extra `plots`.
"""

from fractions import Fraction
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from trl_weighted_dpo.mining.hardness import HardnessConfig, flaw, hardness_signals, product
from trl_weighted_dpo.mining.outline import Outline, ProximityParts, proximity_parts

FIGURE = Path(__file__).resolve().parents[2] / "docs" / "figures" / "hardness.svg"


def answer_proximity(a: float, b: float) -> float:
    one, other = (Outline((), (), (), (), str(value), Fraction(value)) for value in (a, b))
    near = proximity_parts(one, other).answer
    assert near is not None
    return near


def main() -> None:
    # Text stays text, and ids do not change from run to run.
    plt.rcParams.update({"svg.hashsalt": "hardness", "svg.fonttype": "none", "font.size": 8})
    config = HardnessConfig()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.0, 2.7), layout="constrained")
    ratios = np.linspace(-1.0, 5.0, 121)
    left.plot(ratios, [answer_proximity(100.0, 100.0 * ratio) for ratio in ratios])
    left.set(xlabel="answer / right answer", ylabel="proximity of answers", ylim=(0, 1.02))
    severities = np.linspace(1 / 6, 1.0, 50)
    for absurdity in (0.0, 0.5, 1.0):
        middle.plot(severities, [flaw(1.0, severity, absurdity, config) for severity in severities])
        middle.annotate(f"absurdity {absurdity:g}", (0.2, flaw(1.0, 0.2, absurdity, config) + 0.07))
    middle.set(xlabel="severity", ylabel="flaw, at wrongness 1", ylim=(0, 1.1))
    grid = np.linspace(0.0, 1.0, 41)

    def hardness(confidence: float, near: float) -> float:
        return product(hardness_signals(confidence, ProximityParts(near, near, near, near), 1.0, 0.2, 0.3, config))

    values = np.array([[hardness(confidence, near) for near in grid] for confidence in grid])
    lines = right.contour(grid, grid, values, levels=np.arange(0.05, 0.5, 0.05))
    right.clabel(lines, fontsize=6)
    right.set(xlabel="proximity", ylabel="confidence", title="hardness, at flaw 0.5")
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
