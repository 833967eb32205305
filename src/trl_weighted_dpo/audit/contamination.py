"""Whether pairs hold problems of an evaluation set.

A pair is contaminated if its prompt or a completion shares n consecutive words with an evaluation problem (GPT-3, arXiv
2005.14165, appendix C: n = 13). Words are letters or numbers in lower case; all else, punctuation and LaTeX commands'
backslashes among it, only separates. N-grams of which fewer than half are words of letters are left out: rows of
numbers are shared by problems that have nothing to do with each other (ours).

A problem with fewer words than n is looked for as a whole: anywhere if it has at least 8 words (GPT-3's smallest n),
else as the whole problem of a pair.
"""

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trl_weighted_dpo.audit.pairs import Pair
from trl_weighted_dpo.audit.report import CheckResult, skipped, tally_of
from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.settings.audit import AuditConfig

ANYWHERE_WORDS = 8
"""Words from which on a whole problem is looked for inside other texts."""

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_NUMBER = "0"
_BASE = 0x9E3779B97F4A7C15
"""Base of the hash: any odd number, which has an inverse modulo 2^64."""
_INVERSE = pow(_BASE, -1, 1 << 64)


def words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return _WORD.findall(text.casefold())


def without_numbers(found: list[str]) -> list[str]:
    """The words with one and the same number for every number."""
    return [_NUMBER if word[0].isdigit() else word for word in found]


