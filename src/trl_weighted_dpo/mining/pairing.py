"""Pool → pairs: chosen among the correct candidates, rejected among the incorrect ones.

An undecided candidate is neither. Pairs carry signals, never a weight.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo import schema
from trl_weighted_dpo.mining.reference import render_reference
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier, Verdict

CHOSEN_FALLBACKS = ("none", "reference_solution")
PAIR_COLUMNS = (
    schema.PROMPT,
    schema.CHOSEN,
    schema.REJECTED,
    schema.PROBLEM_ID,
    schema.CHOSEN_INDEX,
    schema.REJECTED_INDEX,
    schema.CHOSEN_ANSWER,
    schema.REJECTED_ANSWER,
    schema.REJECTED_WRONGNESS,
    schema.REJECTED_ABSURDITY,
)
"""Columns of a mined pair, in order."""


@dataclass(frozen=True)
class PairingConfig:
    """How pairs are made of a problem's candidates.

    Args:
        pairs_per_problem (`int`, *optional*, defaults to `1`):
            Pairs made of one problem at most, ≥ 1. A rejected candidate is used again only after all were used.
        chosen_fallback (`str`, *optional*, defaults to `"none"`):
            Where no candidate is correct: `"none"` drops the problem, `"reference_solution"` chooses the reference
            solution, in the candidates' own form.
        seed (`int`, *optional*, defaults to `42`):
            Decides which of several candidates is taken. The choice depends on the seed and the texts of the problem
            and its candidates only, not on their order.
        allow_weak_answers (`bool`, *optional*, defaults to `False`):
            Whether a candidate is rejected whose wrong answer was guessed from its text, because no answer line gives
            it. Such a guess can be misread, and a right solution as rejected completion teaches the opposite.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    pairs_per_problem: int = 1
    chosen_fallback: str = "none"
    seed: int = 42
    allow_weak_answers: bool = False

    def __post_init__(self) -> None:
        if self.pairs_per_problem < 1:
            raise ValueError(f"pairs_per_problem must be at least 1, got {self.pairs_per_problem}.")
        if self.chosen_fallback not in CHOSEN_FALLBACKS:
            raise ValueError(
                f"Unknown chosen_fallback {self.chosen_fallback!r}. Choose one of {', '.join(CHOSEN_FALLBACKS)}."
            )


