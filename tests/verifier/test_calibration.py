import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.verifier import DIMENSIONS, MathVerifier
from trl_weighted_dpo.verifier.aggregates import wrongness
from trl_weighted_dpo.verifier.calibration import (
    ANSWER,
    EVERYTHING,
    NO_VERDICT,
    NOTHING,
    VIEWS,
    Example,
    Labelled,
    calibrate,
    cross_validated,
    examples,
    features,
    figures,
    fit,
    fit_cases,
    folds_of,
    labelled,
    objective,
    predicted,
)

NOT_CHECKED: dict[str, float | None] = dict.fromkeys(DIMENSIONS)


def synthetic(count: int, seed: int = 0) -> list[Example]:
    """Two informative dimensions, a useless one, and one that points the wrong way."""
    rng = random.Random(seed)
    found = []
    for index in range(count):
        log_odds = -0.5
        scores = dict(NOT_CHECKED)
        for name, present, absent in (("numerical_validity", 3.0, 1.0), ("final_answer", 2.0, 2.0)):
            if rng.random() < 0.8:
                scores[name] = rng.choice([0.0, 0.5, 1.0])
                log_odds += present * scores[name] - absent * (1 - scores[name])
        is_wrong = rng.random() < 1 / (1 + math.exp(-log_odds))
        scores["structural_integrity"] = rng.choice([0.0, 1.0])
        scores["step_ordering"] = 0.0 if is_wrong else rng.choice([0.0, 1.0])
        found.append(Example(f"problem {index // 2}", EVERYTHING, scores, is_wrong))
    return found


def test_features_are_linear_in_the_log_odds_of_wrongness() -> None:
    scores = {**NOT_CHECKED, "final_answer": 0.25, "step_ordering": 0.0}

    assert features(scores) == [0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0.25, -0.75]


def test_the_gradient_is_that_of_the_objective() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(40, 12)), (rng.random(40) < 0.4).astype(float)
    parameters = rng.normal(size=13)
    _, gradient = objective(parameters, inputs, labels, 0.1)

    step = 1e-6
    for index, value in enumerate(gradient):
        moved = [parameters + sign * step * np.eye(13)[index] for sign in (1, -1)]
        up, down = (objective(point, inputs, labels, 0.1)[0] for point in moved)
        assert value == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_the_objective_in_closed_form() -> None:
    loss, gradient = objective(np.array([0.5, 2.0]), np.array([[1.0], [-1.0]]), np.array([1.0, 0.0]), 0.5)

    assert loss == pytest.approx((math.log1p(math.exp(-2.5)) + math.log1p(math.exp(-1.5))) / 2 + 0.25 * 4)
    residuals = 1 / (1 + math.exp(-2.5)) - 1, 1 / (1 + math.exp(1.5))
    assert gradient == pytest.approx([sum(residuals) / 2, (residuals[0] - residuals[1]) / 2 + 0.5 * 2])


def test_huge_inputs_do_not_overflow() -> None:
    loss, gradient = objective(np.array([0.0, 1e6]), np.array([[1.0], [-1.0]]), np.array([0.0, 1.0]), 0.0)

    assert loss == 1e6
    assert gradient.tolist() == [0.0, 1.0]


def test_the_weights_that_made_the_labels_are_found_and_none_is_below_zero() -> None:
    weights = fit(synthetic(20_000), l2=1e-6)

    numbers, answer = weights.dimensions["numerical_validity"], weights.dimensions["final_answer"]
    assert (numbers.present, numbers.absent) == (pytest.approx(3, abs=0.25), pytest.approx(1, abs=0.25))
    assert (answer.present, answer.absent) == (pytest.approx(2, abs=0.25), pytest.approx(2, abs=0.25))
    assert weights.dimensions["step_ordering"].present == 0.0
    assert weights.dimensions["structural_integrity"].present < 0.15
    assert all(weight.present >= 0 and weight.absent >= 0 for weight in weights.dimensions.values())


