import itertools
import json
import math
from pathlib import Path

import pytest

import trl_weighted_dpo.verifier.aggregates as aggregates
from trl_weighted_dpo.verifier import DIMENSIONS, KINDS, VERIFIER_VERSION, Finding, MathVerifier
from trl_weighted_dpo.verifier.aggregates import (
    _FROM_NOWHERE,
    ABSURDITIES,
    Weight,
    Weights,
    absurdity,
    default_calibration,
    digest,
    read_calibration,
    severity,
    wrongness,
)

NOT_CHECKED: dict[str, float | None] = dict.fromkeys(DIMENSIONS)
WEIGHTS = Weights(
    -0.5, {**{name: Weight(1.0, 0.25) for name in DIMENSIONS}, "final_answer": Weight(4.0, 2.0)}
)  # fmt: skip


def odds(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def log_odds(probability: float | None) -> float:
    assert probability is not None
    return math.log(probability / (1 - probability))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, None),
        ({"final_answer": 1.0}, odds(-0.5 + 4)),
        ({"final_answer": 0.0}, odds(-0.5 - 2)),
        ({"final_answer": 0.5}, odds(-0.5 + 2 - 1)),
        ({"step_ordering": 0.0}, odds(-0.5 - 0.25)),
        ({"final_answer": 0.0, "numerical_validity": 1.0}, odds(-0.5 - 2 + 1)),
        (dict.fromkeys(DIMENSIONS, 1.0), odds(-0.5 + 4 + 5)),
    ],
)
def test_wrongness_adds_log_odds_over_what_was_checked(scores, expected) -> None:
    value = wrongness({**NOT_CHECKED, **scores}, WEIGHTS)

    assert value == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_an_answer_that_was_not_checked_is_neither_right_nor_wrong() -> None:
    values = [wrongness({**NOT_CHECKED, "step_ordering": 0.0, "final_answer": s}, WEIGHTS) for s in (0.0, None, 1.0)]

    assert values == sorted(values)
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, None),
        ({"final_answer": 1.0}, None),
        ({"logical_consistency": 1.0}, 1.0),
        ({"numerical_validity": 0.0, "step_ordering": 0.0}, 0.0),
        ({"numerical_validity": 1.0, "final_answer": 0.0}, 0.7),
        ({"step_ordering": 1.0, "structural_integrity": 0.5}, 1 - 0.5 * 0.6),
        ({"semantic_alignment": 1.0}, 0.0),
    ],
)
def test_one_absurd_thing_is_enough(scores, expected) -> None:
    value = absurdity({**NOT_CHECKED, **scores}, ())

    assert value == (None if expected is None else pytest.approx(expected, abs=1e-12))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((), 0.0),
        (("unknown_quantity",), 0.3),
        (("unknown_quantity", "misquoted_quantity"), 0.3),
        (("off_route", "unused_quantity"), 0.0),
    ],
)
def test_a_number_from_nowhere_is_absurd_but_a_way_off_the_reference_is_not(kinds, expected) -> None:
    findings = [Finding("semantic_alignment", kind, "heuristic", 0, None, None, None, "") for kind in kinds]

    assert absurdity({**NOT_CHECKED, "semantic_alignment": 0.9}, findings) == pytest.approx(expected)


def test_absurdity_leaves_out_the_answer_and_the_distance_from_the_reference() -> None:
    assert set(ABSURDITIES) == set(DIMENSIONS) - {"final_answer", "semantic_alignment"}
    assert all(0 < constant <= 1 for constant in ABSURDITIES.values())
    assert {kind for dimension, kind, _ in KINDS if dimension == "semantic_alignment"} >= _FROM_NOWHERE


def test_a_solution_can_be_wrong_but_reasonable_and_right_but_absurd() -> None:
    clean = dict.fromkeys(DIMENSIONS, 0.0)
    wrong_but_reasonable = {**clean, "final_answer": 1.0}
    right_but_absurd = {**clean, "logical_consistency": 0.9}

    for weights in map(default_calibration().weights, (True, False)):
        assert wrongness(wrong_but_reasonable, weights) > 0.5
        assert wrongness(right_but_absurd, weights) < wrongness(wrong_but_reasonable, weights)
    assert absurdity(wrong_but_reasonable, ()) == 0.0
    assert absurdity(right_but_absurd, ()) == pytest.approx(0.9)


@pytest.mark.parametrize(
    "aggregate",
    [
        lambda scores: wrongness(scores, default_calibration().with_solution),
        lambda scores: wrongness(scores, default_calibration().without_solution),
        lambda scores: absurdity(scores, ()),
    ],
    ids=["wrongness with a solution", "wrongness without", "absurdity"],
)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_aggregates_never_fall_when_a_score_rises_and_stay_in_range(aggregate, dimension) -> None:
    for others in itertools.product((None, 0.0, 0.3, 1.0), repeat=2):
        scores = {**NOT_CHECKED, "structural_integrity": others[0], "numerical_validity": others[1]}
        values = [aggregate({**scores, dimension: score}) for score in (0.0, 0.2, 0.5, 1.0)]
        checked = [value for value in values if value is not None]
        assert checked == sorted(checked)
        assert all(0 <= value <= 1 for value in checked)


def weighing(**weights: tuple[float, float]) -> Weights:
    parts = {name: Weight(*pair) for name, pair in weights.items()}
    return Weights(-1.0, dict.fromkeys(DIMENSIONS, Weight(0.0, 0.0)) | parts)


