"""The verifier: a solution in, an error profile out."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from trl_weighted_dpo.verifier.dimensions import final_answer
from trl_weighted_dpo.verifier.equivalence import compare, compare_answer, reference_text
from trl_weighted_dpo.verifier.profile import ErrorProfile, Verdict
from trl_weighted_dpo.verifier.reading.answer import Answer, read_answer
from trl_weighted_dpo.verifier.scalars import Decision, undecided
from trl_weighted_dpo.verifier.workers import WorkerError, Workers

VERIFIER_VERSION = "1"
"""Names the verifier's behaviour in caches; it changes whenever a profile may."""


class MathVerifier:
    """Judges solutions of math problems by rules, without a judge model.

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

    Raises:
        `ValueError`: If an argument is out of its range.

    Example:

    ```python
    >>> with MathVerifier() as verifier:
    ...     verifier.verify("What is 6 x 7?", "6 x 7 = 43\\nA: 43", reference_answer="42").verdict
    <Verdict.INCORRECT: 'incorrect'>
    ```
    """

    def __init__(self, timeout: float = 5.0, memory_mib: int = 2048, max_workers: int = 1) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}, but a comparison needs some seconds: pass a number above 0.")
        if memory_mib < 512:
            raise ValueError(f"memory_mib is {memory_mib}, but a worker cannot load below 512 MiB.")
        if max_workers < 1:
            raise ValueError(f"max_workers is {max_workers}, but symbolic comparisons need at least 1.")
        self._workers = Workers("trl_weighted_dpo.verifier.symbolic", timeout, memory_mib, max_workers)

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
        """
        text = solution if isinstance(solution, str) else "\n".join(solution)
        answer = read_answer(text)
        expected = reference_answer
        if expected is None and reference_solution is not None:
            worked = read_answer(reference_solution)
            expected = worked.text if worked is not None and not worked.is_weak else None
        expected = reference_text(expected) if expected is not None else None
        decision = self._decide(expected, answer)
        found = answer.text if answer is not None else None
        step = _step_at(solution, answer.span[0]) if answer is not None else None
        return ErrorProfile(
            verdict=decision.verdict,
            reason=decision.reason,
            answer=found,
            answer_is_weak=answer is not None and answer.is_weak,
            scores={final_answer.DIMENSION: final_answer.score(decision.verdict, expected, found)},
            evidence=final_answer.evidence(
                decision.verdict, expected, found, step, answer.span if answer is not None else None
            ),
        )

    def _decide(self, expected: str | None, answer: Answer | None) -> Decision:
        if expected is None:
            return undecided("no reference answer")
        return compare_answer(expected, answer, self._symbolic)

    def _symbolic(self, reference: str, found: str) -> Decision:
        try:
            verdict, reason = self._workers.run("trl_weighted_dpo.verifier.symbolic:decide", reference, found)
        except WorkerError as error:
            return undecided(str(error))
        return Decision(Verdict(verdict), reason)

    def compare(self, reference: str, found: str) -> Decision:
        """Decides whether `found` gives the same final answer as `reference`; both may be texts that end in one."""
        return compare(reference, found, self._symbolic)

    def close(self) -> None:
        """Ends the worker processes; they also end with the verifier and with the interpreter."""
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _step_at(solution: str | Sequence[str], position: int) -> int:
    """The step that holds the character at `position`."""
    if isinstance(solution, str):
        return sum(1 for line in solution[:position].split("\n")[:-1] if line.strip())
    start = 0
    for index, step in enumerate(solution):
        start += len(step) + 1
        if position < start:
            return index
    return max(0, len(solution) - 1)
