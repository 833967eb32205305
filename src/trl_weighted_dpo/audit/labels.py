"""Checks that chosen is correct and rejected incorrect, by verifying both against references."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo.audit.pairs import Pair, comparable, text_digest
from trl_weighted_dpo.audit.report import CheckResult, skipped, tally_of
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_solution_row
from trl_weighted_dpo.core.pairs import PairError
from trl_weighted_dpo.core.thinking import without_thought
from trl_weighted_dpo.mining.assessment import FLAGGED, FLAWED_REASONING
from trl_weighted_dpo.settings.audit import AuditConfig
from trl_weighted_dpo.verifier.files import RowsWithProfiles, verify_into
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.answer import read_answer
from trl_weighted_dpo.verifier.verifier import MathVerifier

_FINAL_ANSWER = "final_answer"
_ENDS = re.compile(r"(?:\s*(?:<\|[\w ]{1,40}\|>|</s>|<eos>|<end_of_turn>))+\s*\Z")
_Reference = tuple[str, str | None, str | None]
"""Problem, reference answer, reference solution."""


class References:
    """The references of problems, by id and by text; all of them are kept in memory.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Rows with `problem`, `reference_answer` or `reference_solution` and, optionally, `id`, such as pool rows.
        source (`str`): Where they come from, for messages.

    Raises:
        [`~core.checks.SchemaError`]: If a row has no problem, or a reference is no text.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], source: str) -> None:
        self._entries: list[_Reference] = []
        self._by_id: dict[str, int] = {}
        self._by_text: dict[bytes, int] = {}
        for index, row in enumerate(rows):
            # A problem without a solution is checked as one with an empty solution.
            check_solution_row({**row, schema.SOLUTION: "", schema.STEPS: None}, index, source)
            answer, solution = row.get(schema.REFERENCE_ANSWER), row.get(schema.REFERENCE_SOLUTION)
            if answer is None and solution is None:
                continue
            # Mining names a problem without an id by its position.
            self._by_id.setdefault(str(row.get(schema.ID) or index), len(self._entries))
            self._by_text.setdefault(text_digest(comparable(row[schema.PROBLEM])), len(self._entries))
            self._entries.append((row[schema.PROBLEM], answer, solution))

    def find(self, pair: Pair) -> _Reference | None:
        """The reference of a pair: by its `problem_id` if that problem is in its prompt, else by the problem's text."""
        place = self._by_id.get(str(pair.columns.get(schema.PROBLEM_ID)))
        if place is not None and comparable(self._entries[place][0]) in pair.prompt_key:
            return self._entries[place]
        for text in (pair.prompt_key, comparable(pair.problem)):
            if (place := self._by_text.get(text_digest(text))) is not None:
                return self._entries[place]
        return None


