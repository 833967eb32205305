"""Fits the weights of wrongness to labelled solutions: a logistic regression with weights of at least 0."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, check_solution_row, row_error
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.identity import CONTENTS
from trl_weighted_dpo.verifier import probabilities as metrics
from trl_weighted_dpo.verifier.aggregates import (
    CASES,
    FORMAT_VERSION,
    Calibration,
    Weight,
    Weights,
    digest,
    wrongness,
)
from trl_weighted_dpo.verifier.profile import DIMENSIONS
from trl_weighted_dpo.verifier.verifier import VERIFIER_VERSION, MathVerifier

EVERYTHING, NO_VERDICT, ANSWER, NOTHING = "solution and verdict", "solution", "verdict", "neither"
VIEWS = {EVERYTHING: CASES[0], NO_VERDICT: CASES[0], ANSWER: CASES[1], NOTHING: CASES[1]}
"""What is known beside a solution: a reference solution and the verdict on the answer, one of the two, or neither; and
which weights that calls for."""

L2 = 1e-3
"""Penalty `L2/2 · Σ weight²` beside the mean log-loss. Ours: it bounds the weight of a dimension that separates the
labels without an exception, and is too small to be felt elsewhere."""

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A solution whose label is known.

    Args:
        problem (`str`): Its problem.
        solution (`str` or `list[str]`): It, as text or as its steps.
        reference_answer (`str`, *optional*): The right final answer.
        reference_solution (`str`, *optional*): A worked solution.
        is_wrong (`bool`): Whether its answer is wrong or a step is faulty.
    """

    problem: str
    solution: str | list[str]
    reference_answer: str | None
    reference_solution: str | None
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Example:
    """Scores to learn from.

    Args:
        problem (`str`): The problem, which must not be learned from and checked at once.
        view (`str`): What is known of the solution, one of `VIEWS`.
        scores (`Mapping[str, float | None]`): Score of each dimension.
        is_wrong (`bool`): What is to be predicted.
    """

    problem: str
    view: str
    scores: Mapping[str, float | None]
    is_wrong: bool


def labelled(rows: Iterable[Mapping[str, Any]], source: str) -> Iterator[Labelled]:
    """The labelled solutions of rows of solutions or of pools; those without a label are passed over.

    A solution is labelled by `is_correct_answer` (true, false or null) and `first_error_step` (-1 for none, or null),
    and wrong if one of the two says so; a candidate of a pool by `is_correct` (true, false or null).

    Raises:
        [`~core.checks.SchemaError`]: If a column is missing or of another type.
    """
    for index, row in enumerate(rows):
        if schema.CANDIDATES in row:
            check_pool_row(row, index, source)
            for position, candidate in enumerate(row[schema.CANDIDATES]):
                column = f"{schema.CANDIDATES}[{position}].{schema.IS_CORRECT}"
                is_right = _label(candidate.get(schema.IS_CORRECT), bool, index, column, source)
                if is_right is not None:
                    yield _solution(row, candidate[schema.SOLUTION], not is_right)
            continue
        check_solution_row(row, index, source)
        is_right = _label(row.get(schema.IS_CORRECT_ANSWER), bool, index, schema.IS_CORRECT_ANSWER, source)
        first_error = _label(row.get(schema.FIRST_ERROR_STEP), int, index, schema.FIRST_ERROR_STEP, source)
        if is_right is not None or first_error is not None:
            is_wrong = is_right is False or (first_error is not None and first_error >= 0)
            yield _solution(row, row.get(schema.STEPS) or row[schema.SOLUTION], is_wrong)


def _label(value: Any, kind: type, index: int, column: str, source: str) -> Any:
    if value is not None and type(value) is not kind:
        hint = "Give true, false or null." if kind is bool else "Give the 0-based step, -1 for none, or null."
        raise row_error(source, index, column, value, hint)
    return value


def _solution(row: Mapping[str, Any], solution: Any, is_wrong: bool) -> Labelled:
    references = row.get(schema.REFERENCE_ANSWER), row.get(schema.REFERENCE_SOLUTION)
    return Labelled(row[schema.PROBLEM], solution, *references, is_wrong)


def examples(item: Labelled, verifier: MathVerifier) -> Iterator[Example]:
    """What is learned from one solution: its scores by each of `VIEWS`, so that the weights fit with references and
    without; none where nothing was checked, or where the view would be another one.
    """
    answer, solution = item.reference_answer, item.reference_solution
    views = {ANSWER: (answer, None), NOTHING: (None, None)}
    for view, references in ({EVERYTHING: (answer, solution)} | views if solution else views).items():
        scores = dict(verifier.verify(item.problem, item.solution, *references).scores)
        has_verdict = scores["final_answer"] is not None
        if has_verdict == (view != NOTHING) and any(score is not None for score in scores.values()):
            yield Example(item.problem, view, scores, item.is_wrong)
        if view == EVERYTHING:
            unchecked = {**scores, "final_answer": None}
            if any(score is not None for score in unchecked.values()):
                yield Example(item.problem, NO_VERDICT, unchecked, item.is_wrong)


