"""What mining knows of a pool row's candidates, kept apart from the choice of pairs.

This part is costly and depends on few settings, so that other pairs can be chosen without verifying again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import is_encodable, row_error, solution_rows
from trl_weighted_dpo.core.rendering import trained_row
from trl_weighted_dpo.core.thinking import UNFINISHED_THINKING, split_thinking
from trl_weighted_dpo.mining.outline import ProximityParts, proximity_parts, read_outline, why_alike
from trl_weighted_dpo.scoring.reference_solution import render_reference
from trl_weighted_dpo.settings.mining import AssessmentConfig
from trl_weighted_dpo.verifier.aggregates import Weights, severity
from trl_weighted_dpo.verifier.many import verify_many
from trl_weighted_dpo.verifier.profile import DIMENSIONS, Verdict
from trl_weighted_dpo.verifier.verifier import MathVerifier

WRONG_ANSWER = "wrong_answer"
FLAWED_REASONING = "flawed_reasoning"
KINDS = (WRONG_ANSWER, FLAWED_REASONING)
"""Kinds of negatives: a wrong answer, or a right one that was reached by flawed reasoning."""

FLAGGED = 0.5
"""Score of a dimension, `final_answer` apart, from which it flags a solution: it is then as likely as not that there is
an error. Ours; see the verifier's figures for what each finding scores."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is known of one candidate, or of the reference solution.

    Args:
        index (`int`): Position among the candidates; `schema.REFERENCE_INDEX` for the reference solution.
        verdict (`str`): Of its profile.
        unusable (`str`, *optional*): Why it can be neither chosen nor rejected; `None` if it can.
        answer (`str`, *optional*): Its answer.
        wrongness, absurdity, severity (`float`, *optional*): Of its profile, in [0, 1]; severity by the weights of the
            verifier.
        flagged (`bool`): Whether a dimension other than `final_answer` has a score of at least `FLAGGED`.
        first_faulty_step (`int`, *optional*): Of its profile.
        found (`tuple[str, ...]`): The dimensions with a score above 0.
        length (`int`): Completion tokens if it is scored, else characters.
        confidence, nll (`float`, *optional*): Mean token probability and mean negative log-prob in nats, if it is
            scored.
        proximity (`Mapping[int, ProximityParts]`): To each correct one, by index; of negatives only.
        alike (`Mapping[int, str]`): Why it is too much like a correct one, by that one's index; of negatives only.
    """

    index: int
    verdict: str
    unusable: str | None
    answer: str | None
    wrongness: float | None
    absurdity: float | None
    severity: float | None
    flagged: bool
    first_faulty_step: int | None
    found: tuple[str, ...]
    length: int
    confidence: float | None
    nll: float | None
    proximity: Mapping[int, ProximityParts]
    alike: Mapping[int, str]

    @property
    def negative_kind(self) -> str | None:
        """Its kind as a negative; `None` if it is none."""
        if self.unusable is not None or self.index == schema.REFERENCE_INDEX:
            return None
        if self.verdict == Verdict.INCORRECT.value:
            return WRONG_ANSWER
        is_flawed = self.verdict == Verdict.CORRECT.value and self.flagged and self.first_faulty_step is not None
        return FLAWED_REASONING if is_flawed else None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types; [`from_dict`] reads them back."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return parts | {
            "found": list(self.found),
            "proximity": [[index, *asdict(parts).values()] for index, parts in self.proximity.items()],
            "alike": list(self.alike.items()),
        }

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Self:
        """What [`to_dict`] wrote."""
        proximity = {index: ProximityParts(*values) for index, *values in parts["proximity"]}
        return cls(**{**parts, "found": tuple(parts["found"]), "proximity": proximity, "alike": dict(parts["alike"])})


def order_key(seed: int, problem: str, *texts: str) -> bytes:
    """What puts texts of a problem in an order that depends on the seed and on nothing around them."""
    return hashlib.sha256("\0".join((str(seed), problem, *texts)).encode(errors="surrogatepass")).digest()


def rendered_reference(row: Mapping[str, Any]) -> str | None:
    """The reference solution in the candidates' form; `None` if there is none."""
    solutions = [candidate[schema.SOLUTION] for candidate in row[schema.CANDIDATES]]
    return render_reference(row.get(schema.REFERENCE_SOLUTION), row.get(schema.REFERENCE_ANSWER), solutions)