def test_the_fit_is_a_minimum() -> None:
    data = synthetic(400)
    weights = fit(data, l2=0.01)
    inputs = np.array([features(example.scores) for example in data])
    labels = np.array([example.is_wrong for example in data], dtype=float)
    flat = [weights.bias, *(part for name in DIMENSIONS for part in (
        weights.dimensions[name].present, weights.dimensions[name].absent))]  # fmt: skip
    best, gradient = objective(np.array(flat), inputs, labels, 0.01)

    assert gradient[0] == pytest.approx(0, abs=1e-5)
    for value, slope in zip(flat[1:], gradient[1:], strict=True):
        assert slope == pytest.approx(0, abs=1e-5) if value > 0 else slope > -1e-5
    assert best < math.log(2)


def test_a_dimension_that_was_never_checked_gets_no_weight() -> None:
    weight = fit(synthetic(200)).dimensions["semantic_alignment"]

    assert (weight.present, weight.absent) == (0.0, 0.0)


def test_problems_are_dealt_evenly_and_the_same_in_any_order() -> None:
    problems = [f"problem {index}" for index in range(53)]
    folds = folds_of(problems * 2, 5)

    assert folds == folds_of(reversed(problems), 5)
    assert sorted(list(folds.values()).count(fold) for fold in range(5)) == [10, 10, 11, 11, 11]
    with pytest.raises(ValueError, match="53 problems, which cannot be dealt to 54 folds"):
        folds_of(problems, 54)


def test_no_example_is_checked_by_weights_that_saw_its_problem() -> None:
    data = synthetic(60)
    fitted, fold_of = cross_validated(data, 3)

    for fold in range(3):
        assert fitted[fold] == fit_cases([example for example in data if fold_of[example.problem] != fold])
    expected = [wrongness(example.scores, fitted[fold_of[example.problem]].with_solution) for example in data]
    assert predicted(data, 3) == expected


def test_weights_with_and_without_a_reference_solution_are_fitted_apart() -> None:
    known, other = synthetic(100, seed=1), [replace(example, view=NOTHING) for example in synthetic(100, seed=2)]
    fitted = fit_cases([*known, *other])

    assert (fitted.with_solution, fitted.without_solution) == (fit(known), fit(other))
    assert VIEWS[NO_VERDICT] == VIEWS[EVERYTHING] != VIEWS[ANSWER] == VIEWS[NOTHING]
    alone = fit_cases(other)
    assert alone.with_solution == alone.without_solution == fit(other)


def test_cross_validation_sees_through_noise() -> None:
    rng = random.Random(1)
    noise = [
        Example(f"{index}", EVERYTHING, {**NOT_CHECKED, **{name: rng.random() for name in DIMENSIONS}}, index % 2 == 0)
        for index in range(400)
    ]
    labels = [example.is_wrong for example in noise]

    assert figures(predicted(noise, 5), labels)["auroc"] < 0.56
    assert figures(predicted(noise, 5), labels)["log_loss"] == pytest.approx(math.log(2), abs=0.03)


@pytest.mark.parametrize(
    ("row", "is_wrong"),
    [
        ({"is_correct_answer": True, "first_error_step": -1}, [False]),
        ({"is_correct_answer": True, "first_error_step": 0}, [True]),
        ({"is_correct_answer": False, "first_error_step": -1}, [True]),
        ({"is_correct_answer": None, "first_error_step": 2}, [True]),
        ({"is_correct_answer": None, "first_error_step": -1}, [False]),
        ({"is_correct_answer": False}, [True]),
        ({"is_correct_answer": None, "first_error_step": None}, []),
        ({}, []),
    ],
)
def test_a_solution_is_wrong_if_its_answer_or_a_step_is(row, is_wrong) -> None:
    items = list(labelled([{"problem": "p", "solution": "1", "steps": ["a", "b"], **row}], "x"))

    assert [item.is_wrong for item in items] == is_wrong
    assert all(item.solution == ["a", "b"] for item in items)


