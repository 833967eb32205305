"""Whole evaluations of models with chosen outcomes."""

import json

import numpy as np
import pytest

from tests.evaluation.pools import answered
from trl_weighted_dpo.evaluation.evaluating import Evaluation
from trl_weighted_dpo.evaluation.measures import Model, measures
from trl_weighted_dpo.evaluation.statistics import bootstrap_interval, mcnemar, pass_at_k, wilson_interval
from trl_weighted_dpo.settings.evaluation import EvaluationConfig

FAST = EvaluationConfig(resamples=500)
GREEDY_A = answered("a.greedy", *"cccccciiiiiu")
GREEDY_B = answered("b.greedy", *"cccccicccciu")
GREEDY_C = answered("c.greedy", *"cccccciiiicu")
SAMPLES_A = answered("a.samples", *["cccc", "ccci"] * 3, *["nnci", "nnnn"] * 2, "cicu", "uuuu")


def test_measures_of_a_sampled_model():
    pool = answered("pool", "cciu", "iiii", "cccc", "cuuu")
    found = measures(Model("a", samples=pool), list(pool.problems), 4)
    assert list(found) == ["accuracy", "pass@2", "pass@4", "maj@4"]
    assert found["accuracy"].values.tolist() == [0.5, 0.0, 1.0, 0.25]
    assert found["accuracy"].verdicts == {"correct": 7, "incorrect": 5, "undecided": 4}
    assert found["pass@2"].values.tolist() == [pass_at_k(4, c, 2) for c in (2, 0, 4, 1)]
    assert found["pass@4"].values.tolist() == [1.0, 0.0, 1.0, 1.0]
    assert found["maj@4"].values.tolist() == [1.0, 0.0, 1.0, 1.0]
    assert found["maj@4"].is_binary
    assert not found["accuracy"].is_binary


def test_measures_follow_the_fewest_samples():
    pool = answered("pool", "ciiicc", "ccc")
    found = measures(Model("a", samples=pool), list(pool.problems), 3)
    assert list(found) == ["accuracy", "pass@2", "pass@3", "maj@3"]
    assert found["accuracy"].values.tolist() == [0.5, 1.0]
    assert found["maj@3"].values.tolist() == [0.0, 1.0]
    assert found["pass@2"].values.tolist() == [pass_at_k(6, 3, 2), 1.0]


def test_two_samples_make_no_majority():
    pool = answered("pool", "ci", "cc")
    assert list(measures(Model("a", samples=pool), list(pool.problems), 2)) == ["accuracy", "pass@2"]


def test_one_sample_is_right_or_wrong():
    pool = answered("pool", "c", "i", "u")
    found = measures(Model("a", samples=pool), list(pool.problems), 1)
    assert list(found) == ["accuracy"]
    assert found["accuracy"].is_binary


def test_report_of_three_models():
    models = [Model("a", GREEDY_A, SAMPLES_A), Model("b", GREEDY_B), Model("c", GREEDY_C)]
    report = Evaluation(models, FAST).report()
    json.dumps(report, allow_nan=False)
    assert report["schema_version"] == 1
    assert report["baseline"] == "a"
    assert report["problems"]["count"] == 12
    assert report["settings"]["k"] == 4
    greedy = report["models"]["a"]["measures"]["greedy"]
    assert greedy["verdicts"] == {"correct": 6, "incorrect": 5, "undecided": 1}
    assert (greedy["correct"], greedy["value"], greedy["method"]) == (6, 0.5, "wilson")
    assert greedy["interval"] == list(wilson_interval(6, 12))
    b, c = report["comparisons"]
    assert [(own["measure"], own["model"], own["baseline"]) for own in (b, c)] == [
        ("greedy", "b", "a"),
        ("greedy", "c", "a"),
    ]
    assert [b[name] for name in ("both", "gained", "lost", "neither")] == [5, 4, 1, 2]
    assert b["difference"] == pytest.approx(3 / 12)
    assert b["interval"] == list(bootstrap_interval([0] * 5 + [-1] + [1] * 4 + [0] * 2, resamples=500))
    assert (b["p"], c["p"]) == (mcnemar(4, 1), mcnemar(1, 0))
    assert b["p_holm"] == min(1.0, 2 * b["p"])


def test_a_difference_is_paired():
    """The interval of a difference does not know how hard problems are: the same changes, the same interval."""
    rng = np.random.default_rng(0)
    easy = ["c" if x else "i" for x in rng.random(60) < 0.9]
    changed = ["i" if index < 3 else one for index, one in enumerate(easy)]
    models = [Model("a", answered("a", *easy)), Model("b", answered("b", *changed))]
    (own,) = Evaluation(models, FAST).report()["comparisons"]
    high, low = own["interval"][1], own["interval"][0]
    assert low < own["difference"] < high <= 0
    # Unpaired, the standard error would be √2 · √(0.9 · 0.1 / 60) = 0.055.
    assert high - low < 2 * 1.96 * 0.055