class NgramIndex:
    """Where n-grams occur in evaluation problems: 32 bytes for each at most.

    They are 64-bit hashes: that one of a million pairs of 250 words meets one of a million n-grams by chance has a
    probability below 1e-4.

    Args:
        size (`int`): Words of an n-gram.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._sizes: list[int] = []
        self._added = array("Q"), array("q")
        self._hashes = np.empty(0, dtype=np.uint64)
        self._places = np.empty(0, dtype=np.int64)
        self._may_have = np.zeros(1, dtype=bool)

    def add(self, found: list[str], place: int) -> None:
        """Adds the n-grams of a problem, or all of it if it has fewer words; `place` is what [`find`] tells of it."""
        size = min(self._size, len(found))
        if not size:
            return
        kept = _hashes(_sums(found), size)
        if len(found) >= self._size:
            is_letters = np.array([not word[0].isdigit() for word in found])
            kept = kept[sliding_window_view(is_letters, size).sum(axis=1) * 2 >= size]
        self._sizes = sorted({size, *self._sizes}, reverse=True)
        self._added[0].extend(kept.tolist())
        self._added[1].extend([place] * len(kept))

    def finish(self) -> None:
        """Makes the index ready, once all problems were added."""
        self._hashes, first = np.unique(np.frombuffer(self._added[0], dtype=np.uint64), return_index=True)
        self._places = np.frombuffer(self._added[1], dtype=np.int64)[first]
        self._added = array("Q"), array("q")
        # What most n-grams fail at once, without a search.
        self._may_have = np.zeros(1 << (8 * len(self._hashes)).bit_length(), dtype=bool)
        self._may_have[self._hashes & np.uint64(len(self._may_have) - 1)] = True

    def find(self, found: list[str], is_problem: bool) -> tuple[int, list[str]] | None:
        """The place and the words of the first n-gram of a text that is in the index, the longest n first; n-grams
        shorter than `ANYWHERE_WORDS` count only if they are all of a problem."""
        count = len(found)
        sizes = [n for n in self._sizes if n <= count and (n >= ANYWHERE_WORDS or (is_problem and n == count))]
        if not sizes or not len(self._hashes):
            return None
        sums = _sums(found)
        hashes = np.concatenate([_hashes(sums, size) for size in sizes])
        maybe = np.flatnonzero(self._may_have[hashes & np.uint64(len(self._may_have) - 1)])
        at = np.minimum(np.searchsorted(self._hashes, hashes[maybe]), len(self._hashes) - 1)
        hits = np.flatnonzero(self._hashes[at] == hashes[maybe])
        if not len(hits):
            return None
        start, place = int(maybe[hits[0]]), int(self._places[at[hits[0]]])
        for size in sizes:
            if start <= count - size:
                return place, found[start : start + size]
            start -= count - size + 1
        raise AssertionError("a hit lies among the n-grams of some size")


class ContaminationChecks:
    """Looks at one pair after the other.

    Args:
        config ([`AuditConfig`]): The size of n-grams, and the column of the problem.
        evaluation (`Mapping[str, Iterable[Mapping[str, Any]]]`): Evaluation rows, by the name of their file.

    Raises:
        [`~core.checks.SchemaError`]: If an evaluation row has no problem.
    """

    def __init__(self, config: AuditConfig, evaluation: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        self._exact, self._but_numbers = tally_of(config, "contaminated"), tally_of(config, "contaminated_but_numbers")
        self._names = list(evaluation)
        self._index, self._index_but_numbers = NgramIndex(config.ngram_words), NgramIndex(config.ngram_words)
        self._problems = 0
        for number, (name, rows) in enumerate(evaluation.items()):
            before = self._problems
            for row_number, row in enumerate(rows):
                problem = row.get(config.eval_column)
                if not isinstance(problem, str):
                    hint = f"Evaluation rows need the text of the problem; there are: {', '.join(map(str, row))}."
                    raise row_error(name, row_number, config.eval_column, problem, hint)
                self._add(words(problem), number << 40 | row_number, config.ngram_words)
            if self._problems == before:
                raise ValueError(f"{name}: there are no evaluation problems in it.")
        self._index.finish()
        self._index_but_numbers.finish()

    def _add(self, found: list[str], place: int, size: int) -> None:
        self._problems += 1
        self._index.add(found, place)
        # A short problem without its numbers is a common phrase.
        if len(found) >= size:
            self._index_but_numbers.add(without_numbers(found), place)

    def add(self, pair: Pair) -> None:
        """Looks at a pair."""
        if not self._names:
            return
        self._exact.of += 1
        self._but_numbers.of += 1
        texts = {"prompt": words(pair.prompt), "chosen": words(pair.chosen), "rejected": words(pair.rejected)}
        if pair.problem != pair.prompt:
            texts = {"problem": words(pair.problem), **texts}
        for part, found in texts.items():
            hit = self._index.find(found, part in ("problem", "prompt"))
            if hit is not None:
                self._exact.add(pair.row, self._detail(part, *hit))
                return
        for part, found in texts.items():
            hit = self._index_but_numbers.find(without_numbers(found), False)
            if hit is not None:
                self._but_numbers.add(pair.row, self._detail(part, *hit))
                return

    def _detail(self, part: str, place: int, shared: list[str]) -> str:
        name, row = self._names[place >> 40], place & ((1 << 40) - 1)
        return f"{part} shares {len(shared)} words with {name} row {row}: {' '.join(shared)}"

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at."""
        if not self._names:
            for name in ("contaminated", "contaminated_but_numbers"):
                yield skipped(name, "needs evaluation files")
            return
        yield self._exact.result(f"{self._problems} evaluation problems")
        yield self._but_numbers.result("the same words with other numbers")


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=64)
def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """base^0, base^1, ... modulo 2^64, shape (count,)."""
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _sums(found: list[str]) -> NDArray[np.uint64]:
    """Sums over the first 0, 1, ... n words of hash(word i) · base^i, modulo 2^64, shape (n + 1,)."""
    sums = np.zeros(len(found) + 1, dtype=np.uint64)
    hashed = np.array([_word_hash(word) for word in found], dtype=np.uint64)
    # Powers are kept for lengths that are powers of two, of which there are few.
    powers = _powers(_BASE, 1 << len(found).bit_length())[: len(found)]
    np.cumsum(hashed * powers, out=sums[1:])
    return sums


def _hashes(sums: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """The polynomial hash of each n-gram, in order: the sum over its words, divided by the power it begins with."""
    count = len(sums) - size
    inverse = _powers(_INVERSE, 1 << len(sums).bit_length())[:count]
    return np.asarray((sums[size:] - sums[:count]) * inverse, dtype=np.uint64)
