"""Which pairs of a problem's candidates are made: strategies, choice of the chosen one, bands of hardness."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Prefix

from trl_weighted_dpo import plugins
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.rendering import trained_row
from trl_weighted_dpo.mining.assessment import (
    FLAWED_REASONING,
    WRONG_ANSWER,
    Assessed,
    order_key,
    reference_score,
    rendered_reference,
)
from trl_weighted_dpo.mining.hardness import (
    HardnessSignals,
    checked_hardness,
    hardness_signals,
    proximity,
)
from trl_weighted_dpo.mining.lengths import log_ratio
from trl_weighted_dpo.settings.mining import PairingConfig
from trl_weighted_dpo.verifier.profile import Verdict

BANDS = ("easy", "medium", "hard")
_LENGTH_STEP = 0.1
"""Differences in log length that count as the same when lengths are matched."""


@dataclass(frozen=True, slots=True)
class Negative:
    """A candidate that can be rejected, and how hard it is."""

    assessed: Assessed
    kind: str
    hardness: float
    signals: HardnessSignals


@dataclass(frozen=True)
class HardnessScale:
    """What the hardness of a whole pool's negatives fixes: the bounds in force, and where the bands begin.

    Args:
        lowest, highest (`float`): Negatives outside are not rejected.
        medium, hard (`float`): Where the bands `"medium"` and `"hard"` begin: at the terciles of the pool.
    """

    lowest: float = 0.0
    highest: float = 1.0
    medium: float = 1.0 / 3.0
    hard: float = 2.0 / 3.0

    @classmethod
    def of(cls, hardness: Sequence[float], config: PairingConfig) -> "HardnessScale":
        """The scale of the negatives of a pool; the default one if there are none."""
        if not len(hardness):
            return cls()
        levels = (config.min_quantile, config.max_quantile, 1.0 / 3.0, 2.0 / 3.0)
        return cls(*np.quantile(np.asarray(hardness, dtype=np.float64), levels).tolist())

    def band(self, hardness: float) -> str:
        """The band that a hardness is in."""
        return BANDS[(hardness >= self.medium) + (hardness >= self.hard)]


def negatives(assessed: Iterable[Assessed], config: PairingConfig) -> list[Negative]:
    """The candidates of a problem that can be rejected, of the kinds that have a quota; none where no candidate is
    correct.

    Raises:
        `ValueError`: If there is no hardness function of the configured name, or it gives no number in [0, 1].
    """
    settings = config.hardness
    function = plugins.find("hardnesses", settings.function)
    quotas = {WRONG_ANSWER: config.pairs_per_problem, FLAWED_REASONING: config.flawed_per_problem}
    found = []
    for one in assessed:
        kind = one.negative_kind
        if kind is None or not quotas[kind] or not one.proximity:
            continue
        nearest = max(one.proximity.values(), key=lambda parts: proximity(parts, settings))
        signals = hardness_signals(one.confidence, nearest, one.wrongness, one.absurdity, one.severity, settings)
        found.append(Negative(one, kind, checked_hardness(function, signals, settings.function), signals))
    return found


def select_pairs(
    row: Mapping[str, Any],
    problem_id: str,
    assessed: Sequence[Assessed],
    config: PairingConfig,
    scale: HardnessScale,
    dropped: Counter[str],
) -> tuple[list[dict[str, Any]], str | None]:
    """The pairs of one problem.

    Args:
        row (`Mapping[str, Any]`): The pool row.
        problem_id (`str`): What the pairs call the problem.
        assessed (`Sequence[Assessed]`): What [`~mining.assessment.assess_row`] says of it.
        config ([`PairingConfig`]): Which pairs are made.
        scale ([`HardnessScale`]): Of the whole pool.
        dropped (`Counter[str]`): Counts the combinations that were left out, by reason.

    Returns:
        The pairs, and why there is none.

    Raises:
        `ValueError`: If the most confident candidate is to be chosen, but they have no scores.
    """
    row = trained_row(row, config.train_on)
    available = negatives(assessed, config)
    inside = [negative for negative in available if scale.lowest <= negative.hardness <= scale.highest]
    correct = [one for one in assessed if one.unusable is None and one.verdict == Verdict.CORRECT.value]
    clean = [one for one in correct if not one.flagged]
    if config.chosen != "reference_solution":
        dropped["chosen is flagged"] += len(inside) * (len(correct) - len(clean))
    positives = _positives(clean, config)
    if not positives or not inside:
        return [], _why_none(row, assessed, correct, positives, available, config)
    if config.chosen == "most_confident" and any(one.confidence is None for one in positives):
        raise ValueError(
            f"problem {problem_id!r}: the most confident correct candidate is to be chosen, but the pool has no "
            "scores. Score it with `weighted-dpo score`, or choose another `chosen`."
        )

    texts = {index: candidate[schema.SOLUTION] for index, candidate in enumerate(row[schema.CANDIDATES])}
    if any(one.index == schema.REFERENCE_INDEX for one in positives):
        texts[schema.REFERENCE_INDEX] = rendered_reference(row)
    partners: dict[int, list[Assessed]] = {}
    for negative in inside:
        rejected = negative.assessed
        usable = [one for one in positives if one.index not in rejected.alike and one.index != rejected.index]
        dropped.update(rejected.alike[one.index] for one in positives if one.index in rejected.alike)
        order = _chosen_order(row[schema.PROBLEM], rejected, texts, config)
        partners[rejected.index] = sorted(usable, key=order)
    pairs: list[dict[str, Any]] = []
    for kind, quota in ((WRONG_ANSWER, config.pairs_per_problem), (FLAWED_REASONING, config.flawed_per_problem)):
        of_kind = [negative for negative in inside if negative.kind == kind]
        ordered = _ordered(of_kind, row[schema.PROBLEM], texts, config)
        combinations = _combinations(ordered, partners)
        for _, (chosen, negative) in zip(range(quota), combinations, strict=False):
            pairs.append(_pair(row, problem_id, texts, chosen, negative, scale))
    return pairs, None if pairs else "every combination is too alike"


def _positives(clean: list[Assessed], config: PairingConfig) -> list[Assessed]:
    sampled = [one for one in clean if one.index != schema.REFERENCE_INDEX]
    reference = [one for one in clean if one.index == schema.REFERENCE_INDEX]
    if config.chosen == "reference_solution":
        return reference
    return sampled or (reference if config.chosen_fallback == "reference_solution" else [])


def _chosen_order(
    problem: str, rejected: Assessed, texts: Mapping[int, str], config: PairingConfig
) -> Callable[[Assessed], tuple[Any, ...]]:
    def order(one: Assessed) -> tuple[Any, ...]:
        near = proximity(rejected.proximity[one.index], config.hardness)
        preferences: dict[str, tuple[float, ...]] = {
            "cleanest": (one.severity or 0.0, -near),
            "nearest": (-near, one.severity or 0.0),
            "most_confident": (-(one.confidence or 0.0),),
            "reference_solution": (),
            "random": (),
        }
        matched = round(abs(log_ratio(one.length, rejected.length)) / _LENGTH_STEP) if config.match_lengths else 0
        return matched, *preferences[config.chosen], order_key(config.seed, problem, texts[one.index])

    return order


def _ordered(
    found: Sequence[Negative], problem: str, texts: Mapping[int, str], config: PairingConfig
) -> list[Negative]:
    keys = {
        negative.assessed.index: order_key(config.seed, problem, texts[negative.assessed.index]) for negative in found
    }
    at_random = sorted(found, key=lambda negative: keys[negative.assessed.index])
    if config.strategy == "random":
        return at_random
    # Sorting is stable, so equally hard ones stay in random order.
    hardest = sorted(at_random, key=lambda negative: -negative.hardness)
    if config.strategy == "hard":
        return hardest
    if config.strategy == "easiest":
        return sorted(at_random, key=lambda negative: negative.hardness)
    mixed: list[Negative] = []
    for place in range(len(found)):
        coin = int.from_bytes(order_key(config.seed, problem, "strategy", str(place))[:8]) / 2.0**64
        source = at_random if coin < config.random_share else hardest
        mixed.append(next(negative for negative in source if negative not in mixed))
    return mixed


def _combinations(
    ordered: Sequence[Negative], partners: Mapping[int, Sequence[Assessed]]
) -> Iterator[tuple[Assessed, Negative]]:
    """Every combination once; each negative once, with its best partner, before any is used again."""
    rounds = max((len(partners[negative.assessed.index]) for negative in ordered), default=0)
    for place in range(rounds):
        for negative in ordered:
            mine = partners[negative.assessed.index]
            if place < len(mine):
                yield mine[place], negative


def _why_none(
    row: Mapping[str, Any],
    assessed: Sequence[Assessed],
    correct: Sequence[Assessed],
    positives: Sequence[Assessed],
    available: Sequence[Negative],
    config: PairingConfig,
) -> str:
    if not row.get(schema.REFERENCE_ANSWER) and not row.get(schema.REFERENCE_SOLUTION):
        return "no reference"
    if not row[schema.CANDIDATES]:
        return "no candidates"
    if not config.pairs_per_problem and not available:
        return "no right answer by flawed reasoning"
    has_negative = any(one.negative_kind == WRONG_ANSWER for one in assessed)
    has_weak = any(one.unusable == "weak answer" for one in assessed)
    sampled = [one for one in correct if one.index != schema.REFERENCE_INDEX]
    if sampled and not has_negative and not available:
        return "incorrect candidates with weak answers only" if has_weak else "no incorrect candidate"
    if not positives:
        if sampled and all(one.flagged for one in sampled):
            return "every correct candidate is flagged"
        if sampled:
            return "no reference solution to choose"
        return "no correct candidate" if has_negative or has_weak else "neither a correct nor an incorrect candidate"
    return "no negative of the hardness asked for" if available else "no incorrect candidate"


PAIR_COLUMNS = (
    schema.PROMPT,
    schema.CHOSEN,
    schema.REJECTED,
    schema.PROBLEM_ID,
    schema.CHOSEN_INDEX,
    schema.REJECTED_INDEX,
    schema.CHOSEN_ANSWER,
    schema.REJECTED_ANSWER,
    schema.KIND,
    schema.REJECTED_WRONGNESS,
    schema.REJECTED_ABSURDITY,
    schema.REJECTED_SEVERITY,
    schema.REJECTED_FIRST_FAULTY_STEP,
    schema.REJECTED_DIMENSIONS,
    schema.CHOSEN_CONFIDENCE,
    schema.REJECTED_CONFIDENCE,
    schema.REJECTED_NLL,
    schema.HARDNESS,
    schema.HARDNESS_CONFIDENCE,
    schema.HARDNESS_PROXIMITY,
    schema.HARDNESS_FLAW,
    schema.HARDNESS_BAND,
    schema.SHARED_PREFIX,
    schema.CHOSEN_LENGTH,
    schema.REJECTED_LENGTH,
)
"""Columns of a mined pair, in order; pairs of a scored pool also have `REFERENCE_COLUMNS`."""

REFERENCE_COLUMNS = (
    schema.REF_CHOSEN_LOGPS,
    schema.REF_REJECTED_LOGPS,
    schema.REF_FINGERPRINT,
    schema.REF_DIGEST,
)


def _pair(
    row: Mapping[str, Any],
    problem_id: str,
    texts: Mapping[int, str],
    chosen: Assessed,
    negative: Negative,
    scale: HardnessScale,
) -> dict[str, Any]:
    rejected, signals = negative.assessed, negative.signals
    values = (
        row[schema.PROBLEM],
        texts[chosen.index],
        texts[rejected.index],
        problem_id,
        chosen.index,
        rejected.index,
        chosen.answer,
        rejected.answer,
        negative.kind,
        rejected.wrongness,
        rejected.absurdity,
        rejected.severity,
        rejected.first_faulty_step,
        list(rejected.found),
        chosen.confidence,
        rejected.confidence,
        rejected.nll,
        negative.hardness,
        signals.confidence,
        signals.proximity,
        signals.flaw,
        scale.band(negative.hardness),
        Prefix.normalized_similarity(texts[chosen.index], texts[rejected.index]),
        chosen.length,
        rejected.length,
    )
    pair = dict(zip(PAIR_COLUMNS, values, strict=True))
    scores = [_score(row, one.index, texts) for one in (chosen, rejected)]
    if all(score is not None for score in scores):
        logps = [score["logp"] for score in scores]
        digests = "".join(score["digest"] for score in scores)
        pair |= dict(zip(REFERENCE_COLUMNS, (*logps, row.get(schema.FINGERPRINT), digests), strict=True))
    return pair


def _score(row: Mapping[str, Any], index: int, texts: Mapping[int, str]) -> Any:
    if index == schema.REFERENCE_INDEX:
        return reference_score(row, texts[index])
    return row[schema.CANDIDATES][index].get(schema.SCORE)