def test_classes_come_from_samples_and_accuracy_from_greedy_candidates():
    report = Evaluation([Model("a", GREEDY_A, SAMPLES_A), Model("b", GREEDY_B)], FAST).report()
    own = report["slices"][-1]
    assert (own["slice"], own["made_from"], own["measured_on"]) == ("error class", "samples", "greedy candidates")
    assert own["is_independent"]
    counts = {name: group["problems"] for name, group in own["groups"].items()}
    assert counts == {
        "correct": 7, "near_miss": 4, "miscalculated": 0, "other_incorrect": 0, "unfinished_thinking": 0,
        "undecided": 1,
    }  # fmt: skip
    near = own["groups"]["near_miss"]
    assert [near["measures"][name]["greedy"]["correct"] for name in "ab"] == [0, 4]
    assert near["comparisons"][0]["difference"] == 1.0
    assert own["groups"]["miscalculated"] == {"problems": 0, "measures": {}, "comparisons": []}


def test_without_greedy_candidates_classes_and_accuracy_come_from_different_samples():
    a, b = answered("a", "nncc", "ccni", "nn"), answered("b", "iccc", "ccci", "c")
    own = Evaluation([Model("a", samples=a), Model("b", samples=b)], FAST).report()["slices"][-1]
    assert own["made_from"] == "first half of the samples"
    assert own["is_independent"]
    near, right = own["groups"]["near_miss"], own["groups"]["correct"]
    assert (near["problems"], right["problems"]) == (2, 1)
    assert near["measures"]["a"]["accuracy"]["value"] == 0.5
    assert near["measures"]["b"]["accuracy"]["value"] == 1.0
    assert right["measures"]["a"]["accuracy"]["value"] == 0.0
    assert right["measures"]["b"]["accuracy"]["value"] == 0.5


def test_a_single_candidate_makes_slices_that_are_not_independent():
    own = Evaluation([Model("a", GREEDY_A), Model("b", GREEDY_B)], FAST).report()["slices"][-1]
    assert not own["is_independent"]
    assert own["groups"]["correct"]["measures"]["a"]["greedy"]["value"] == 1.0
    assert own["groups"]["other_incorrect"]["measures"]["a"]["greedy"]["value"] == 0.0


def test_slices_that_are_made_from_what_they_measure_regress_to_the_mean():
    """Two samples of one and the same model: where the first failed, the second one looks better, unless the class
    comes from a third."""
    rng = np.random.default_rng(1)
    chance = rng.random(3000)
    one, two, three = (
        ["c" if draw < p else "i" for p, draw in zip(chance, rng.random(3000), strict=True)] for _ in "123"
    )
    flawed = Evaluation([Model("a", answered("a", *one)), Model("b", answered("b", *two))], FAST)
    fair = Evaluation([Model("a", answered("a", *one), answered("s", *three)), Model("b", answered("b", *two))], FAST)

    def gain(evaluation):
        own = evaluation.report()["slices"][-1]["groups"]["other_incorrect"]
        return own["comparisons"][0]

    # Of chances that are uniform, those of a failure have the mean ∫ p(1 - p) dp / ∫ (1 - p) dp = 1/3.
    assert gain(flawed)["difference"] == pytest.approx(1 / 3, abs=0.05)
    low, high = gain(fair)["interval"]
    assert low < 0 < high


def test_difficulty_by_level_by_steps_and_by_accuracy():
    letters = [*"ccii"]
    levels = answered("a", *letters, level=["Level 2", "Level 1", "Level 2", "Level 1"])
    own = Evaluation([Model("a", levels)], FAST).report()["slices"][0]
    assert own["by"] == "column level"
    assert {name: group["problems"] for name, group in own["groups"].items()} == {"Level 1": 2, "Level 2": 2}
    own = Evaluation([Model("a", answered("a", *letters))], FAST).report()["slices"][0]
    assert own["by"] == "steps of the reference solution"
    assert {name: group["problems"] for name, group in own["groups"].items()} == {"2": 4}
    of_baseline = EvaluationConfig("accuracy", resamples=500)
    own = Evaluation([Model("a", GREEDY_A, SAMPLES_A)], of_baseline).report()["slices"][0]
    assert own["by"] == "accuracy of the baseline"
    assert [group["problems"] for group in own["groups"].values()] == [3, 2, 4, 3]


def test_difficulty_counts_numbers_as_numbers():
    pool = answered("a", *"cci", depth=[10, 9, 10])
    own = Evaluation([Model("a", pool)], EvaluationConfig("depth", resamples=500)).report()["slices"][0]
    assert list(own["groups"]) == ["9", "10"]


