"""Pool → pairs: chosen among the correct candidates, rejected among the flawed ones.

An undecided candidate is neither. Pairs carry signals, never a weight.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.mining.assessing import assess_rows
from trl_weighted_dpo.mining.assessment import Assessed, order_key
from trl_weighted_dpo.mining.lengths import log_ratio, matched_pairs
from trl_weighted_dpo.mining.report import MiningReport
from trl_weighted_dpo.mining.selection import HardnessScale, negatives, select_pairs
from trl_weighted_dpo.settings.mining import PairingConfig
from trl_weighted_dpo.verifier import MathVerifier


def mine_pairs(
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier | None = None,
    config: PairingConfig | None = None,
    source: str = "pool",
    workers: int = 1,
    progress: bool = True,
) -> tuple[list[dict[str, Any]], MiningReport]:
    """Verify a pool's candidates, unless they bring profiles, and pair them. All is held in memory; for large pools see
    [`~mining.journal.mine_into`].

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows (see [`check_pool_row`]), their candidates with or without `profile` and `score`.
        verifier ([`MathVerifier`], *optional*):
            A default one if `None`.
        config ([`PairingConfig`], *optional*):
            Defaults if `None`.
        source (`str`, *optional*, defaults to `"pool"`):
            Where the rows come from, for messages.
        workers (`int`, *optional*, defaults to `1`):
            Processes to work in; 1 is this process.
        progress (`bool`, *optional*, defaults to `True`):
            Whether to show a progress bar.

    Returns:
        Pair rows, in the order of the pool, and the report. A pair's `prompt` is the bare problem: see
        [`~core.rendering.render_pair`].

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row; names source, row and column.
        `ValueError`: If the settings ask for scores that are not there.
    """
    rows, config, report = list(rows), config or PairingConfig(), MiningReport()
    found = assess_rows(rows, verifier or MathVerifier(), config.assessment, workers, source)
    bar = tqdm(found, desc=f"Mining {source}", unit=" problems", total=len(rows), disable=not progress)
    assessments = [assessed for _, assessed in bar]
    for assessed in assessments:
        count_problem(assessed, config, report)
    check_scores(config, report)
    scale = HardnessScale.of(report.negatives, config)
    pairs = []
    for index, (row, assessed) in enumerate(zip(rows, assessments, strict=True)):
        pairs += choose_pairs(index, row, assessed, config, scale, report)
    if config.match_lengths:
        lengths = PairLengths(config.seed)
        for pair in pairs:
            lengths.add(pair)
        keep = lengths.matched()
        report.dropped["to match lengths"] += keep.count(False)
        pairs = [pair for pair, is_kept in zip(pairs, keep, strict=True) if is_kept]
    for pair in pairs:
        report.add_pair(pair)
    return pairs, report


def count_problem(assessed: Sequence[Assessed], config: PairingConfig, report: MiningReport) -> None:
    """Count a problem, and how hard its negatives are."""
    report.add_problem(assessed, (negative.hardness for negative in negatives(assessed, config)))


def check_scores(config: PairingConfig, report: MiningReport) -> None:
    """Check, before pairs are chosen, that there is what they are chosen by.

    Raises:
        `ValueError`: If the most confident candidates are to be chosen from a pool without scores.
    """
    if config.chosen == "most_confident" and report.problems and not report.is_scored:
        raise ValueError(
            "The most confident correct candidate is to be chosen, but the pool has no scores. Score it with "
            "`weighted-dpo score`, or choose another `chosen`."
        )


def choose_pairs(
    index: int,
    row: Mapping[str, Any],
    assessed: Sequence[Assessed],
    config: PairingConfig,
    scale: HardnessScale,
    report: MiningReport,
) -> list[dict[str, Any]]:
    """The pairs of a row; `report` learns why there is none and what was dropped, but not of pairs."""
    problem_id = row.get(schema.ID) or str(index)
    pairs, why_none = select_pairs(row, problem_id, assessed, config, scale, report.dropped)
    if why_none is not None:
        report.problems_without_pairs[why_none] += 1
    return pairs


class PairLengths:
    """What matching lengths needs of pairs: 24 bytes of each."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._differences, self._hardness = array("d"), array("d")
        self._ties = array("Q")

    def add(self, pair: Mapping[str, Any]) -> None:
        """Count a pair."""
        self._differences.append(log_ratio(pair[schema.CHOSEN_LENGTH], pair[schema.REJECTED_LENGTH]))
        self._hardness.append(pair[schema.HARDNESS])
        texts = (pair[schema.PROMPT], pair[schema.CHOSEN], pair[schema.REJECTED])
        self._ties.append(int.from_bytes(order_key(self._seed, *texts)[:8]))

    def matched(self) -> list[bool]:
        """Which of the pairs to keep: see [`~mining.lengths.matched_pairs`]."""
        return matched_pairs(self._differences, self._hardness, self._ties)
