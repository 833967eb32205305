"""Slices: problems by how hard they are, and by what the first model, the baseline, did on them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trl_weighted_dpo.evaluation.measures import Model
from trl_weighted_dpo.evaluation.outcomes import CLASSES, Outcome, modal_class
from trl_weighted_dpo.evaluation.pools import Problem
from trl_weighted_dpo.verifier.profile import Verdict

LEVEL = "level"
STEPS = "steps"
ACCURACY = "accuracy"
MOST_STEPS = 8
MOST_GROUPS = 20
BANDS = ("never right", "right in less than half", "right in half or more", "always right")
"""Of the baseline's own accuracy on a problem."""

_ANSWER_LINE = re.compile(r"\s*####")


@dataclass(frozen=True)
class Basis:
    """From which candidates of the baseline a slice is made, and on which ones all models are then measured.

    Problems that are picked because the baseline failed on them contain those on which it failed by bad luck. Measured
    on the same candidates, the baseline is at its worst there and every other model looks better, itself included if
    it were sampled again: regression to the mean. So classes come from candidates that are not measured.

    Args:
        made_from (`str`): What the slice is made from, in words.
        measured_on (`str`): What the models are measured on, in words.
        outcomes (`Mapping[str, Sequence[Outcome]]`): Of the baseline, by problem: what the slice is made from.
        models (`tuple[Model, ...]`): All models, with nothing but what they are measured on.
        is_independent (`bool`): Whether the two have no candidate of the baseline in common.
    """

    made_from: str
    measured_on: str
    outcomes: Mapping[str, Sequence[Outcome]]
    models: tuple[Model, ...]
    is_independent: bool


def basis(models: Sequence[Model]) -> Basis:
    """What a slice by the first model's own outcomes is made from and measured on.

    Its samples and everybody's greedy candidates, if they are there; else the first half of each problem's samples and
    the rest of them; else, with a single candidate, that one for both, which is said.
    """
    baseline = models[0]
    greedy = tuple(Model(model.name, greedy=model.greedy) for model in models if model.greedy is not None)
    if baseline.samples is not None and len(greedy) == len(models):
        return Basis("samples", "greedy candidates", baseline.samples.outcomes, greedy, True)
    halved = tuple(half for model in models if (half := _second_half(model)) is not None)
    if baseline.samples is not None and baseline.samples.fewest > 1 and len(halved) == len(models):
        first = {key: outcomes[: len(outcomes) // 2] for key, outcomes in baseline.samples.outcomes.items()}
        return Basis("first half of the samples", "second half of the samples", first, halved, True)
    own = baseline.greedy or baseline.samples
    assert own is not None
    return Basis("the candidates that are measured", "the same", own.outcomes, tuple(models), False)


def _second_half(model: Model) -> Model | None:
    if model.samples is None:
        return None
    rest = {key: outcomes[len(outcomes) // 2 :] for key, outcomes in model.samples.outcomes.items()}
    return Model(model.name, samples=type(model.samples)(model.samples.source, model.samples.problems, rest))


def by_class(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, list[str]]:
    """The ids of problems by the class that most of these outcomes are in (see [`~evaluation.outcomes`]); all classes,
    in their order."""
    classes = {key: modal_class(of_problem) for key, of_problem in outcomes.items()}
    return {name: [key for key, own in classes.items() if own == name] for name in CLASSES}


def by_accuracy(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, list[str]]:
    """The ids of problems by how many of these outcomes are correct, in the bands of `BANDS`."""

    def band(of_problem: Sequence[Outcome]) -> str:
        share = sum(one.verdict is Verdict.CORRECT for one in of_problem) / len(of_problem)
        return BANDS[0 if share == 0 else 3 if share == 1 else 1 if share < 0.5 else 2]

    bands = {key: band(of_problem) for key, of_problem in outcomes.items()}
    return {name: [key for key, own in bands.items() if own == name] for name in BANDS}


def difficulty_column(problems: Mapping[str, Problem]) -> str:
    """What difficulty is read from where nobody says: the column `level` if all problems have it and it has at most 20
    values, else the steps of the reference solution, else the baseline's own accuracy."""
    levels = [problem.columns.get(LEVEL) for problem in problems.values()]
    if None not in levels and len(set(levels)) <= MOST_GROUPS:
        return LEVEL
    return STEPS if all(problem.reference_solution for problem in problems.values()) else ACCURACY


def counts_steps(problems: Mapping[str, Problem], column: str) -> bool:
    """Whether `steps` are counted in the reference solutions: not all problems have a column of that name."""
    return column == STEPS and not all(STEPS in problem.columns for problem in problems.values())


def by_column(problems: Mapping[str, Problem], column: str) -> dict[str, list[str]]:
    """The ids of problems by a column, or with `steps` by the steps of the reference solution: its lines that are not
    blank, without a line `#### ANSWER`, as GSM8K counts them; eight and more are one group.

    Raises:
        `ValueError`: If the column is missing in a problem, or there are more than 20 groups.
    """
    groups: dict[str | int | float, list[str]] = {}
    is_counted = counts_steps(problems, column)
    for key, problem in problems.items():
        if is_counted:
            if not problem.reference_solution:
                raise ValueError(_missing(key, "it has no reference solution whose steps could be counted", problem))
            groups.setdefault(min(_steps(problem.reference_solution), MOST_STEPS), []).append(key)
        elif column not in problem.columns:
            raise ValueError(_missing(key, f"it has no text or number in the column {column!r}", problem))
        else:
            groups.setdefault(problem.columns[column], []).append(key)
    if len(groups) > MOST_GROUPS:
        raise ValueError(
            f"--difficulty {column}: the column has {len(groups)} values, and groups of few problems say nothing. Name "
            f"a column with at most {MOST_GROUPS}, such as bands of this one."
        )
    named: dict[str, list[str]] = {}
    for value in sorted(groups, key=lambda value: (isinstance(value, str), value)):
        name = f"{MOST_STEPS} or more" if is_counted and value == MOST_STEPS else str(value)
        # A number and a text may have the same name.
        named.setdefault(name, []).extend(groups[value])
    return named


def _missing(key: str, what: str, problem: Problem) -> str:
    there = ", ".join([*problem.columns, *([STEPS] if problem.reference_solution else []), ACCURACY])
    return f"--difficulty: problem {key!r:.80}: {what}. There are: {there}."


def _steps(reference_solution: str) -> int:
    lines = [line for line in reference_solution.splitlines() if line.strip()]
    return sum(_ANSWER_LINE.match(line) is None for line in lines)
