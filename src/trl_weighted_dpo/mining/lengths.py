"""Pairs that cannot be told apart by length: the longer completion is as often chosen as rejected."""

import math
from collections import defaultdict
from collections.abc import Sequence

BIN_WIDTH = 0.1
"""Width of a bin of log length ratios: lengths within 10 % of each other count as equally different."""


def log_ratio(chosen: int, rejected: int) -> float:
    """log((rejected + 1) / (chosen + 1)): above 0 where the rejected completion is longer."""
    return math.log((rejected + 1) / (chosen + 1))


def matched_pairs(differences: Sequence[float], hardness: Sequence[float], ties: Sequence[int]) -> list[bool]:
    """Which pairs to keep so that rejected completions are longer as often as they are shorter, by as much.

    Within each bin of `|log ratio|`, as many pairs are kept of the side that has more as there are of the other. Ours:
    matching in bins makes the distribution of the difference symmetric, so that no threshold on it tells the chosen
    completion; dropping is the only way that invents no text.

    Args:
        differences (`Sequence[float]`): [`log_ratio`] of each pair.
        hardness (`Sequence[float]`): Of each pair; the hardest are kept.
        ties (`Sequence[int]`): Decide among equally hard pairs, the smallest first.

    Returns:
        One boolean for each pair.
    """
    sides: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    keep = [difference == 0.0 for difference in differences]
    for place, difference in enumerate(differences):
        if difference:
            sides[int(abs(difference) / BIN_WIDTH)][difference > 0].append(place)
    for shorter, longer in sides.values():
        count = min(len(shorter), len(longer))
        for side in (shorter, longer):
            for place in sorted(side, key=lambda place: (-hardness[place], ties[place]))[:count]:
                keep[place] = True
    return keep