def test_candidates_with_a_label_are_taken_from_pools() -> None:
    candidates = [{"solution": "a", "is_correct": True}, {"solution": "b", "is_correct": False}, {"solution": "c"}]
    row = {"problem": "p", "reference_answer": "1", "reference_solution": "r", "candidates": candidates}

    assert list(labelled([row], "x")) == [Labelled("p", "a", "1", "r", False), Labelled("p", "b", "1", "r", True)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"problem": "p", "solution": "a", "is_correct_answer": "yes"},
            "column 'is_correct_answer': got 'yes'. Give true",
        ),
        (
            {"problem": "p", "solution": "a", "first_error_step": True},
            "column 'first_error_step': got true. Give the 0-b",
        ),
        ({"problem": "p", "is_correct_answer": True}, "column 'solution': the column is missing"),
        ({"problem": "p", "candidates": [{"solution": "a", "is_correct": 1}]}, r"candidates\[0\].is_correct': got 1"),
    ],
)
def test_a_bad_row_is_named(row, message) -> None:
    with pytest.raises(SchemaError, match=f"labels.jsonl: row 0, .*{message}"):
        list(labelled([row], "labels.jsonl"))


def test_a_solution_is_learned_from_with_and_without_its_references() -> None:
    item = Labelled("What is 6 x 7?", ["6 x 7 = 43", "A: 43"], "42", "6 x 7 = 42\n#### 42", True)
    found = list(examples(item, MathVerifier()))

    assert [example.view for example in found] == [EVERYTHING, NO_VERDICT, ANSWER, NOTHING]
    off = pytest.approx(0.5 + 0.5 / 43)
    assert [example.scores["final_answer"] for example in found] == [off, None, off, None]
    assert found[1].scores == {**found[0].scores, "final_answer": None}
    assert found[3].scores == MathVerifier().verify(item.problem, item.solution).scores
    assert all((example.problem, example.is_wrong) == ("What is 6 x 7?", True) for example in found)


@pytest.mark.parametrize(
    ("answer", "solution", "views"),
    [
        (None, None, [NOTHING]),
        ("42", None, [ANSWER, NOTHING]),
        (None, "6 x 7 = 42\n#### 42", [EVERYTHING, NO_VERDICT, NOTHING]),
        (None, "Think.", [NO_VERDICT, NOTHING]),
    ],
)
def test_views_follow_from_what_is_there(answer, solution, views) -> None:
    item = Labelled("What is 6 x 7?", "6 x 7 = 43\nA: 43", answer, solution, True)

    assert [example.view for example in examples(item, MathVerifier())] == views


def write(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def worked(count: int) -> list[dict]:
    return [
        {
            "problem": f"What is {index} + 7?",
            "reference_answer": str(index + 7),
            "reference_solution": f"{index} + 7 = {index + 7}\n#### {index + 7}",
            "candidates": [
                {"solution": f"{index} + 7 = {index + 7 + error}\nA: {index + 7 + error}", "is_correct": not error}
                for error in (0, 3)
            ],
        }
        for index in range(count)
    ]


def test_what_is_written_describes_data_and_fit(tmp_path) -> None:
    write(tmp_path / "pool.jsonl", worked(12))
    found = calibrate([tmp_path / "pool.jsonl"], MathVerifier(), folds=3, command="the command")

    (source,) = found["data"]
    assert {**source, "sha256": ""} == {
        "file": "pool.jsonl", "sha256": "", "problems": 12, "solutions": 24, "wrong": 12
    }  # fmt: skip
    assert found["command"] == "the command"
    assert found["with_reference_solution"]["weights"]["final_answer"]["present"] > 0.5
    views = found["cross_validation"]["views"]
    assert views[EVERYTHING]["examples"] == 24
    assert views[EVERYTHING]["auroc"] == 1.0
    assert sum(view["examples"] for view in views.values()) == found["cross_validation"]["all"]["examples"]
    assert json.loads(json.dumps(found)) == found
    assert found == calibrate([tmp_path / "pool.jsonl"], MathVerifier(), folds=3, command="the command")