def features(scores: Mapping[str, float | None]) -> list[float]:
    """What the log-odds are linear in: of each dimension `s` and `s - 1`, or 0 and 0 if it was not checked."""
    values: list[float] = []
    for dimension in DIMENSIONS:
        score = scores[dimension]
        values += (0.0, 0.0) if score is None else (score, score - 1.0)
    return values


def objective(parameters: _Array, inputs: _Array, labels: _Array, l2: float) -> tuple[float, _Array]:
    """Mean log-loss and penalty, with the gradient.

    Args:
        parameters (`Array`, shape (1 + features,)): Bias, then weights.
        inputs (`Array`, shape (examples, features)): See [`features`].
        labels (`Array`, shape (examples,)): 1 for wrong, else 0.
        l2 (`float`): Strength of the penalty on the weights; the bias has none.
    """
    bias, weights = parameters[0], parameters[1:]
    log_odds = bias + inputs @ weights
    # log(1 + exp(z)) - y z, without overflow.
    loss = np.mean(np.logaddexp(0.0, log_odds) - labels * log_odds) + 0.5 * l2 * weights @ weights
    residuals = (np.exp(-np.logaddexp(0.0, -log_odds)) - labels) / len(labels)
    gradient = np.concatenate(([residuals.sum()], inputs.T @ residuals + l2 * weights))
    return float(loss), gradient


def fit(data: Sequence[Example], l2: float = L2) -> Weights:
    """Fits the weights of wrongness, by L-BFGS-B with the weights bounded below by 0.

    Raises:
        `ValueError`: If the examples are all wrong or all right, or the optimiser does not converge.
    """
    from scipy.optimize import minimize

    labels = np.array([example.is_wrong for example in data], dtype=np.float64)
    if len(labels) == 0:
        raise ValueError("no dimension could be checked in any solution, so there is nothing to fit.")
    _check_both(labels.tolist(), "all labelled solutions are")
    inputs = np.array([features(example.scores) for example in data])
    count = inputs.shape[1]
    result = minimize(
        objective,
        np.zeros(1 + count),
        args=(inputs, labels, l2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None)] + [(0.0, None)] * count,
        options={"maxiter": 10_000, "ftol": 1e-12, "gtol": 1e-8},
    )
    if not result.success:
        raise ValueError(f"the weights could not be fitted: {result.message}.")
    bias, *weights = (float(value) for value in result.x)
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return Weights(bias, {name: Weight(*pair) for name, pair in zip(DIMENSIONS, pairs, strict=True)})


def _check_both(are_wrong: Sequence[Any], which: str) -> None:
    if len(set(are_wrong)) < 2:
        there, lacking = ("wrong", "right") if any(are_wrong) else ("right", "wrong")
        raise ValueError(
            f"{which} {there}: to tell wrong from right, both are needed. Add solutions that are labelled {lacking}."
        )


def folds_of(problems: Iterable[str], folds: int) -> dict[str, int]:
    """Deals problems to folds of equal size, in the order of a hash of their text: the same every time.

    Raises:
        `ValueError`: If there are fewer problems than folds.
    """
    ordered = sorted(set(problems), key=lambda problem: hashlib.sha256(problem.encode(errors="replace")).digest())
    if len(ordered) < folds:
        way_out = f"give more problems, or --folds {len(ordered)}" if len(ordered) > 1 else "give more problems"
        raise ValueError(
            f"the labelled solutions are of {len(ordered)} problem{'s' * (len(ordered) > 1)}, which cannot be dealt to "
            f"{folds} folds: {way_out}."
        )
    return {problem: position % folds for position, problem in enumerate(ordered)}


def fit_cases(data: Sequence[Example], l2: float = L2) -> Calibration:
    """Fits the weights with a reference solution and without one, each to the views that call for them; where no
    example has a reference solution, both are the same.

    Raises:
        `ValueError`: If either cannot be fitted.
    """
    parts = {case: [example for example in data if VIEWS[example.view] == case] for case in CASES}
    fitted = []
    for case in CASES:
        try:
            fitted.append(fit(parts[case] or data, l2))
        except ValueError as error:
            raise ValueError(f"the weights {case.replace('_', ' ')}: {error}") from error
    return Calibration(*fitted)


def cross_validated(data: Sequence[Example], folds: int) -> tuple[list[Calibration], dict[str, int]]:
    """Fits the weights once without each fold.

    Returns:
        `tuple[list[Calibration], dict[str, int]]`: The weights by fold, fitted to the other folds, and the fold of each
            problem.
    """
    fold_of = folds_of((example.problem for example in data), folds)
    fitted = []
    for fold in range(folds):
        try:
            fitted.append(fit_cases([example for example in data if fold_of[example.problem] != fold]))
        except ValueError as error:
            raise ValueError(f"without the problems of fold {fold + 1} of {folds}: {error}") from error
    return fitted, fold_of


