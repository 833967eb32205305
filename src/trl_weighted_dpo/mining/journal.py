"""Mines large pools through a journal, with flat memory, so that a stopped run resumes."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo.core.files import read_jsonl, write_jsonl
from trl_weighted_dpo.core.identity import canonical
from trl_weighted_dpo.core.journal import Journal
from trl_weighted_dpo.mining import MINING_VERSION
from trl_weighted_dpo.mining.assessing import assess_rows, check_row, row_digest
from trl_weighted_dpo.mining.assessment import Assessed
from trl_weighted_dpo.mining.pairing import PairLengths, check_scores, choose_pairs, count_problem
from trl_weighted_dpo.mining.report import MiningReport
from trl_weighted_dpo.mining.selection import HardnessScale
from trl_weighted_dpo.settings.mining import PairingConfig
from trl_weighted_dpo.verifier import MathVerifier


def mining_key(config: PairingConfig, verifier: MathVerifier | None = None) -> str:
    """What decides the pairs of a pool, besides its rows: settings and result versions, as text. The verifier is a
    default one if `None`."""
    return _key(config.to_dict(), verifier)


def _key(settings: Any, verifier: MathVerifier | None) -> str:
    return canonical(
        {"mining": MINING_VERSION, "verifier": (verifier or MathVerifier()).identity, "settings": settings}
    )


def mine_into(
    journal: Path,
    pairs: Path,
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier | None = None,
    config: PairingConfig | None = None,
    source: str = "pool",
    workers: int = 1,
) -> MiningReport:
    """Mine a pool into files, going on where an earlier run with the same rows stopped.

    Memory does not grow with the pool but for 8 bytes a negative and 56 bytes a pair.

    Args:
        journal (`Path`):
            File of what is known of candidates, made or taken up: other pairs are chosen from it without verifying
            again. What no longer fits (other versions, other rows, a line cut short by a kill) is done anew from there.
        pairs (`Path`):
            JSONL file that is written when all is done: for each row that gives pairs, in order, its digest as `row`
            and its `pairs`.
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows, as for [`~mining.pairing.mine_pairs`]; read twice, so no iterator.
        verifier, config, source, workers:
            As for [`~mining.pairing.mine_pairs`].

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row; what was done until then stays in the journal.
        `ValueError`: If the rows are others when they are read again.
    """
    verifier, config, report = verifier or MathVerifier(), config or PairingConfig(), MiningReport()
    total = len(rows) if isinstance(rows, Sized) else None
    bar = tqdm(desc=f"Mining {source}", unit=" problems", total=total)
    with bar, Journal(journal, _key(config.assessment, verifier)) as entries:
        todo = iter(rows)
        done = 0
        new: list[Mapping[str, Any]] = []
        for row in todo:
            check_row(row, done, source)
            entry = entries.next_entry({"row": row_digest(row)})
            if entry is None:
                new = [row]
                break
            count_problem([Assessed.from_dict(parts) for parts in entry["candidates"]], config, report)
            done += 1
            bar.update()
        for identity, assessed in assess_rows(
            itertools.chain(new, todo), verifier, config.assessment, workers, source, done
        ):
            entries.write({"row": identity, "candidates": [one.to_dict() for one in assessed]})
            count_problem(assessed, config, report)
            bar.update()
        entries.finish()
    check_scores(config, report)
    scale = HardnessScale.of(report.negatives, config)
    chosen = _Chosen(pairs.with_name(pairs.name + ".unmatched"), config.seed if config.match_lengths else None)
    known = enumerate(_assessed_rows(rows, journal))
    mined = (
        {"row": identity, "pairs": choose_pairs(index, row, assessed, config, scale, report)}
        for index, (identity, row, assessed) in known
    )
    write_jsonl(chosen.path, chosen.record(mined))
    keep = chosen.keep()
    report.dropped["to match lengths"] += chosen.count - sum(keep) if keep is not None else 0
    write_jsonl(pairs, _kept(chosen.path, keep, report.add_pair))
    chosen.path.unlink()
    return report


def _assessed_rows(
    rows: Iterable[Mapping[str, Any]], journal: Path
) -> Iterator[tuple[str, Mapping[str, Any], list[Assessed]]]:
    for row, entry in itertools.zip_longest(rows, itertools.islice(read_jsonl(journal), 1, None)):
        if row is None or entry is None or entry["row"] != row_digest(row):
            raise ValueError("the rows have changed while they were mined. Run again: what was done is kept.")
        yield entry["row"], row, [Assessed.from_dict(parts) for parts in entry["candidates"]]


class _Chosen:
    """The pairs that were chosen before lengths are matched, in a file."""

    def __init__(self, path: Path, seed: int | None) -> None:
        self.path = path
        self.count = 0
        self._lengths = PairLengths(seed) if seed is not None else None

    def record(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            self.count += len(row["pairs"])
            if self._lengths is not None:
                for pair in row["pairs"]:
                    self._lengths.add(pair)
            if row["pairs"]:
                yield row

    def keep(self) -> list[bool] | None:
        return self._lengths.matched() if self._lengths is not None else None


def _kept(path: Path, keep: list[bool] | None, count: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
    place = 0
    for row in read_jsonl(path):
        kept = [pair for at, pair in enumerate(row["pairs"], place) if keep is None or keep[at]]
        place += len(row["pairs"])
        for pair in kept:
            count(pair)
        if kept:
            yield {**row, "pairs": kept}


class MinedPairs:
    """The pairs of a file that [`mine_into`] wrote, in order, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (pair for row in read_jsonl(self.path) for pair in row["pairs"])