def test_severity_is_the_mean_of_checked_scores_by_what_they_weigh() -> None:
    weights = weighing(final_answer=(2.0, 1.0), numerical_validity=(1.0, 0.5), step_ordering=(0.5, 0.0))

    assert severity({"final_answer": 1.0, "numerical_validity": 0.5, "step_ordering": 0.0}, weights) == 3.75 / 5.0
    assert severity({"final_answer": 1.0, "numerical_validity": 0.5, "step_ordering": None}, weights) == 3.75 / 4.5
    assert severity(dict.fromkeys(DIMENSIONS, 1.0), weights) == 1.0
    assert severity(dict.fromkeys(DIMENSIONS, 0.0), weights) == 0.0


def test_a_dimension_without_weight_counts_nothing_in_severity() -> None:
    weights = weighing(final_answer=(2.0, 1.0))

    for score in (0.0, 1.0, None):
        assert severity({"final_answer": 0.75, "step_ordering": score, "brevity": 1.0}, weights) == 0.75
    assert severity({"final_answer": None, "step_ordering": 1.0}, weights) is None
    assert severity({}, weights) is None


def test_severity_is_the_share_of_the_log_odds_that_the_scores_make_up() -> None:
    scores = {**NOT_CHECKED, "semantic_alignment": 0.35, "numerical_validity": 0.9, "final_answer": 0.75}
    spotless = {name: score and 0.0 for name, score in scores.items()}
    full = {name: score and 1.0 for name, score in scores.items()}
    for weights in map(default_calibration().weights, (True, False)):
        low, here, high = (log_odds(wrongness(each, weights)) for each in (spotless, scores, full))

        assert severity(scores, weights) == pytest.approx((here - low) / (high - low), rel=1e-9)


def test_huge_log_odds_do_not_overflow() -> None:
    heavy = Weights(0.0, dict.fromkeys(DIMENSIONS, Weight(1e6, 1e6)))

    assert wrongness(dict.fromkeys(DIMENSIONS, 1.0), heavy) == 1.0
    assert wrongness(dict.fromkeys(DIMENSIONS, 0.0), heavy) == 0.0


def test_the_default_belongs_to_this_verifier_and_says_how_it_was_made() -> None:
    path = Path(aggregates.__file__).with_name("calibration.json")
    content = json.loads(path.read_text(encoding="utf-8"))

    assert content["verifier_version"] == VERIFIER_VERSION, "run `make calibrate` (docs/calibration.md)"
    assert content["digest"] == digest(content), "changed by hand: run `make calibrate` (docs/calibration.md)"
    assert read_calibration(path, VERIFIER_VERSION) == default_calibration()
    assert content["command"].startswith("weighted-dpo calibrate ")
    assert all(len(source["sha256"]) == 64 and "/" not in source["file"] for source in content["data"])
    assert content["cross_validation"]["all"]["auroc"] > 0.5


def content(**changes: object) -> dict:
    return {
        "format_version": 1,
        "verifier_version": VERIFIER_VERSION,
        "with_reference_solution": case(-0.25),
        "without_reference_solution": case(-1.25),
    } | changes


def case(bias: object, present: object = 1.0, absent: object = 0.5, names: tuple[str, ...] = DIMENSIONS) -> dict:
    return {"bias": bias, "weights": {name: {"present": present, "absent": absent} for name in names}}


def fitted(with_solution: object) -> str:
    return json.dumps(content(with_reference_solution=with_solution))


@pytest.mark.parametrize(("reference_solution", "bias"), [("6 x 7 = 42\n#### 42", -0.25), (None, -1.25)])
def test_a_verifier_uses_the_calibration_that_it_is_given(tmp_path, reference_solution, bias) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content()))

    profile = MathVerifier.from_calibration(path, timeout=3.0).verify(
        "What is 6 x 7?", "6 x 7 = 42\nA: 42", "42", reference_solution
    )

    log_odds = bias + sum(score - 0.5 * (1 - score) for score in profile.scores.values() if score is not None)
    assert profile.wrongness == pytest.approx(odds(log_odds))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is no JSON file"),
        ("\xff", "this is no JSON file"),
        ("[" * 100_000, "this is no JSON file"),
        ("[]", "it has no 'format_version'"),
        (json.dumps(content(format_version=2)), "format_version is 2, but this package reads 1"),
        (json.dumps(content(verifier_version="0")), "version '0' of the verifier.*Run `weighted-dpo calibrate` again"),
        (json.dumps(content(digest="0" * 64)), "changed after it was fitted.*take the digest out"),
        (fitted(case("a")), "'with_reference_solution': bias is 'a', but it is a finite number"),
        (fitted(case(float("nan"))), "bias is nan"),
        (fitted(None), "'with_reference_solution' is None, but it is 'bias' and 'weights'"),
        (fitted({"bias": 0, "weights": []}), r"is \{.*\}, but it is 'bias' and 'weights'"),
        (fitted(case(0, names=("style",))), "there is no dimension 'style'"),
        (fitted(case(0, names=("final_answer",))), "the weights of semantic_alignment are missing"),
        (fitted({"bias": 0, "weights": {"final_answer": 1}}), "'final_answer' is 1, but it is 'present' and 'absent'"),
        (
            fitted(case(0, absent=-1)),
            "'absent' of semantic_alignment is -1, but weights are finite numbers of at least",
        ),
    ],
    ids=itertools.count(),
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, text, message) -> None:
    path = tmp_path / "weights.json"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(ValueError, match=rf"weights\.json: .*{message}"):
        MathVerifier.from_calibration(path)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        MathVerifier.from_calibration(tmp_path / "nowhere.json")