def reference_score(row: Mapping[str, Any], rendered: str | None) -> Mapping[str, Any] | None:
    """The score of the rendered reference solution; `None` if there is none, or it is of another text."""
    if rendered is None or row.get(schema.RENDERED_REFERENCE) != rendered:
        return None
    score: Mapping[str, Any] | None = row.get(schema.REFERENCE_SCORE)
    return score


def assess_row(row: Mapping[str, Any], verifier: MathVerifier, config: AssessmentConfig) -> list[Assessed]:
    """Verify the candidates of a checked pool row that bring no profile, and compare negatives with correct ones.

    Args:
        row (`Mapping[str, Any]`):
            Pool row, its candidates with or without `profile` and `score`. A profile is taken as it is.
        verifier ([`MathVerifier`]):
            For those without; its calibration weighs the dimensions of a severity.
        config ([`AssessmentConfig`]):
            What is looked at.

    Returns:
        One entry for each candidate, in order, and one for the reference solution if it is looked at and correct.
    """
    row = trained_row(row, config.train_on)
    candidates = row[schema.CANDIDATES]
    unusable = _unusable(row, config)
    looked_at = [index for index in range(len(candidates)) if unusable[index] is None]
    profiles = dict(zip(looked_at, _profiles(row, looked_at, verifier), strict=True))
    is_scored = any(candidate.get(schema.SCORE) is not None for candidate in candidates)
    weights = verifier.calibration.weights(bool(row.get(schema.REFERENCE_SOLUTION)))
    assessed = []
    for index, candidate in enumerate(candidates):
        profile, score, why = profiles.get(index), candidate.get(schema.SCORE), unusable[index]
        if why is None and is_scored:
            why = _why_not_scored(score)
        is_guess = profile is not None and profile["answer_is_weak"] and profile["verdict"] == "incorrect"
        if why is None and is_guess and not config.allow_weak_answers:
            why = "weak answer"
        assessed.append(_assessed(index, candidate[schema.SOLUTION], profile, score, why, weights))
    texts = {index: candidate[schema.SOLUTION] for index, candidate in enumerate(candidates)}
    if config.with_reference and (reference := _assessed_reference(row, verifier, is_scored)) is not None:
        texts[schema.REFERENCE_INDEX] = reference[0]
        assessed.append(reference[1])
    return _compared(assessed, texts)


def check_scored(row: Mapping[str, Any], config: AssessmentConfig, index: int, source: str) -> None:
    """Check that a row's scores are those of what is trained on.

    Raises:
        [`~core.checks.SchemaError`]: If they are of texts with thoughts, and only answers are trained on, or the other
            way round.
    """
    trained_on = row.get(schema.TRAINED_ON) or "all"
    candidates = row[schema.CANDIDATES]
    if trained_on == config.train_on or all(candidate.get(schema.SCORE) is None for candidate in candidates):
        return
    if any(split_thinking(candidate[schema.SOLUTION]) is not None for candidate in candidates):
        hint = f"The pool was scored so, but train_on is {config.train_on!r}: score it again with the same, or mine so."
        raise row_error(source, index, schema.TRAINED_ON, trained_on, hint)


def _unusable(row: Mapping[str, Any], config: AssessmentConfig) -> list[str | None]:
    """Why candidates are not even looked at."""
    texts = [candidate[schema.SOLUTION] for candidate in row[schema.CANDIDATES]]
    reasons: list[str | None] = []
    seen: set[str] = set()
    for candidate, text in zip(row[schema.CANDIDATES], texts, strict=True):
        spaced = " ".join(text.split())
        why = None
        if not is_encodable(text):
            why = "no valid Unicode"
        elif not spaced:
            why = "empty"
        elif candidate.get(schema.TRUNCATED) is True:
            # Training puts an EOS after it, where the model did not end.
            why = "cut when it was sampled"
        elif (split := split_thinking(text)) is not None and split.is_open:
            why = UNFINISHED_THINKING
        elif spaced in seen:
            why = "repeated"
        reasons.append(why)
        seen.add(spaced)
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    kept.sort(key=lambda index: order_key(config.seed, row[schema.PROBLEM], texts[index]))
    for index in kept[config.max_candidates :]:
        reasons[index] = "beyond max_candidates"
    return reasons