class LabelChecks:
    """Looks at one pair after the other for references; then verifies those that have one, in another reading.

    Args:
        config ([`AuditConfig`]): What is tolerated.
        references ([`References`], *optional*): Those of a file; a pair's own columns come first.
        verifier ([`MathVerifier`]): Verifies, and compares answers where there is no reference.
    """

    def __init__(self, config: AuditConfig, references: References | None, verifier: MathVerifier) -> None:
        self._references, self._verifier = references, verifier
        self._mislabelled, self._flagged = tally_of(config, "mislabelled"), tally_of(config, "flagged_chosen")
        self._unverified = tally_of(config, "unverified")
        self._compared: list[tuple[int, str]] = []
        self._is_compared = 0

    def add(self, pair: Pair) -> None:
        """Looks at a pair.

        Raises:
            [`PairError`]: If a reference column holds no text.
        """
        if self._reference(pair) is not None:
            self._mislabelled.of += 1
            return
        answers = None if pair.columns.get(schema.KIND) == FLAWED_REASONING else _answers(pair)
        if answers is None:
            return
        self._mislabelled.of += 1
        self._is_compared += 1
        if self._verifier.compare(*answers).verdict is Verdict.CORRECT:
            self._compared.append(
                (pair.row, "chosen and rejected give the same answer: {!r} and {!r}".format(*answers))
            )

    def _reference(self, pair: Pair) -> _Reference | None:
        own = [pair.columns.get(column) for column in (schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)]
        if own == [None, None]:
            return self._references.find(pair) if self._references is not None else None
        for column, value in zip((schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION), own, strict=True):
            if value is not None and not isinstance(value, str):
                raise PairError(f"{column} is of type {type(value).__name__}: quote numbers")
        # Completions that share nothing have no implicit prompt, and so no problem.
        return (pair.problem, own[0], own[1]) if pair.problem.strip() else None

    def verify(self, pairs: Callable[[], Iterator[Pair]], journal: Path, workers: int, source: str) -> None:
        """Verifies the pairs that have a reference.

        Args:
            pairs (`Callable[[], Iterator[Pair]]`): Gives all pairs, again and again.
            journal (`Path`): Takes the verdicts, and gives those of an earlier run.
            workers (`int`): Processes to verify in.
            source (`str`): Where the pairs come from, for messages.
        """
        total = self._mislabelled.of - self._is_compared
        found = list(self._compared)
        if total:
            verify_into(journal, self._pool_rows(pairs()), self._verifier, workers, source, total)
            for row in RowsWithProfiles(self._pool_rows(pairs()), journal):
                chosen, rejected = (candidate[schema.PROFILE] for candidate in row[schema.CANDIDATES])
                self._check(row["row"], row[schema.KIND], chosen, rejected, found)
        for place, detail in sorted(found):
            self._mislabelled.add(place, detail)

    def _pool_rows(self, pairs: Iterator[Pair]) -> Iterator[dict[str, Any]]:
        for pair in pairs:
            reference = self._reference(pair)
            if reference is not None:
                completions = (pair.chosen, pair.rejected)
                yield {
                    "row": pair.row,
                    schema.KIND: pair.columns.get(schema.KIND),
                    schema.PROBLEM: reference[0],
                    schema.REFERENCE_ANSWER: reference[1],
                    schema.REFERENCE_SOLUTION: reference[2],
                    schema.CANDIDATES: [{schema.SOLUTION: _ENDS.sub("", text)} for text in completions],
                }

    def _check(
        self,
        row: int,
        kind: str | None,
        chosen: Mapping[str, Any],
        rejected: Mapping[str, Any],
        found: list[tuple[int, str]],
    ) -> None:
        self._flagged.of += 1
        self._unverified.of += 1
        verdicts = (chosen[schema.VERDICT], rejected[schema.VERDICT])
        if Verdict.UNDECIDED.value in verdicts:
            undecided = ((n, p) for n, p in ((schema.CHOSEN, chosen), (schema.REJECTED, rejected)))
            told = (f"{n}: {p['reason']}" for n, p in undecided if p[schema.VERDICT] == Verdict.UNDECIDED.value)
            self._unverified.add(row, "undecided; " + ", ".join(told))
        if verdicts[0] == Verdict.INCORRECT.value:
            found.append((row, f"chosen is incorrect: it answers {chosen['answer']!r} ({chosen['reason']})"))
        elif verdicts[1] == Verdict.CORRECT.value and kind != FLAWED_REASONING:
            found.append((row, f"rejected is correct: it answers {rejected['answer']!r} ({rejected['reason']})"))
        elif verdicts[1] == Verdict.CORRECT.value and not _flags(rejected):
            found.append((row, "rejected is correct, and nothing is wrong with its reasoning either"))
        flags = _flags(chosen)
        if flags and verdicts[0] != Verdict.INCORRECT.value:
            worst = max(flags, key=lambda name: chosen[schema.SCORES][name])
            messages = (item["message"] for item in chosen["evidence"] if item["dimension"] == worst)
            self._flagged.add(row, f"{worst}: {next(messages, 'no evidence')}")

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at and verified."""
        verified = self._mislabelled.of - self._is_compared
        if not self._mislabelled.of:
            yield skipped(self._mislabelled.name, "no references, and no answers to compare")
        else:
            weaker = f"{self._is_compared} without a reference: only that the two answers differ"
            notes = [f"{verified} verified"] * bool(verified) + [weaker] * bool(self._is_compared)
            yield self._mislabelled.result("; ".join(notes))
        for tally in (self._flagged, self._unverified):
            yield tally.result() if verified else skipped(tally.name, "no references")


def _answers(pair: Pair) -> tuple[str, str] | None:
    """The two final answers: from the columns if they are there, else as the answer lines give them; else `None`."""
    found = []
    for column, text in ((schema.CHOSEN_ANSWER, pair.chosen), (schema.REJECTED_ANSWER, pair.rejected)):
        answer = pair.columns.get(column)
        if column not in pair.columns:
            read = read_answer(without_thought(_ENDS.sub("", text)))
            answer = read.text if read is not None and not read.is_weak else None
        if not isinstance(answer, str) or not answer.strip():
            return None
        found.append(answer)
    return found[0], found[1]


def _flags(profile: Mapping[str, Any]) -> list[str]:
    """The dimensions that flag a solution, `final_answer` apart, as mining counts them."""
    scores = profile[schema.SCORES]
    return [name for name, score in scores.items() if name != _FINAL_ANSWER and score is not None and score >= FLAGGED]
