"""What became of a pool when it was mined."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.mining.assessment import Assessed

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _numbers() -> "array[float]":
    return array("d")


@dataclass
class MiningReport:
    """Counts and distributions; eight bytes for each negative and 32 for each pair are kept.

    Args:
        problems, candidates (`int`): How many there are.
        verdicts (`Counter[str]`): Of the candidates that were looked at.
        unusable (`Counter[str]`): Candidates that can be neither chosen nor rejected, by reason.
        problems_without_pairs (`Counter[str]`): By reason.
        dropped (`Counter[str]`): Combinations of a chosen and a rejected candidate that were left out, by reason.
        pairs (`int`): How many were made.
        kinds, dimensions, bands (`Counter[str]`): Of the pairs: kind of the negative, dimensions that found something
            in it, band of its hardness.
        is_scored (`bool`): Whether there are scores, so that confidence enters hardness.
    """

    problems: int = 0
    candidates: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    problems_without_pairs: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    dimensions: Counter[str] = field(default_factory=Counter)
    bands: Counter[str] = field(default_factory=Counter)
    is_scored: bool = False
    _negatives: "array[float]" = field(default_factory=_numbers, repr=False)
    _hardness: "array[float]" = field(default_factory=_numbers, repr=False)
    _prefixes: "array[float]" = field(default_factory=_numbers, repr=False)
    _chosen_lengths: "array[float]" = field(default_factory=_numbers, repr=False)
    _rejected_lengths: "array[float]" = field(default_factory=_numbers, repr=False)

    def add_problem(self, assessed: Sequence[Assessed], hardness: Iterable[float]) -> None:
        """Count a problem; `hardness` is that of its negatives."""
        candidates = [one for one in assessed if one.index != schema.REFERENCE_INDEX]
        self.problems += 1
        self.candidates += len(candidates)
        for one in candidates:
            if one.unusable is None or one.unusable == "weak answer":
                self.verdicts[one.verdict] += 1
            if one.unusable is not None:
                self.unusable[one.unusable] += 1
            self.is_scored = self.is_scored or one.confidence is not None
        self._negatives.extend(hardness)

    def add_pair(self, pair: Mapping[str, Any]) -> None:
        """Count a pair that was made."""
        self.pairs += 1
        self.kinds[pair[schema.KIND]] += 1
        self.dimensions.update(pair[schema.REJECTED_DIMENSIONS])
        self.bands[pair[schema.HARDNESS_BAND]] += 1
        self._hardness.append(pair[schema.HARDNESS])
        self._prefixes.append(pair[schema.SHARED_PREFIX])
        self._chosen_lengths.append(pair[schema.CHOSEN_LENGTH])
        self._rejected_lengths.append(pair[schema.REJECTED_LENGTH])

    @property
    def negatives(self) -> "array[float]":
        """Hardness of every negative of the pool."""
        return self._negatives

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON types; quantiles are those of `QUANTILES`, `None` where there is nothing.

        `longer_rejected` is the share of pairs whose rejected completion is the longer one, ties half: the AUROC of
        length within pairs, 0.5 if length tells nothing.
        """
        counters = {
            name: dict(sorted(value.items(), key=lambda item: (-item[1], item[0])))
            for name, value in vars(self).items()
            if isinstance(value, Counter)
        }
        chosen, rejected = np.asarray(self._chosen_lengths), np.asarray(self._rejected_lengths)
        return {
            "problems": self.problems,
            "candidates": self.candidates,
            "pairs": self.pairs,
            "is_scored": self.is_scored,
            **{name: {key: count for key, count in value.items() if count} for name, value in counters.items()},
            "hardness": {"negatives": _quantiles(self._negatives), "pairs": _quantiles(self._hardness)},
            "lengths": {
                "unit": "tokens" if self.is_scored else "characters",
                "chosen": _quantiles(self._chosen_lengths),
                "rejected": _quantiles(self._rejected_lengths),
                "longer_rejected": float(np.mean((rejected > chosen) + 0.5 * (rejected == chosen)))
                if self.pairs
                else None,
            },
            "shared_prefix": float(np.mean(self._prefixes)) if self.pairs else None,
        }


def _quantiles(values: Sequence[float]) -> list[float] | None:
    return np.quantile(np.asarray(values), QUANTILES).tolist() if len(values) else None