def _profiles(row: Mapping[str, Any], indices: Sequence[int], verifier: MathVerifier) -> list[Mapping[str, Any]]:
    candidates = row[schema.CANDIDATES]
    solutions = solution_rows(row)
    missing = [index for index in indices if candidates[index].get(schema.PROFILE) is None]
    fresh = dict(zip(missing, verify_many(verifier, [solutions[index] for index in missing]), strict=True))
    return [fresh[index].to_dict() if index in fresh else candidates[index][schema.PROFILE] for index in indices]


def _why_not_scored(score: Mapping[str, Any] | None) -> str | None:
    if score is None:
        return "not scored"
    return "truncated by the maximum length" if score["truncated"] or not score["tokens"] else None


def _assessed(
    index: int,
    text: str,
    profile: Mapping[str, Any] | None,
    score: Mapping[str, Any] | None,
    unusable: str | None,
    weights: Weights,
) -> Assessed:
    checked: Mapping[str, float | None] = (profile["scores"] or {}) if profile is not None else {}
    # Dimensions that plugins add are for reading: what they find is not known to tell right from wrong.
    scores = {name: checked.get(name) for name in DIMENSIONS}
    process = [value for name, value in scores.items() if value is not None and name != "final_answer"]
    return Assessed(
        index=index,
        verdict=profile["verdict"] if profile is not None else Verdict.UNDECIDED.value,
        unusable=unusable,
        answer=profile["answer"] if profile is not None else None,
        wrongness=profile["wrongness"] if profile is not None else None,
        absurdity=profile["absurdity"] if profile is not None else None,
        severity=severity(scores, weights),
        flagged=max(process, default=0.0) >= FLAGGED,
        first_faulty_step=profile["first_faulty_step"] if profile is not None else None,
        found=tuple(name for name, value in checked.items() if value),
        length=score["tokens"] if score is not None else len(text),
        confidence=score["confidence"] if score is not None else None,
        nll=-score["mean_logp"] if score is not None and score["tokens"] else None,
        proximity={},
        alike={},
    )


def _assessed_reference(row: Mapping[str, Any], verifier: MathVerifier, is_scored: bool) -> tuple[str, Assessed] | None:
    text = rendered_reference(row)
    score = reference_score(row, text)
    if text is None or (is_scored and _why_not_scored(score) is not None):
        return None
    solution = {column: row.get(column) for column in (schema.PROBLEM, schema.REFERENCE_ANSWER)}
    profile = next(verify_many(verifier, [{**solution, schema.SOLUTION: text}])).to_dict()
    if profile["verdict"] != Verdict.CORRECT.value:
        return None
    # Its process is not checked: without another reference, a dimension may take what it does not know for an error.
    sound = {**profile, "scores": {}, "first_faulty_step": None}
    return text, _assessed(schema.REFERENCE_INDEX, text, sound, score, None, verifier.calibration.without_solution)


def _compared(assessed: list[Assessed], texts: Mapping[int, str]) -> list[Assessed]:
    negatives = [one for one in assessed if one.negative_kind is not None]
    correct = [one for one in assessed if one.unusable is None and one.verdict == Verdict.CORRECT.value]
    if not negatives or not correct:
        return assessed

    indices = {one.index for one in (*negatives, *correct)}
    outlines = {index: read_outline(texts[index]) for index in indices}
    result = []
    for one in assessed:
        if one.negative_kind is not None:
            others = [other for other in correct if other.index != one.index]
            near = {other.index: proximity_parts(outlines[one.index], outlines[other.index]) for other in others}
            reasons = {other.index: why_alike(outlines[other.index], outlines[one.index]) for other in others}
            alike = {index: reason for index, reason in reasons.items() if reason is not None}
            one = replace(one, proximity=near, alike=alike)
        result.append(one)
    return result
