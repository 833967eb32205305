"""The verifier: a solution in, an error profile out."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trl_weighted_dpo.core.checks import NAME_HINT, is_name
from trl_weighted_dpo.core.identity import digest, function_identity
from trl_weighted_dpo.core.printing import described
from trl_weighted_dpo.core.thinking import UNFINISHED_THINKING, split_thinking, without_thought
from trl_weighted_dpo.core.workers import WorkerError, Workers
from trl_weighted_dpo.verifier.aggregates import (
    Calibration,
    absurdity,
    default_calibration,
    read_calibration,
    wrongness,
)
from trl_weighted_dpo.verifier.answers.equivalence import compare, compare_answer, reference_text
from trl_weighted_dpo.verifier.answers.scalars import Decision, undecided
from trl_weighted_dpo.verifier.dimensions import DIMENSION_CHECKS
from trl_weighted_dpo.verifier.facts import (
    Facts,
    answer_value,
    passage_of,
    read_passage,
    read_problem,
    read_reference,
    read_thought,
    unknown_values,
)
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding
from trl_weighted_dpo.verifier.localization import first_faulty_step
from trl_weighted_dpo.verifier.many import VerificationReport, verify_many
from trl_weighted_dpo.verifier.mapping import VerifyBatch
from trl_weighted_dpo.verifier.profile import DIMENSIONS, ErrorProfile, Verdict
from trl_weighted_dpo.verifier.reading.answer import Answer, read_answer
from trl_weighted_dpo.verifier.reading.passage import MAX_READ
from trl_weighted_dpo.verifier.routes.tracing import read_trace
from trl_weighted_dpo.verifier.thought import Parts, read_parts, sure, with_thought
from trl_weighted_dpo.verifier.view import DimensionCheck, SolutionView, view_of

VERIFIER_VERSION = "4"
"""Result version of profiles: it changes whenever a profile may."""


class MathVerifier:
    """Checks solutions of math problems by rules, without a judge model.

    Safe to share between threads and to pickle; the same solution gets the same profile in every process, unless a
    clock cut it, which its `reason` then says. Model text is never executed, imported or evaluated.

    Args:
        timeout (`float`, *optional*, defaults to `5.0`):
            Seconds that one symbolic comparison may take, above 0. Past it the verdict is undecided, with the reason
            `"timeout"`.
        memory_mib (`int`, *optional*, defaults to `2048`):
            Address space of a worker process in MiB, at least 512; past it the verdict is undecided, with the reason
            `"memory limit"`.
        max_workers (`int`, *optional*, defaults to `1`):
            Worker processes that may run at once, at least 1. They start with the first comparison that needs
            symbolic mathematics; plain numbers never do.
        calibration (`Calibration`, *optional*):
            The weights of wrongness; those that come with the package by default. [`from_calibration`] reads others.
        checks (`Mapping[str, Callable[[SolutionView], DimensionResult]]`, *optional*):
            Functions that check dimensions, by dimension: one of the six in place of the package's own, or one more,
            named by a lower-case identifier. Its score and evidence stand in the profile after those of the six, and
            wrongness and absurdity leave it out. For several processes they have to be functions of a module, which
            can be pickled. With a check in place of one of the six the weights of wrongness are no longer calibrated.

    Raises:
        `ValueError`: If an argument is out of its range, or `checks` names what can be no dimension, or has the name of
            one of the six misspelt.
        `TypeError`: If one of `checks` cannot be called.

    Example:

    ```python
    >>> with MathVerifier() as verifier:
    ...     verifier.verify("What is 6 x 7?", "6 x 7 = 43\\nA: 43", reference_answer="42").verdict
    <Verdict.INCORRECT: 'incorrect'>
    ```
    """

    def __init__(
        self,
        timeout: float = 5.0,
        memory_mib: int = 2048,
        max_workers: int = 1,
        calibration: Calibration | None = None,
        checks: Mapping[str, DimensionCheck] | None = None,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}, but a comparison needs some seconds: pass a number above 0.")
        if memory_mib < 512:
            raise ValueError(f"memory_mib is {memory_mib}, but a worker cannot load below 512 MiB.")
        if max_workers < 1:
            raise ValueError(f"max_workers is {max_workers}, but symbolic comparisons need at least 1.")
        for dimension, check in (checks or {}).items():
            _check_dimension(dimension)
            if not callable(check):
                raise TypeError(
                    f"checks[{dimension!r}] is {described(check)}, but it is a function from SolutionView to "
                    "DimensionResult."
                )
        self.timeout = timeout
        self.memory_mib = memory_mib
        self._workers = Workers("trl_weighted_dpo.verifier.answers.symbolic", timeout, memory_mib, max_workers)
        self._calibration = calibration if calibration is not None else default_calibration()
        self._own = dict(checks or {})

    @classmethod
    def from_calibration(cls, path: str | Path, **options: Any) -> Self:
        """Returns a verifier whose wrongness has the weights that `weighted-dpo calibrate` wrote to `path`.

        Args:
            path (`str` or `Path`): The file.
            **options: The other arguments of [`MathVerifier`].

        Raises:
            `ValueError`: If it is no such file, or one for another version of the verifier.
            `OSError`: If it cannot be read.
        """
        return cls(calibration=read_calibration(path, VERIFIER_VERSION), **options)

    @property
    def calibration(self) -> Calibration:
        """The weights of wrongness."""
        return self._calibration

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that it checks: the six, then those that were added."""
        return tuple(DIMENSION_CHECKS | self._own)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a profile besides the row, in plain JSON types: for the keys of journals and caches.

        A check of a plugin counts by name and version of the plugin, another one as
        [`~core.identity.function_identity`] says. `max_workers` decides speed only.
        """
        return {
            "version": VERIFIER_VERSION,
            "calibration": digest(self._calibration),
            "timeout": self.timeout,
            "memory_mib": self.memory_mib,
            "checks": {name: _check_identity(name, check) for name, check in self._own.items()},
        }

    def verify(
        self,
        problem: str,
        solution: str | Sequence[str],
        reference_answer: str | None = None,
        reference_solution: str | None = None,
    ) -> ErrorProfile:
        """Returns the error profile of a solution.

        Args:
            problem (`str`):
                The problem.
            solution (`str` or `Sequence[str]`):
                The solution, as text, whose steps are its lines, or as its steps. Spans count characters of the text,
                or of the steps joined by newlines.
            reference_answer (`str`, *optional*):
                The right final answer. Without it, the final answer of `reference_solution` is taken.
            reference_solution (`str`, *optional*):
                A worked solution.

        Raises:
            `TypeError`: If an argument is of another type, or a check of one's own gives something else than a
                [`DimensionResult`].
            `ValueError`: If such a check gives a score outside [0, 1], or evidence for another dimension.
        """
        facts, parts = self._read(problem, solution, reference_answer, reference_solution)
        results = {dimension: check(facts) for dimension, check in DIMENSION_CHECKS.items()}
        if self._own:
            view = view_of(facts, results)
            results |= {name: _checked_result(name, check, view) for name, check in self._own.items()}
        if parts is None:
            first = first_faulty_step(facts, results.values())
        else:
            results, first = with_thought(facts, results, parts)
        scores = {dimension: result.score for dimension, result in results.items()}
        found = (item for result in results.values() for item in result.evidence)
        evidence = tuple(sorted(found, key=_place))
        unavailable = dict.fromkeys(item for result in results.values() for item in result.unavailable)
        if facts.solution.was_cut:
            unavailable[f"text after {MAX_READ} characters"] = None
        if facts.thought is not None and facts.thought.passage.was_cut:
            unavailable[f"thought after {MAX_READ} characters"] = None
        answer = facts.answer
        return ErrorProfile(
            verdict=facts.decision.verdict,
            reason=facts.decision.reason,
            answer=answer.text if answer is not None else None,
            answer_is_weak=answer is not None and answer.is_weak,
            scores=scores,
            evidence=evidence,
            first_faulty_step=first,
            wrongness=wrongness(scores, self._calibration.weights(facts.reference is not None)),
            absurdity=absurdity(scores, evidence),
            unavailable=tuple(unavailable),
        )

    def view(
        self,
        problem: str,
        solution: str | Sequence[str],
        reference_answer: str | None = None,
        reference_solution: str | None = None,
    ) -> SolutionView:
        """Returns what a check of your own gets to see of a solution, to try the check out. Arguments and errors are
        those of [`verify`]."""
        facts, _ = self._read(problem, solution, reference_answer, reference_solution)
        return view_of(facts, {dimension: check(facts) for dimension, check in DIMENSION_CHECKS.items()})

    def _read(
        self,
        problem: str,
        solution: str | Sequence[str],
        reference_answer: str | None,
        reference_solution: str | None,
    ) -> tuple[Facts, Parts | None]:
        """What is known of a solution; of one with a thought, of its answer part, and where the two parts are."""
        _check_arguments(problem, solution, reference_answer, reference_solution)
        parts = read_parts(solution)
        passage = read_passage(solution) if parts is None else passage_of(parts.split.answer.text, parts.answer.steps)
        answer = read_answer(passage.text)
        expected = _expected(reference_answer, reference_solution)
        target = answer_value(expected)
        given_problem, given = read_problem(problem)
        worked = _worked(reference_solution)
        reference, route = read_reference(worked, problem, target) if worked else (None, None)
        unknowns = unknown_values(problem, target)
        thought = None
        if parts is not None:
            answer = sure(answer, passage.text)
            said = parts.split.thought.text, parts.thought.steps
            thought = read_thought(*said, given_problem, given, route, unknowns)
            given |= thought.values
        trace = read_trace(passage, given_problem, given, route, unknowns, thought.trace if thought else None)
        return Facts(
            solution=passage,
            problem=given_problem,
            given=given,
            reference=reference,
            route=route,
            trace=trace,
            answer=answer,
            expected=expected,
            target=target,
            decision=self._decide(expected, answer, parts),
            thought=thought,
        ), parts

    def _decide(self, expected: str | None, answer: Answer | None, parts: Parts | None) -> Decision:
        if parts is not None and parts.split.is_open:
            return undecided(UNFINISHED_THINKING)
        if expected is None:
            return undecided("no reference answer")
        if parts is not None and not parts.split.is_answered:
            return undecided("no answer after thinking")
        return compare_answer(expected, answer, self._symbolic)

    def _symbolic(self, reference: str, found: str) -> Decision:
        try:
            verdict, reason = self._workers.run("trl_weighted_dpo.verifier.answers.symbolic:decide", reference, found)
        except WorkerError as error:
            return undecided(str(error))
        return Decision(Verdict(verdict), reason)

    def compare(self, reference: str, found: str) -> Decision:
        """Decides whether `found` gives the same final answer as `reference`; both may be texts that end in one."""
        split = split_thinking(found)
        if split is not None and split.is_open:
            return undecided(UNFINISHED_THINKING)
        return compare(without_thought(reference), found if split is None else split.answer.text, self._symbolic)

    def verify_many(
        self,
        rows: Iterable[Mapping[str, Any]],
        workers: int = 1,
        source: str = "rows",
        report: VerificationReport | None = None,
    ) -> Iterator[ErrorProfile]:
        """Yields the profiles of many solutions, in order, as [`verify`] gives them.

        Rows are read only a little ahead, so that memory stays flat however many there are. A solution that the
        verifier fails on is undecided, with the reason `"error: ..."`; with several processes, one that ends its
        process or hangs is undecided too, with the reason `"worker died"`, `"memory limit"` or `"timeout"`.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                Solution rows (see [`check_solution_row`]).
            workers (`int`, *optional*, defaults to `1`):
                Processes to verify in, at least 1; 1 is this process.
            source (`str`, *optional*, defaults to `"rows"`):
                Where the rows come from, for messages.
            report ([`VerificationReport`], *optional*):
                Brought up to date with every profile.

        Raises:
            [`~core.checks.SchemaError`]: If a row is not a solution row; the profiles before it come first.
            `ChildProcessError`: If the processes cannot start.
            `TypeError`, `ValueError`: If `workers` is no whole number, or out of its range.
        """
        return verify_many(self, rows, workers, source, report)

    def map_function(self) -> VerifyBatch:
        """Returns a function for `datasets.map(..., batched=True)` that adds profiles: see [`VerifyBatch`]."""
        return VerifyBatch(self)

    def close(self) -> None:
        """Ends the worker processes; they also end with the verifier and with the interpreter."""
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_identity(name: str, check: DimensionCheck) -> str:
    from trl_weighted_dpo import plugins

    if plugins.dimensions().get(name) == check:
        return plugins.identity("dimensions", name)
    return function_identity(check)


def _check_arguments(problem: Any, solution: Any, reference_answer: Any, reference_solution: Any) -> None:
    if not isinstance(problem, str):
        raise TypeError(f'problem is {described(problem)}, but it is a text: pass "" if there is none.')
    if not isinstance(solution, str):
        if not isinstance(solution, Sequence) or isinstance(solution, bytes | bytearray):
            raise TypeError(
                f"solution is {described(solution)}, but it is a text or the list of its steps: pass list(...) of an "
                "iterator."
            )
        for index, step in enumerate(solution):
            if not isinstance(step, str):
                raise TypeError(f"solution[{index}] is {described(step)}, but each step is a text.")
    for name, value in (("reference_answer", reference_answer), ("reference_solution", reference_solution)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is {described(value)}, but it is a text or None: pass str(...) of a number.")


def _check_dimension(name: Any) -> None:
    if name in DIMENSIONS:
        return
    there = f"the dimensions are {', '.join(DIMENSIONS)}"
    if not is_name(name):
        raise ValueError(f"checks has {name!r}, but {there}, or one more. {NAME_HINT}")
    meant = difflib.get_close_matches(name, DIMENSIONS, 1, 0.9)
    if meant:
        raise ValueError(f"checks has {name!r}, but {there}: write {meant[0]!r}, or call one more something else.")


def _checked_result(dimension: str, check: DimensionCheck, view: SolutionView) -> DimensionResult:
    result: object = check(view)
    name = f"the check {getattr(check, '__qualname__', repr(check))!r} of {dimension}"
    if not isinstance(result, DimensionResult):
        raise TypeError(f"{name} gave {described(result)}, but a check gives a DimensionResult.")
    evidence: object = result.evidence
    if not isinstance(evidence, tuple) or not all(isinstance(item, Finding) for item in evidence):
        raise TypeError(f"{name} gave the evidence {described(evidence)}, but it is a tuple of Finding.")
    for item in result.evidence:
        if item.dimension != dimension:
            raise ValueError(f"{name} gave evidence for {described(item.dimension)}: write {dimension!r} there.")
    score: object = result.score
    if score is not None and (not isinstance(score, int | float) or not 0 <= score <= 1):
        raise ValueError(f"{name} gave the score {described(score)}, but a score is a number in [0, 1], or None.")
    return result


def _place(item: Finding) -> tuple[bool, int, bool, tuple[int, int]]:
    """The order of the text; what is in no step, or nowhere in its step, comes last."""
    return item.step is None, item.step or 0, item.span is None, item.span or (0, 0)


def _expected(reference_answer: str | None, reference_solution: str | None) -> str | None:
    if reference_answer is None and reference_solution is not None:
        worked = read_answer(without_thought(reference_solution))
        reference_answer = worked.text if worked is not None and not worked.is_weak else None
    return reference_text(reference_answer) if reference_answer is not None else None


def _worked(reference_solution: str | None) -> str | None:
    """What a reference solution derives: its answer part, unless all of the work is in its thought."""
    if not reference_solution:
        return reference_solution
    answer = without_thought(reference_solution)
    return answer if "=" in answer else reference_solution