def test_difficulty_by_many_steps():
    pool = answered("a", *"cc")
    problems = dict(pool.problems)
    long = type(problems["p0"])("problem 0", "1", "\n".join(["x = 1"] * 12), {})
    pool = type(pool)("a", {**problems, "p0": long}, pool.outcomes)
    own = Evaluation([Model("a", pool)], FAST).report()["slices"][0]
    assert list(own["groups"]) == ["2", "8 or more"]


def test_a_column_of_steps_is_taken_as_it_is():
    pool = answered("a", *"ccc", steps=[8, 9, 8])
    own = Evaluation([Model("a", pool)], EvaluationConfig("steps", resamples=500)).report()["slices"][0]
    assert own["by"] == "column steps"
    assert {name: group["problems"] for name, group in own["groups"].items()} == {"8": 2, "9": 1}


def test_a_number_and_a_text_of_the_same_name_are_one_group():
    pool = answered("a", *"ccc", level=[1, "1", 2])
    own = Evaluation([Model("a", pool)], FAST).report()["slices"][0]
    assert {name: group["problems"] for name, group in own["groups"].items()} == {"1": 2, "2": 1}


def test_levels_of_too_many_values_are_not_taken_unasked():
    pool = answered("a", *["c"] * 21, level=list(range(21)))
    assert Evaluation([Model("a", pool)], FAST).report()["slices"][0]["by"] == "steps of the reference solution"


def test_difficulty_that_is_not_there():
    with pytest.raises(
        ValueError, match=r"'p0'.*no text or number in the column 'grade'\. There are: level, steps, accuracy"
    ):
        Evaluation([Model("a", answered("a", "c", level=["x"]))], EvaluationConfig("grade")).report()


def test_difficulty_of_too_many_values():
    pool = answered("a", *["c"] * 21, key=list(range(21)))
    with pytest.raises(ValueError, match=r"--difficulty key: the column has 21 values"):
        Evaluation([Model("a", pool)], EvaluationConfig("key")).report()


def test_problem_rows_let_a_person_recompute_everything():
    evaluation = Evaluation([Model("a", GREEDY_A, SAMPLES_A), Model("b", GREEDY_B)], FAST)
    rows, report = list(evaluation.problem_rows()), evaluation.report()
    assert len(rows) == 12
    assert rows[7]["models"]["a"]["samples"] == {
        "verdicts": ["incorrect"] * 4, "answers": ["n"] * 4, "error_class": "near_miss"
    }  # fmt: skip
    for name, of_model in report["models"].items():
        for measure, own in of_model["measures"].items():
            assert own["value"] == pytest.approx(np.mean([row["models"][name]["measures"][measure] for row in rows]))


def test_models_on_other_problems_are_refused_with_their_ids():
    other = answered("b.jsonl", *"ccc")
    with pytest.raises(
        ValueError, match=r"a\.jsonl and b\.jsonl do not hold the same problems: 1 are only in b\.jsonl \('p2'\)"
    ):
        Evaluation([Model("a", answered("a.jsonl", *"cc")), Model("b", other)])


def test_problems_with_the_same_id_and_another_text_are_refused():
    own = answered("a.jsonl", *"cc")
    other = {**own.problems, "p1": type(own.problems["p1"])("another", "1", None, {})}
    with pytest.raises(ValueError, match=r"the text of the problem differs in 1 \('p1'\)"):
        Evaluation([Model("a", own), Model("b", type(own)("b.jsonl", other, own.outcomes))])
    other = {**own.problems, "p0": type(own.problems["p0"])("problem 0", "2", None, {})}
    with pytest.raises(ValueError, match=r"the reference answer differs in 1 \('p0'\)"):
        Evaluation([Model("a", own), Model("b", type(own)("b.jsonl", other, own.outcomes))])


def test_the_order_of_problems_does_not_matter():
    pool = answered("b", *"cic")
    turned = type(pool)("b", dict(reversed(pool.problems.items())), dict(reversed(pool.outcomes.items())))
    (own,) = Evaluation([Model("a", answered("a", *"cci")), Model("b", turned)], FAST).report()["comparisons"]
    assert [own[name] for name in ("both", "gained", "lost", "neither")] == [1, 1, 1, 0]


def test_what_is_no_evaluation():
    with pytest.raises(ValueError, match="there is no model"):
        Evaluation([])
    with pytest.raises(ValueError, match="two models are called 'a'"):
        Evaluation([Model("a", GREEDY_A), Model("a", GREEDY_B)])
    with pytest.raises(ValueError, match="neither a greedy pool nor one of samples"):
        Evaluation([Model("a")])
    with pytest.raises(ValueError, match="'p0' has 4 candidates, but greedy decoding gives one"):
        Evaluation([Model("a", SAMPLES_A)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"confidence": 1.0}, "confidence is 1.0"), ({"confidence": float("nan")}, "confidence is nan"),
     ({"resamples": 99}, "resamples is 99"), ({"seed": -1}, "seed is -1")],
)  # fmt: skip
def test_settings_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**changes)
