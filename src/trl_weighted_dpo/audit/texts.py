"""Checks of the texts alone: identical, prefix, duplicate, contradiction."""

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo.audit.pairs import Pair, text_digest
from trl_weighted_dpo.audit.report import CheckResult, tally_of
from trl_weighted_dpo.settings.audit import AuditConfig


class TextChecks:
    """Looks at one pair after the other; keeps 56 bytes of each."""

    def __init__(self, config: AuditConfig) -> None:
        self._identical, self._prefix = tally_of(config, "identical"), tally_of(config, "prefix")
        self._duplicate, self._contradiction = tally_of(config, "duplicate"), tally_of(config, "contradiction")
        self._rows = array("q")
        self._whole, self._chosen, self._rejected = bytearray(), bytearray(), bytearray()

    def add(self, pair: Pair) -> None:
        """Looks at a pair."""
        self._identical.of += 1
        self._prefix.of += 1
        if pair.chosen_key == pair.rejected_key:
            self._identical.add(pair.row, "chosen and rejected are the same but for case and white space")
        elif _begins(pair.chosen_key, pair.rejected_key):
            self._prefix.add(pair.row, "chosen goes on where rejected ends")
        elif _begins(pair.rejected_key, pair.chosen_key):
            self._prefix.add(pair.row, "rejected goes on where chosen ends")
        self._rows.append(pair.row)
        self._whole += text_digest(pair.prompt_key, pair.chosen_key, pair.rejected_key)
        self._chosen += text_digest(pair.prompt_key, pair.chosen_key)
        self._rejected += text_digest(pair.prompt_key, pair.rejected_key)

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at."""
        yield self._identical.result()
        yield self._prefix.result()
        self._duplicate.of = self._contradiction.of = len(self._rows)
        first = _first_of_each(_digests(self._whole))
        for position in np.flatnonzero(first != np.arange(len(first))):
            self._duplicate.add(self._rows[position], f"the same pair as row {self._rows[first[position]]}")
        yield self._duplicate.result()
        size = len(self._rows)
        groups = _first_of_each(np.concatenate([_digests(self._chosen), _digests(self._rejected)]))
        chosen, rejected = groups[:size], groups[size:]
        # An identical pair contradicts itself, which has been told of.
        itself = chosen == rejected
        is_contradicted = (np.isin(chosen, rejected[~itself]) | np.isin(rejected, chosen[~itself])) & ~itself
        first_chosen = _first_place(chosen, ~itself)
        first_rejected = _first_place(rejected, ~itself)
        for position in np.flatnonzero(is_contradicted):
            if (other := first_rejected[chosen[position]]) >= 0:
                detail = f"its chosen is the rejected of row {self._rows[other]}"
            else:
                detail = f"its rejected is the chosen of row {self._rows[first_chosen[rejected[position]]]}"
            self._contradiction.add(self._rows[position], detail)
        yield self._contradiction.result()


def _begins(longer: str, shorter: str) -> bool:
    """Whether a text begins with another one, which ends where a word of it ends."""
    if not longer.startswith(shorter):
        return False
    return not (shorter[-1:].isalnum() and longer[len(shorter) : len(shorter) + 1].isalnum())


def _first_place(groups: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each group the first position that is of it and counts; -1 if there is none. Shape (2n,) from (n,)."""
    first = np.full(2 * len(groups), -1, dtype=np.int64)
    positions = np.flatnonzero(counts)[::-1]
    first[groups[positions]] = positions
    return first


def _digests(digests: bytearray) -> NDArray[np.uint64]:
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)


def _first_of_each(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each digest, shape (n, 2), the position of the first one that is equal to it, shape (n,)."""
    order = np.lexsort((np.arange(len(digests)), digests[:, 0], digests[:, 1]))
    is_new = np.ones(len(digests), dtype=bool)
    is_new[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    first = np.empty(len(digests), dtype=np.int64)
    starts = order[is_new]
    first[order] = starts[np.cumsum(is_new) - 1]
    return first
