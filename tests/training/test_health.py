"""Signs of training that goes wrong, on histories of logs: what each says, and what must stay silent."""

import math
import re

import pytest

from trl_weighted_dpo.training.health import SIGNATURES, RunContext, diagnose
from trl_weighted_dpo.training.objective import Objective

HEALTHY = {
    "loss": 0.6, "grad_norm": 1.0, "rewards/accuracies": 0.7, "rewards/margins": 0.2, "rewards/margins_weighted": 0.2,
    "rewards/chosen": -0.1, "rewards/rejected": -0.3, "displacement/chosen_delta": -0.01,
    "displacement/frac_below_ref": 0.6, "lengths/chosen": 100.0, "lengths/rejected": 110.0, "weights/ess_run": 0.9,
}  # fmt: skip


def history(count=20, every=10, **changes):
    """Logs of a healthy run, its loss falling; a changed value may depend on the place, from 0 to 1."""
    logs = []
    for index in range(count):
        place = index / (count - 1)
        log = {**HEALTHY, "loss": 0.69 - 0.2 * place, "step": (index + 1) * every}
        log |= {name.replace("__", "/"): value(place) if callable(value) else value for name, value in changes.items()}
        logs.append(log)
    return logs


def weighting(low, high, lambda_=0.3):
    return {"settings": {"lambda_": lambda_}, "summary": {"at_clip_min": low, "at_clip_max": high}}


def found(logs, objective=None, record=None, pairs=8, fp16=False):
    """Each sign that a run of these logs would tell, with its step and sentence."""
    context = RunContext(objective or Objective(), record, pairs, fp16)
    findings = {}
    for count in range(1, len(logs) + 1):
        for finding in diagnose(logs[:count], context, list(findings)):
            findings[finding.signature] = finding
    return findings