def predicted(data: Sequence[Example], folds: int) -> list[float]:
    """The wrongness of each example by weights that were fitted without its problem."""
    fitted, fold_of = cross_validated(data, folds)
    probabilities = []
    for example in data:
        weights = fitted[fold_of[example.problem]].weights(VIEWS[example.view] == CASES[0])
        probability = wrongness(example.scores, weights)
        if probability is None:
            raise ValueError("an example has no score that was checked, and so no wrongness")
        probabilities.append(probability)
    return probabilities


def figures(probabilities: Sequence[float], labels: Sequence[bool]) -> dict[str, Any]:
    """Log-loss, Brier score, calibration error, AUROC and reliability of probabilities."""
    return {
        "examples": len(labels),
        "wrong": sum(labels),
        "log_loss": metrics.log_loss(probabilities, labels),
        "brier_score": metrics.brier_score(probabilities, labels),
        "calibration_error": metrics.calibration_error(probabilities, labels),
        "auroc": metrics.auroc(probabilities, labels),
        "reliability": [asdict(bin) for bin in metrics.reliability(probabilities, labels)],
    }


def calibrate(
    paths: Sequence[Path], verifier: MathVerifier, folds: int = 5, command: str = "", progress: bool = False
) -> dict[str, Any]:
    """Fits and cross-validates the weights of wrongness.

    Args:
        paths (`Sequence[Path]`): JSONL files of labelled solutions or pools.
        verifier (`MathVerifier`): Checks them; its own weights do not matter.
        folds (`int`, *optional*, defaults to `5`): Folds of the cross-validation, at least 2.
        command (`str`, *optional*): The command that this is, for the record.
        progress (`bool`, *optional*, defaults to `False`): Whether to show progress on a terminal.

    Returns:
        `dict[str, Any]`: What a calibration file holds; `MathVerifier.from_calibration` reads it.

    Raises:
        [`~core.checks.SchemaError`]: If a row is not as [`labelled`] describes it.
        `ValueError`: If there is nothing to fit, or only one kind of label.
        `OSError`: If a file cannot be read.
    """
    data: list[Example] = []
    sources = []
    are_wrong: list[bool] = []
    for path in paths:
        items = list(labelled(read_jsonl(path), str(path)))
        if not items:
            if next(read_jsonl(path), None) is None:
                raise ValueError(f"{path}: the file is empty. Give labelled solutions, one JSON object on each line.")
            raise ValueError(
                f"{path}: no row has a label. Label solutions by {schema.IS_CORRECT_ANSWER!r} or "
                f"{schema.FIRST_ERROR_STEP!r}, and candidates of a pool by {schema.IS_CORRECT!r}."
            )
        for item in tqdm(items, desc=path.name, unit=" solutions", disable=None if progress else True):
            data += examples(item, verifier)
        are_wrong += (item.is_wrong for item in items)
        sources.append(_described(path, items))
    try:
        count = len(are_wrong)
        _check_both(are_wrong, f"all {count} labelled solutions are" if count > 1 else "the only labelled solution is")
        fitted, probabilities = fit_cases(data), predicted(data, folds)
    except ValueError as error:
        raise ValueError(f"{', '.join(map(str, paths))}: {error}") from error
    labels = [example.is_wrong for example in data]
    views = {}
    for view in VIEWS:
        members = [index for index, example in enumerate(data) if example.view == view]
        if members:
            views[view] = figures([probabilities[index] for index in members], [labels[index] for index in members])
    checked = Counter(name for example in data for name, score in example.scores.items() if score is not None)
    content = {
        "format_version": FORMAT_VERSION,
        "verifier_version": VERIFIER_VERSION,
        CASES[0]: _written(fitted.with_solution),
        CASES[1]: _written(fitted.without_solution),
        "never_checked": [name for name in DIMENSIONS if not checked[name]],
        "l2": L2,
        "data": sources,
        "cross_validation": {"folds": folds, "all": figures(probabilities, labels), "views": views},
        "command": command,
    }
    return content | {"digest": digest(content)}


def _written(weights: Weights) -> dict[str, Any]:
    parts = {
        name: {"present": round(weight.present, 4), "absent": round(weight.absent, 4)}
        for name, weight in weights.dimensions.items()
    }
    return {"bias": round(weights.bias, 4), "weights": parts}


def _described(path: Path, items: Sequence[Labelled]) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": CONTENTS.file(path),
        "problems": len({item.problem for item in items}),
        "solutions": len(items),
        "wrong": sum(item.is_wrong for item in items),
    }