@dataclass
class MiningReport:
    """What became of a pool: counts of problems, candidates, verdicts and pairs, and why problems gave no pair.

    `weak_answers` counts the incorrect candidates that were not rejected, because their answer was guessed.
    """

    problems: int = 0
    candidates: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    weak_answers: int = 0
    problems_without_pairs: Counter[str] = field(default_factory=Counter)
    pairs: int = 0

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add the counts of another report, given as [`to_dict`] writes them."""
        self.problems += counts["problems"]
        self.candidates += counts["candidates"]
        self.pairs += counts["pairs"]
        self.weak_answers += counts["weak_answers"]
        self.verdicts.update(counts["verdicts"])
        self.problems_without_pairs.update(counts["problems_without_pairs"])

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain JSON types."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}


def mine_pairs(
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier | None = None,
    config: PairingConfig | None = None,
    source: str = "pool",
    progress: bool = True,
) -> tuple[list[dict[str, Any]], MiningReport]:
    """Verify a pool's candidates and pair them.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows (see [`schema.check_pool_row`]).
        verifier ([`MathVerifier`], *optional*):
            A default one if `None`.
        config ([`PairingConfig`], *optional*):
            Defaults if `None`.
        source (`str`, *optional*, defaults to `"pool"`):
            Where the rows come from, for messages.
        progress (`bool`, *optional*, defaults to `True`):
            Whether to show a progress bar.

    Returns:
        Pair rows, in the order of the pool, and the report. A pair's `prompt` is the bare problem: see
        [`~mining.rendering.render_pair`].

    Raises:
        [`~schema.SchemaError`]: If a row is not a pool row; names source, row and column.
    """
    verifier = verifier or MathVerifier()
    config = config or PairingConfig()
    report = MiningReport()
    pairs: list[dict[str, Any]] = []
    for index, row in enumerate(tqdm(rows, desc=f"Mining {source}", unit=" problems", disable=not progress)):
        schema.check_pool_row(row, index, source)
        pairs.extend(mine_problem(row, index, verifier, config, report))
    return pairs, report


@dataclass(frozen=True)
class _Candidate:
    index: int
    text: str
    answer: str | None
    profile: ErrorProfile | None


def mine_problem(
    row: Mapping[str, Any],
    index: int,
    verifier: MathVerifier,
    config: PairingConfig,
    report: MiningReport,
) -> list[dict[str, Any]]:
    """The pairs of one pool row, which the caller has checked; `report` is brought up to date. See [`mine_pairs`]."""
    problem, reference = row[schema.PROBLEM], row.get(schema.REFERENCE_ANSWER)
    report.problems += 1
    groups: dict[Verdict, list[_Candidate]] = {verdict: [] for verdict in Verdict}
    seen: set[str] = set()
    has_weak = False
    for position, entry in enumerate(row[schema.CANDIDATES]):
        text = entry[schema.SOLUTION]
        report.candidates += 1
        if not schema.is_encodable(text):
            report.verdicts[Verdict.UNDECIDED.value] += 1
            continue
        profile = verifier.verify(problem, text, reference, row.get(schema.REFERENCE_SOLUTION))
        report.verdicts[profile.verdict.value] += 1
        if profile.verdict is Verdict.INCORRECT and profile.answer_is_weak and not config.allow_weak_answers:
            has_weak = True
            report.weak_answers += 1
            continue
        if text not in seen:
            seen.add(text)
            groups[profile.verdict].append(_Candidate(position, text, profile.answer, profile))

    rejected = _shuffled(groups[Verdict.INCORRECT], problem, config.seed)
    chosen = _shuffled(groups[Verdict.CORRECT], problem, config.seed)
    if not chosen and rejected and config.chosen_fallback == "reference_solution":
        chosen = _reference_candidate(row, verifier)
    if not chosen or not rejected:
        report.problems_without_pairs[_why_no_pair(row, chosen, rejected, has_weak)] += 1
        return []
    problem_id = row.get(schema.ID) or str(index)
    combinations = itertools.islice(_combinations(chosen, rejected), config.pairs_per_problem)
    pairs = [_pair(problem, problem_id, *combination) for combination in combinations]
    report.pairs += len(pairs)
    return pairs


def _combinations(
    chosen: Sequence[_Candidate], rejected: Sequence[_Candidate]
) -> Iterator[tuple[_Candidate, _Candidate]]:
    """Every combination once; each rejected once before any is used again."""
    for shift in range(len(chosen)):
        for position, candidate in enumerate(rejected):
            yield chosen[(position + shift) % len(chosen)], candidate


def _shuffled(candidates: list[_Candidate], problem: str, seed: int) -> list[_Candidate]:
    def key(candidate: _Candidate) -> bytes:
        return hashlib.sha256(f"{seed}\0{problem}\0{candidate.text}".encode()).digest()

    return sorted(candidates, key=key)


def _reference_candidate(row: Mapping[str, Any], verifier: MathVerifier) -> list[_Candidate]:
    solutions = [entry[schema.SOLUTION] for entry in row[schema.CANDIDATES]]
    text = render_reference(row.get(schema.REFERENCE_SOLUTION), row.get(schema.REFERENCE_ANSWER), solutions)
    if text is None:
        return []
    profile = verifier.verify(row[schema.PROBLEM], text, row.get(schema.REFERENCE_ANSWER))
    if profile.verdict is not Verdict.CORRECT:
        return []
    return [_Candidate(schema.REFERENCE_INDEX, text, profile.answer, None)]


def _why_no_pair(row: Mapping[str, Any], chosen: list[_Candidate], rejected: list[_Candidate], has_weak: bool) -> str:
    if not row.get(schema.REFERENCE_ANSWER) and not row.get(schema.REFERENCE_SOLUTION):
        return "no reference"
    if not row[schema.CANDIDATES]:
        return "no candidates"
    if chosen:
        return "incorrect candidates with weak answers only" if has_weak else "no incorrect candidate"
    return "no correct candidate" if rejected or has_weak else "neither a correct nor an incorrect candidate"


def _pair(problem: str, problem_id: str, chosen: _Candidate, rejected: _Candidate) -> dict[str, Any]:
    assert rejected.profile is not None
    values = (
        problem,
        chosen.text,
        rejected.text,
        problem_id,
        chosen.index,
        rejected.index,
        chosen.answer,
        rejected.answer,
        rejected.profile.wrongness,
        rejected.profile.absurdity,
    )
    return dict(zip(PAIR_COLUMNS, values, strict=True))
