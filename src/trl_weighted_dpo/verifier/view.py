"""A solution as a check of your own sees it: plain values, without the verifier's internals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from trl_weighted_dpo.verifier.facts import Facts, answer_value
from trl_weighted_dpo.verifier.findings import DimensionResult
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.passage import Passage


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a solution.

    Args:
        index (`int`): 0-based position among the steps.
        text (`str`): Its text.
        span (`tuple[int, int]`): Start and end of it in the solution.
    """

    index: int
    text: str
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class NumberView:
    """A number that a text mentions, in digits or in words.

    Args:
        value (`Fraction`): Its value as written: 20 for `20%`, 1/2 for `half`, 12 for `a dozen`.
        text (`str`): It as written, without sign, currency and unit.
        span (`tuple[int, int]`): Start and end of `text`.
        step (`int`, *optional*): Index of the step it is in; `None` in a problem.
        unit (`str`): The word that follows it, lower-cased and in the singular, or `dollar`; "" for none.
        is_percent (`bool`): Whether a percent sign or word follows.
    """

    value: Fraction
    text: str
    span: tuple[int, int]
    step: int | None
    unit: str
    is_percent: bool


@dataclass(frozen=True, slots=True)
class EquationView:
    """A chain of equal or compared sides, such as `Total = 3 * 4 = 12 apples` or `x < 5`.

    Args:
        sides (`tuple[str, ...]`): Its sides as written, at least two.
        values (`tuple[Fraction | None, ...]`): The exact value of each side; `None` for words, for names and for what
            cannot be read.
        relations (`tuple[str, ...]`): What stands between each two: `=`, `approx`, `!=`, `<`, `<=`, `>`, `>=` or `is`.
        span (`tuple[int, int]`): Start and end of it in the solution.
        step (`int`): Index of the step it is in.
    """

    sides: tuple[str, ...]
    values: tuple[Fraction | None, ...]
    relations: tuple[str, ...]
    span: tuple[int, int]
    step: int


@dataclass(frozen=True, slots=True)
class AnswerView:
    """The final answer of a solution.

    Args:
        text (`str`, *optional*): It as written; `None` if there is a place for it with nothing readable in it.
        span (`tuple[int, int]`): Start and end of it in the solution.
        step (`int`, *optional*): Index of the step it is in.
        value (`Fraction`, *optional*): Its value, whatever its unit; `None` if it is not a number.
        is_weak (`bool`): Whether it was guessed, because no answer line gives it.
    """

    text: str | None
    span: tuple[int, int]
    step: int | None
    value: Fraction | None
    is_weak: bool


@dataclass(frozen=True, slots=True)
class SolutionView:
    """A solution with what the verifier read in it. The numbers, equations and steps are those of the first 20 000
    characters.

    Args:
        problem (`str`): The problem; "" if none was given.
        solution (`str`): The solution; of a list of steps, these joined by newlines. Spans count its characters.
        steps (`tuple[StepView, ...]`): Its steps, in order.
        numbers (`tuple[NumberView, ...]`): Its numbers, in order, those in equations included.
        equations (`tuple[EquationView, ...]`): Its equations and comparisons, in order.
        problem_numbers (`tuple[NumberView, ...]`): The numbers of the problem, in order.
        answer (`AnswerView`, *optional*): The final answer that it gives.
        reference_answer (`str`, *optional*): The right answer, of the reference solution if need be.
        reference_solution (`str`, *optional*): The reference solution.
        verdict (`Verdict`): Whether the answer is right.
        results (`Mapping[str, DimensionResult]`): What the package's own six dimensions report, by dimension.
        thought (`str`): What the solution thinks before its answer; "" if it has no thought. Otherwise all else here is
            about the answer part alone, as if it were the solution.
    """

    problem: str
    solution: str
    steps: tuple[StepView, ...]
    numbers: tuple[NumberView, ...]
    equations: tuple[EquationView, ...]
    problem_numbers: tuple[NumberView, ...]
    answer: AnswerView | None
    reference_answer: str | None
    reference_solution: str | None
    verdict: Verdict
    results: Mapping[str, DimensionResult]
    thought: str = ""

    def step_at(self, position: int) -> int | None:
        """The index of the step that holds the character at `position`, or of the last one that begins before it;
        `None` before the first."""
        return max((step.index for step in self.steps if step.span[0] <= position), default=None)


DimensionCheck = Callable[[SolutionView], DimensionResult]
"""A check of one dimension."""


def package_check(dimension: str, view: SolutionView) -> DimensionResult:
    """The package's own check of one of the six dimensions."""
    return view.results[dimension]


def view_of(facts: Facts, results: Mapping[str, DimensionResult]) -> SolutionView:
    """Returns the view of a solution.

    Args:
        facts (`Facts`): What is known of it.
        results (`Mapping[str, DimensionResult]`): What the package's own dimensions report.
    """
    solution, answer = facts.solution, facts.answer
    return SolutionView(
        problem=facts.problem.text,
        solution=solution.text,
        steps=tuple(StepView(step.index, solution.text[slice(*step.span)], step.span) for step in solution.steps),
        numbers=_numbers(solution, has_steps=True),
        equations=tuple(
            EquationView(
                tuple(solution.text[slice(*side.span)] for side in statement.sides),
                tuple(side.value for side in statement.sides),
                statement.signs,
                statement.span,
                statement.step,
            )
            for statement in solution.statements
        ),
        problem_numbers=_numbers(facts.problem, has_steps=False),
        answer=None
        if answer is None
        else AnswerView(
            answer.text, answer.span, solution.step_at(answer.span[0]), answer_value(answer.text), answer.is_weak
        ),
        reference_answer=facts.expected,
        reference_solution=facts.reference.text if facts.reference is not None else None,
        verdict=facts.decision.verdict,
        results=MappingProxyType(dict(results)),
        thought=facts.thought.passage.text if facts.thought is not None else "",
    )


def _numbers(passage: Passage, has_steps: bool) -> tuple[NumberView, ...]:
    return tuple(
        NumberView(
            mention.value,
            passage.text[slice(*mention.span)],
            mention.span,
            passage.step_at(mention.span[0]) if has_steps else None,
            mention.unit,
            mention.percent,
        )
        for mention in passage.mentions
    )
