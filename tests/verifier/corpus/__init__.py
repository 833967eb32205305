"""Solutions with the profiles that the verifier gives them, so that no profile changes unnoticed.

`python -m tests.verifier.corpus` (`make profiles`) computes the profiles, prints what changed and stores them.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.verifier.corpus.planted import answers, limits, plants
from trl_weighted_dpo.verifier import DIMENSIONS, KINDS, VERIFIER_VERSION, ErrorProfile, MathVerifier

FOLDER = Path(__file__).parent
PROFILES = FOLDER / "profiles.jsonl"
TEXTS = ("gsm8k.jsonl", "math.jsonl", "own.jsonl")
WORDS = "words.jsonl"
"""Texts with a place for a word, and words that each change a profile there."""
SHOWN = 3
"""Ids that are named for each kind of change."""

TIMEOUT = 120.0
"""Seconds for one symbolic comparison: so many that no clock cuts a profile of the corpus."""

_DETAILS = ("dimension", "kind", "channel", "step", "span", "expected", "found", "message")
_REASONS = re.compile(r'\b(?:correct|incorrect|undecided)\("([^"]+)"\)')

WHAT_TO_DO = """\
If the change is not what you meant, look at these solutions: `python -m tests.verifier.corpus --show ID`.
If it is:
  1. set VERIFIER_VERSION in src/trl_weighted_dpo/verifier/verifier.py to the next number
     (not needed if no release and no other branch has this number yet),
  2. fit the default calibration again if scores changed (docs/verifier.md says how), for it carries the version,
  3. add a line to CHANGELOG.md,
  4. run `make profiles` and commit tests/verifier/corpus/profiles.jsonl."""


class Stored(NamedTuple):
    """One line of `profiles.jsonl`.

    Args:
        id (`str`): Of the solution.
        verdict (`str`): Whether its final answer is right.
        reason (`str`): How that was decided.
        scores (`list[float | None]`): Of the six dimensions, in their order, to four decimals.
        findings (`list[str]`): Dimension, kind and channel of those found, each with its steps (`-` for none).
        first_faulty_step (`int`, *optional*): 0-based.
        wrongness (`float`, *optional*): To three decimals.
        absurdity (`float`, *optional*): To three decimals.
        details (`str`): Digest of the rest: the answer, what was unavailable, places, values and messages.
        text (`str`): Digest of what was verified.
    """

    id: str
    verdict: str
    reason: str
    scores: list[float | None]
    findings: list[str]
    first_faulty_step: int | None
    wrongness: float | None
    absurdity: float | None
    details: str
    text: str


def kinds() -> set[str]:
    """Every kind of finding that the verifier knows: dimension, kind and channel, as in [`Stored`]."""
    return {"/".join(key) for key in KINDS}


def reasons() -> set[str]:
    """Every reason of a verdict that the source of the verifier gives; those of a clock or a dead process apart."""
    source = FOLDER.parents[2] / "src" / "trl_weighted_dpo" / "verifier"
    return {
        reason for path in sorted(source.rglob("*.py")) for reason in _REASONS.findall(path.read_text(encoding="utf-8"))
    }


def rows() -> list[dict[str, Any]]:
    """The solutions: those in files, then the generated ones. `sound` names the finding that a sound one comes near."""
    found: list[dict[str, Any]] = []
    for name in TEXTS:
        with (FOLDER / name).open(encoding="utf-8") as file:
            found.extend(map(json.loads, file))
    with (FOLDER / WORDS).open(encoding="utf-8") as file:
        found.extend(row for line in file for row in _with_words(json.loads(line)))
    seen: Counter[str] = Counter()
    for plant in plants():
        seen[plant.finding] += 1
        given = {
            "problem": plant.problem,
            "reference_answer": plant.answer,
            "reference_solution": plant.reference,
        }
        number = f"{plant.finding}/{seen[plant.finding]}"
        found.append({"id": f"{number}/faulty", **given, "solution": plant.faulty})
        found.append({"id": f"{number}/sound", **given, "solution": plant.sound, "sound": plant.finding})
    for name, problem, solution, answer in limits():
        row_id = f"limit/{name}".replace(" ", "_")
        found.append({"id": row_id, "problem": problem, "solution": solution, "reference_answer": answer})
    for number, (reason, reference, solution) in enumerate(answers()):
        given = {"problem": "", "solution": solution, "reference_answer": reference}
        found.append({"id": f"{reason}/{number}".replace(" ", "_"), **given})
    return found


def _with_words(template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each word of a template, put in place of `{w}`."""
    for word in template["words"]:
        filled = {name: text.replace("{w}", word) for name, text in template.items() if isinstance(text, str)}
        yield {**filled, "id": f"{template['id']}/{word}"}


def computed(chosen: Iterable[Mapping[str, Any]]) -> Iterator[Stored]:
    """The profiles of rows, as they are stored."""
    with MathVerifier(timeout=TIMEOUT) as verifier:
        for row in chosen:
            yield stored_form(row, verify(verifier, row))


