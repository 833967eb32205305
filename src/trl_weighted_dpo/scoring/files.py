"""Scores rows through journals, resumable and shared among processes."""

import itertools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.fingerprint import Fingerprint
from trl_weighted_dpo.core.identity import canonical, digest
from trl_weighted_dpo.core.journal import Journal
from trl_weighted_dpo.scoring import SCORING_VERSION
from trl_weighted_dpo.scoring.scoring import Scorer, windows, with_scores
from trl_weighted_dpo.settings import RenderingConfig, settings_of


def journal_paths(output: Path, processes: int = 1) -> list[Path]:
    """The journals of a run, one for each process: `OUTPUT.journal`, `OUTPUT.journal-1`, …"""
    return [output.with_name(f"{output.name}.journal" + (f"-{index}" if index else "")) for index in range(processes)]


def journals_of(output: Path) -> list[Path]:
    """The journals of an output that are there, those of runs with more processes too."""
    pattern = re.compile(re.escape(output.name) + r"\.journal(?:-\d+)?")
    return sorted(path for path in output.parent.iterdir() if pattern.fullmatch(path.name))


def remove_journals(output: Path) -> None:
    """Removes the journals of an output."""
    for path in journals_of(output):
        path.unlink()


def score_into(
    journal: Path,
    rows: Iterable[Mapping[str, Any]],
    scorer: Scorer,
    source: str = "pool",
    process: int = 0,
    processes: int = 1,
    total: int | None = None,
) -> None:
    """Score rows into a journal, going on where an earlier run with the same model, settings and rows stopped.

    Args:
        journal (`Path`):
            File that is made, or taken up: one entry for each window of rows. What no longer fits (another model, other
            settings or rows, a line cut short by a kill) is scored anew from there on. `batch_tokens` may change, since
            it changes scores by rounding only.
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows, the same in each process.
        scorer ([`~scoring.scoring.Scorer`]):
            Scores them.
        source (`str`, *optional*, defaults to `"pool"`):
            Where the rows come from, for messages.
        process (`int`, *optional*, defaults to `0`), processes (`int`, *optional*, defaults to `1`):
            Which process of how many this is. Each scores every `processes`-th window into a journal of its own.
        total (`int`, *optional*):
            How many rows there are, for the progress bar, which the first process shows.

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row, or a log-prob is not finite; what was scored until
            then stays in the journal.
    """
    bar = tqdm(desc=f"Scoring {source}", unit=" rows", total=total, disable=process > 0)
    with bar, Journal(journal, _key(scorer, process, processes)) as entries:
        for index, (first, window) in enumerate(windows(rows, source)):
            if index % processes == process:
                identity = _identity(window)
                if entries.next_entry({"rows": identity}) is None:
                    entries.write({"rows": identity, "scored": scorer.score(window, first, source)})
            bar.update(len(window))
        entries.finish()


class ScoredRows:
    """Rows with the scores of finished journals, in order; can be read again and again.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            The rows that were scored, such as a [`~core.files.RowFile`].
        journals (`Sequence[Path]`):
            The journals of all processes, in their order.
        fingerprint ([`~core.fingerprint.Fingerprint`]):
            Of the scorer.

    Iterating raises `ValueError` if the rows are not those that the journals were made of.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], journals: Sequence[Path], fingerprint: Fingerprint) -> None:
        self.rows, self.journals, self.fingerprint = rows, journals, fingerprint

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for rows, entry in itertools.zip_longest(windows(self.rows, "rows"), self._entries()):
            if rows is None or entry is None or entry["rows"] != _identity(rows[1]):
                raise ValueError("the rows have changed while they were scored. Run again: what was done is kept.")
            for row, scored in zip(rows[1], entry["scored"], strict=True):
                yield with_scores(row, scored, self.fingerprint)

    def report(self) -> "ScoringReport":
        """Counts over all rows."""
        report = ScoringReport()
        for entry in self._entries():
            for scored in entry["scored"]:
                report.add(scored)
        return report

    def _entries(self) -> Iterator[dict[str, Any]]:
        """The entries of all journals, in the order of the windows."""
        shares = [itertools.islice(read_jsonl(journal), 1, None) for journal in self.journals]
        for row in itertools.zip_longest(*shares):
            yield from (entry for entry in row if entry is not None)


@dataclass
class ScoringReport:
    """What became of a pool.

    Args:
        problems, candidates (`int`): How many there are.
        unreadable (`int`): Candidates without a score, as they are no valid Unicode.
        references (`int`): Reference solutions that were scored.
        tokens (`int`): Tokens of candidates that were scored.
        truncated, without_tokens (`int`): Candidates that were cut, and those of which nothing was left to score.
        confidence, perplexity (`array`): Of the candidates that have them.
    """

    problems: int = 0
    candidates: int = 0
    unreadable: int = 0
    references: int = 0
    tokens: int = 0
    truncated: int = 0
    without_tokens: int = 0
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    perplexity: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, scored: Mapping[str, Any]) -> None:
        """Counts what [`~scoring.scoring.Scorer.score`] gave for one more row."""
        self.problems += 1
        self.references += scored[schema.REFERENCE_SCORE] is not None
        for score in scored["scores"]:
            self.candidates += 1
            if score is None:
                self.unreadable += 1
                continue
            self.tokens += score["tokens"]
            self.truncated += score["truncated"]
            if score["tokens"]:
                self.confidence.append(score["confidence"])
                self.perplexity.append(score["perplexity"])
            else:
                self.without_tokens += 1


def _key(scorer: Scorer, process: int, processes: int) -> str:
    return canonical(
        {
            "scoring": SCORING_VERSION,
            "source": type(scorer.source).__name__,
            "fingerprint": scorer.fingerprint,
            "rendering": [getattr(scorer.config, setting.name) for setting in settings_of(RenderingConfig)],
            "train_on": scorer.config.train_on,
            "share": [process, processes],
        }
    )


def _identity(window: Sequence[Mapping[str, Any]]) -> str:
    columns = (schema.PROBLEM, schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)
    return digest(
        [
            [[row.get(name) for name in columns], [candidate[schema.SOLUTION] for candidate in row[schema.CANDIDATES]]]
            for row in window
        ]
    )
