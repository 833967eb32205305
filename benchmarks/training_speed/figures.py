"""Medians and ratios of what was measured in turns."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median, least and most of some measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int, factor: float = 1.0) -> str:
        """`median (least-most)`, each times a factor."""
        median, least, most = (f"{value * factor:.{digits}f}" for value in (self.median, self.least, self.most))
        return f"{median} ({least}–{most})"


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Theirs in units of ours, round by round, so that what slows a whole round down cancels out.

    Raises:
        `ValueError`: If there are not as many of the one as of the other.
    """
    return Spread.of([their / our for their, our in zip(theirs, ours, strict=True)])


def peak(changes: Sequence[int]) -> int:
    """The highest of the running sums of changes in bytes, 0 at least."""
    total = highest = 0
    for change in changes:
        total += change
        highest = max(highest, total)
    return highest