def verify(verifier: MathVerifier, row: Mapping[str, Any]) -> ErrorProfile:
    """The profile of a row; unlike those of `verify_many`, its problem may be empty."""
    given = row["problem"], row.get("steps", row["solution"])
    return verifier.verify(*given, row.get("reference_answer"), row.get("reference_solution"))


def stored_form(row: Mapping[str, Any], profile: ErrorProfile) -> Stored:
    """What is stored of a profile."""
    fields = profile.to_dict()
    evidence = fields["evidence"]
    details = [
        fields["answer"],
        fields["answer_is_weak"],
        sorted(fields["unavailable"]),
        [[item[name] for name in _DETAILS] for item in evidence],
    ]
    given = [row.get(name) for name in ("problem", "solution", "steps", "reference_answer", "reference_solution")]
    return Stored(
        id=row["id"],
        verdict=fields["verdict"],
        reason=fields["reason"],
        scores=[_rounded(fields["scores"][dimension], 4) for dimension in DIMENSIONS],
        findings=_by_kind(evidence),
        first_faulty_step=fields["first_faulty_step"],
        wrongness=_rounded(fields["wrongness"], 3),
        absurdity=_rounded(fields["absurdity"], 3),
        details=_digest(details),
        text=_digest(given),
    )


def _by_kind(evidence: Sequence[Mapping[str, Any]]) -> list[str]:
    steps: dict[str, list[str]] = {}
    for item in evidence:
        place = "-" if item["step"] is None else str(item["step"])
        steps.setdefault(f"{item['dimension']}/{item['kind']}/{item['channel']}", []).append(place)
    return [f"{kind} @{','.join(places)}" for kind, places in steps.items()]


def _counts(findings: Sequence[str]) -> Counter[str]:
    return Counter({kind: places.count(",") + 1 for kind, _, places in (item.partition(" @") for item in findings)})


def _rounded(value: float | None, places: int) -> float | None:
    """Rounded, as an integer if it is one, which is shorter to read."""
    rounded = None if value is None else round(value, places)
    return int(rounded) if rounded in (0, 1) else rounded


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def read_stored() -> tuple[str, dict[str, Stored]]:
    """The version of the verifier that the stored profiles are of, and the profiles by id."""
    with PROFILES.open(encoding="utf-8") as file:
        version = json.loads(next(file))["verifier_version"]
        return version, {line[0]: Stored(*line) for line in map(json.loads, file)}


def write_stored(profiles: Iterable[Stored]) -> None:
    """Stores profiles, with the version of the verifier."""
    lines = [json.dumps({"verifier_version": VERIFIER_VERSION}), *map(json.dumps, profiles)]
    PROFILES.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


class Changes:
    """What differs between stored and computed profiles, by kind of change."""

    def __init__(self, before: Mapping[str, Stored], after: Iterable[Stored]) -> None:
        self.kinds: dict[str, list[str]] = {}
        self.added: list[str] = []
        gone = dict(before)
        for new in after:
            old = gone.pop(new.id, None)
            if old is None or old.text != new.text:
                self.added.append(new.id)
            else:
                for kind in _differences(old, new):
                    self.kinds.setdefault(kind, []).append(new.id)
        self.removed = list(gone)

    def report(self) -> str:
        """One line for each kind of change, with the first ids."""
        lines = [f"{kind}: {_some(ids)}" for kind, ids in sorted(self.kinds.items())]
        lines += [f"new or edited texts: {_some(self.added)}"] if self.added else []
        lines += [f"stored, but no longer a text: {_some(self.removed)}"] if self.removed else []
        return "\n".join(lines)


def _some(ids: Sequence[str]) -> str:
    return f"{len(ids)} ({', '.join(ids[:SHOWN])}{', ...' if len(ids) > SHOWN else ''})"


def _differences(old: Stored, new: Stored) -> Iterator[str]:
    if old.verdict != new.verdict:
        yield f"verdict {old.verdict} -> {new.verdict}"
    if old.reason != new.reason:
        yield f"reason {old.reason!r} -> {new.reason!r}"
    mine, yours = _counts(old.findings), _counts(new.findings)
    for kind in sorted(mine.keys() | yours.keys()):
        if mine[kind] != yours[kind]:
            yield f"{kind}: {'fewer' if mine[kind] > yours[kind] else 'more'}"
    if mine == yours and old.findings != new.findings:
        yield "steps of findings"
    for dimension, first, second in zip(DIMENSIONS, old.scores, new.scores, strict=True):
        if first != second:
            yield f"score of {dimension}"
    for name in ("first_faulty_step", "wrongness", "absurdity"):
        if getattr(old, name) != getattr(new, name):
            yield name
    if old.findings == new.findings and old.details != new.details:
        yield "answer, places, values or messages"