SICK = {
    "displacement": (
        {"displacement__chosen_delta": lambda place: -0.12 * place},
        r"^At step 100, the loss has fallen from 0\.679 to 0\.606 while the chosen completions have lost 0\.051 nats a "
        r"token against the reference \(60% of them lie below it\): the model unlearns right solutions too, .*; set "
        r"dpop_lambda=50, or add loss_type 'sft' with a loss weight of 5, or lower learning_rate\.$",
    ),
    "non_finite": ({"rewards__margins_weighted": lambda place: math.nan if place > 0.5 else 0.1}, "is nan: one step"),
    "ess_collapse": ({"weights__ess_run": lambda place: 0.9 - place}, "trained on so far is 2[0-4]%: .*clip_max"),
    "rewards_exploding": (
        {"rewards__chosen": lambda place: -40 * place, "rewards__rejected": lambda place: -42 * place},
        r"the mean rewards are -\d+(\.\d)? for chosen and -2\d(\.\d)? for rejected completions: no loss asks",
    ),
    "length_drift": (
        {"lengths__rejected": lambda place: 100 + 60 * place},
        r"mean length of rejected completions has moved from 1\d\d to 1\d\d tokens: .*; shuffle the pairs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("signature", SICK)
def test_each_sign_is_told_by_its_sentence_and_alone(signature):
    changes, sentence = SICK[signature]
    findings = found(history(**changes))
    assert list(findings) == [signature]
    assert re.search(sentence, findings[signature].sentence), findings[signature].sentence
    assert findings[signature].sentence.count(". ") == 0


def test_a_saturated_start_is_told_by_the_first_log_alone():
    logs = history(rewards__accuracies=1.0, rewards__margins=0.5)
    assert [(sign, finding.step) for sign, finding in found(logs).items()] == [("saturated_start", 10)]
    assert "accuracy is 100% with a mean margin of 0.5 in the first log" in found(logs)["saturated_start"].sentence


def test_weights_at_their_bounds_come_from_the_summary():
    findings = found(history(), record=weighting(0.45, 0.1))
    assert list(findings) == ["weights_at_bounds"]
    assert "45% of the normalised raw weights sit at weight_clip_min and 10% at" in findings["weights_at_bounds"].seen


FALLING = {"loss": lambda place: 1.0 if place < 0.5 else 0.9, "displacement__chosen_delta": -0.2}
# Changes of a healthy history with which a sign is just seen, and just not.
EDGES = {
    "the loss falls 5 %": ("displacement", dict(FALLING, count=6), "loss",
                           lambda place: 1.0 if place < 0.5 else 0.949, lambda place: 1.0 if place < 0.5 else 0.951),
    "0.05 nats a token": ("displacement", dict(FALLING, count=6), "displacement__chosen_delta", -0.0501, -0.0499),
    "half of the pairs": ("displacement", dict(FALLING, count=6), "displacement__frac_below_ref", 0.5, 0.499),
    "six logs": ("displacement", FALLING, "count", 6, 5),
    "an effective sample size of a quarter": ("ess_collapse", {}, "weights__ess_run", 0.2499, 0.25),
    "64 pairs": ("ess_collapse", {"weights__ess_run": 0.1, "every": 1}, "count", 8, 7),
    "ten steps": ("saturated_start", {"rewards__accuracies": 1.0, "rewards__margins": 0.5}, "every", 10, 11),
    "95 % accurate": ("saturated_start", {"rewards__margins": 0.5}, "rewards__accuracies", 0.95, 0.949),
    "a margin of 0.1": ("saturated_start", {"rewards__accuracies": 1.0}, "rewards__margins", 0.1, 0.099),
    "a reward of 20": ("rewards_exploding", {"count": 3, "rewards__rejected": 0.0}, "rewards__chosen", -20.0, -19.9),
    "a margin of 20": ("rewards_exploding", {"count": 3, "rewards__rejected": 10.0}, "rewards__chosen", -10.0, -9.9),
    "three logs": ("rewards_exploding", {"rewards__chosen": 30.0}, "count", 3, 2),
    "lengths move 30 %": ("length_drift", {}, "lengths__chosen",
                          lambda place: 100 if place < 0.5 else 130, lambda place: 100 if place < 0.5 else 129),
    "256 pairs in three logs": ("length_drift", {"count": 6, "lengths__chosen": lambda place: 100 + 60 * (place > 0.5)},
                                "every", 11, 10),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_a_sign_is_seen_from_its_documented_limit_on(name):
    signature, changes, edge, seen, silent = EDGES[name]
    assert list(found(history(**{**changes, edge: seen}))) == [signature]
    assert found(history(**{**changes, edge: silent})) == {}


def test_half_of_the_weights_at_their_bounds_are_told():
    assert list(found(history(3), record=weighting(0.3, 0.2))) == ["weights_at_bounds"]
    assert found(history(3), record=weighting(0.3, 0.199)) == {}


HEALTHY_RUNS = {
    "as it should be": history(),
    "chosen falls little": history(displacement__chosen_delta=lambda place: -0.045 * place),
    "chosen falls, the loss does not": history(displacement__chosen_delta=-0.2, loss=0.69),
    "a few outliers below the reference": history(
        displacement__chosen_delta=lambda place: -0.2 * place, displacement__frac_below_ref=0.2
    ),
    "chosen rises": history(displacement__chosen_delta=lambda place: 0.5 * place),
    "one log far below": history(displacement__chosen_delta=lambda place: -0.12 if place == 1.0 else 0.0),
    "too short to tell": history(5, displacement__chosen_delta=-0.5),
    "accurate in the end": history(rewards__accuracies=lambda place: 0.5 + 0.5 * place),
    "accurate by rounding at the start": history(rewards__accuracies=1.0, rewards__margins=0.01),
    "first log late": history(every=100, rewards__accuracies=1.0, rewards__margins=2.0),
    "large rewards that a loss asks for": history(rewards__chosen=8.0, rewards__rejected=-8.0),
    "one large reward": history(rewards__chosen=lambda place: 50.0 if place == 1.0 else 0.0),
    "uneven weights in few pairs": history(7, every=1, weights__ess_run=0.1),
    "lengths wander": history(lengths__chosen=lambda place: 100 + 20 * math.sin(20 * place)),
    "lengths differ in few pairs": history(20, every=1, lengths__chosen=lambda place: 100 + 60 * place),
    "no gradient norm": history(grad_norm=None),
}


@pytest.mark.parametrize("name", HEALTHY_RUNS)
def test_healthy_runs_are_silent(name):
    assert found(HEALTHY_RUNS[name]) == {}


@pytest.mark.parametrize("record", [None, weighting(0.3, 0.1), weighting(0.6, 0.4, lambda_=0.0), {"summary": None}])
def test_weights_within_their_bounds_are_silent(record):
    assert found(history(3), record=record) == {}


def test_overflowing_gradients_are_the_normal_course_in_fp16():
    logs = history(grad_norm=lambda place: math.inf if place > 0.5 else 1.0)
    assert found(logs, fp16=True) == {}
    assert list(found(logs)) == ["non_finite"]


def test_rewards_of_losses_per_token_are_taken_per_token():
    logs = history(rewards__chosen=300.0, rewards__rejected=-400.0)
    assert found(logs, Objective(("sigmoid_norm", "sft"), beta=5.0)) == {}
    assert list(found(logs, Objective(("sigmoid", "sigmoid_norm")))) == ["rewards_exploding"]
    longer = history(rewards__chosen=3000.0, rewards__rejected=-400.0)
    assert "30 a token for chosen" in found(longer, Objective(("ipo",)))["rewards_exploding"].seen


@pytest.mark.parametrize(
    ("objective", "advice"),
    [
        (Objective(("sigmoid",), dpop_lambda=5.0), "raise dpop_lambda above 5, or add loss_type 'sft'"),
        (Objective(("sigmoid", "sft")), "set dpop_lambda=50, or raise the loss weight of 'sft', or lower"),
        (Objective(("bco_pair",)), "; add loss_type 'sft' with a loss weight of 5, or lower learning_rate."),
    ],
)
def test_advice_on_displacement_is_what_can_be_changed(objective, advice):
    findings = found(history(displacement__chosen_delta=lambda place: -0.2 * place), objective)
    assert advice in findings["displacement"].sentence


def test_a_loss_that_lowers_the_chosen_completion_on_purpose_is_not_displaced():
    assert found(history(displacement__chosen_delta=lambda place: -0.2 * place), Objective(("apo_down",))) == {}


def test_all_signs_are_tested():
    assert {*SICK, "saturated_start", "weights_at_bounds"} == set(SIGNATURES)
