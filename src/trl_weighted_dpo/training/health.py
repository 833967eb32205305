"""Health check: signs that training goes wrong, each reported once with what to change.

The limits are ours and rules of thumb: they are set so that runs which go well stay silent, not so that every run which
goes badly is found.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For types only: this module is plain Python and loads no torch.
    from trl_weighted_dpo.training.objective import Objective

HEALTH_FILE = "health.json"

WINDOW = 3
"""Logs that a mean is taken over, against noise of single logs."""
LOSS_FALL = 0.05
"""Share by which the loss must fall to count as falling: from log 2, where DPO starts, a margin of 0.07."""
CHOSEN_DELTA = -0.05
"""Nats for each token that chosen completions may lose: at 200 tokens, 10 nats, a probability divided by 22 000."""
FRAC_BELOW_REF = 0.5
"""Share of pairs that have to be below the reference, so that a few far outliers alone are no displacement."""
AT_BOUNDS = 0.5
"""Share of u at its bounds: from half on, most weights are one of two numbers. (From 0.2 on, one line says so when the
weights are computed.)"""
LEAST_ESS = 0.25
"""Effective sample size: at a quarter, the noise of the gradient, which goes with its root, has doubled."""
LEAST_PAIRS = 64
"""Pairs before which an effective sample size tells nothing."""
EARLY_STEPS = 10
"""Steps in which no learning rate that is of use saturates the accuracy."""
EARLY_ACCURACY = 0.95
EARLY_MARGIN = 0.1
"""Mean margin that tells an accuracy from the signs of rounding errors, which reach β · 0.0115 √T in bfloat16 for T
tokens: 0.02 at β = 0.1 and T = 300."""
LARGEST_REWARD = 20.0
"""Reward, or margin: a sigmoid there is nearer to 0 or 1 than float32 can tell, so no loss asks for more."""
LENGTH_DRIFT = 0.3
"""Share by which the mean length may move: six standard errors of means over `LENGTH_PAIRS` pairs whose lengths vary by
half of their mean."""
LENGTH_PAIRS = 256

Log = Mapping[str, Any]


@dataclass(frozen=True)
class RunContext:
    """What the signs depend on beside the logs.

    Args:
        objective ([`~training.objective.Objective`]): What is trained on.
        weighting (`Mapping[str, Any]`, *optional*): Settings, statistics and summary of the training set's weights, as
            in `weighted_dpo.json`.
        pairs_per_step (`int`): Pairs of one optimizer step, over all processes.
        fp16 (`bool`): Whether gradients overflow now and then by design.
    """

    objective: "Objective"
    weighting: Mapping[str, Any] | None
    pairs_per_step: int
    fp16: bool


@dataclass(frozen=True)
class Finding:
    """A sign that was seen: what, why it matters, and what to change."""

    signature: str
    step: int
    seen: str
    why: str
    change: str

    @property
    def sentence(self) -> str:
        return f"At step {self.step}, {self.seen}: {self.why}; {self.change}."


Symptom = tuple[str, str, str]
"""What was seen, why it matters, what to change."""


def _mean(logs: Sequence[Log], name: str) -> float:
    values = [log[name] for log in logs if log.get(name) is not None]
    return sum(values) / len(values) if values else math.nan


def _non_finite(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    # The Trainer leaves NaN losses out of `loss`; margins and gradients show them all the same.
    names = ("loss", "rewards/margins_weighted", *(() if context.fp16 else ("grad_norm",)))
    bad = [name for name in names if logs[-1].get(name) is not None and not math.isfinite(logs[-1][name])]
    if not bad:
        return None
    return (
        f"{' and '.join(f'{name} is {logs[-1][name]}' for name in bad)}",
        "one step with such a gradient ruins the model",
        "go back to a checkpoint from before, lower learning_rate, keep max_grad_norm at 1 or less, and look for pairs "
        "with infinite reference log-probs",
    )


def _displacement(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    # APO-down lowers the chosen completion on purpose.
    if len(logs) < 2 * WINDOW or "apo_down" in context.objective.loss_types:
        return None
    before, now = _mean(logs[:WINDOW], "loss"), _mean(logs[-WINDOW:], "loss")
    delta = _mean(logs[-WINDOW:], "displacement/chosen_delta")
    below = _mean(logs[-WINDOW:], "displacement/frac_below_ref")
    if not (now < (1 - LOSS_FALL) * before and delta < CHOSEN_DELTA and below >= FRAC_BELOW_REF):
        return None
    return (
        f"the loss has fallen from {before:.3g} to {now:.3g} while the chosen completions have lost {-delta:.2g} nats "
        f"a token against the reference ({below:.0%} of them lie below it)",
        "the model unlearns right solutions too, only more slowly than wrong ones (displacement)",
        _against_displacement(context.objective),
    )


def _against_displacement(objective: "Objective") -> str:
    changes = []
    if not objective.absolute_losses:
        strength = objective.dpop_lambda
        changes.append(f"raise dpop_lambda above {strength:g}" if strength else "set dpop_lambda=50")
    changes.append(
        "raise the loss weight of 'sft'"
        if "sft" in objective.loss_types
        else "add loss_type 'sft' with a loss weight of 5"
    )
    return f"{', or '.join(changes)}, or lower learning_rate"


def _weights_at_bounds(_: Sequence[Log], context: RunContext) -> Symptom | None:
    summary = (context.weighting or {}).get("summary")
    if not summary or not context.weighting or context.weighting["settings"]["lambda_"] == 0:
        return None
    low, high = summary["at_clip_min"], summary["at_clip_max"]
    if low + high < AT_BOUNDS:
        return None
    return (
        f"{low:.0%} of the normalised raw weights sit at weight_clip_min and {high:.0%} at weight_clip_max",
        "weights at a bound no longer tell pairs apart",
        "widen the bounds, or choose a weight_scheme whose signal is graded (try them with `weighted-dpo weigh`)",
    )


def _ess_collapse(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    ess = logs[-1].get("weights/ess_run")
    if ess is None or ess >= LEAST_ESS or logs[-1]["step"] * context.pairs_per_step < LEAST_PAIRS:
        return None
    return (
        f"the effective sample size of the weights trained on so far is {ess:.0%}",
        "the gradient is as noisy as with that share of the pairs, and a few pairs rule it",
        "lower weight_lambda or weight_clip_max, or cap the largest values of your weight column",
    )


def _saturated_start(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    first = logs[0]
    accuracy, margin = first.get("rewards/accuracies", math.nan), first.get("rewards/margins", math.nan)
    if not (first["step"] <= EARLY_STEPS and accuracy >= EARLY_ACCURACY and margin >= EARLY_MARGIN):
        return None
    return (
        f"the reward accuracy is {accuracy:.0%} with a mean margin of {margin:.2g} in the first log already",
        "policy and reference are not the same model at the start, or the pairs are told apart at a glance, so that "
        "there is little left to learn",
        "check that ref_model or the reference log-probs are those of the model that is trained, and run "
        "`weighted-dpo audit` on the pairs",
    )


def _rewards_exploding(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    if len(logs) < WINDOW:
        return None
    chosen, rejected = (_mean(logs[-WINDOW:], f"rewards/{side}") for side in ("chosen", "rejected"))
    unit = ""
    if context.objective.has_rewards_per_token:
        unit = " a token"
        chosen /= max(1.0, _mean(logs[-WINDOW:], "lengths/chosen"))
        rejected /= max(1.0, _mean(logs[-WINDOW:], "lengths/rejected"))
    if not max(abs(chosen), abs(rejected), abs(chosen - rejected)) >= LARGEST_REWARD:
        return None
    return (
        f"the mean rewards are {chosen:.3g}{unit} for chosen and {rejected:.3g}{unit} for rejected completions",
        "no loss asks for rewards beyond ±20, so the model drifts far from its reference for nothing",
        "lower learning_rate, train for fewer steps, or raise beta",
    )


def _length_drift(logs: Sequence[Log], context: RunContext) -> Symptom | None:
    first, last = _enough(logs, context), _enough(logs, context, from_end=True)
    if first is None or last is None or first + last > len(logs):
        return None
    for side in ("chosen", "rejected"):
        before, now = (_mean(part, f"lengths/{side}") for part in (logs[:first], logs[-last:]))
        if abs(now - before) >= LENGTH_DRIFT * before:
            return (
                f"the mean length of {side} completions has moved from {before:.0f} to {now:.0f} tokens",
                "the pairs come ordered by length, so that late steps teach other lengths than early ones and the "
                "other metrics cannot be compared over time",
                "shuffle the pairs (no curriculum, no grouping by length)",
            )
    return None


def _enough(logs: Sequence[Log], context: RunContext, from_end: bool = False) -> int | None:
    """How many logs, from the start or the end, hold enough pairs for a mean length; `None` if all do not."""
    pairs = 0
    for count in range(1, len(logs) + 1):
        place = len(logs) - count if from_end else count - 1
        before = logs[place - 1]["step"] if place else 0
        pairs += (logs[place]["step"] - before) * context.pairs_per_step
        if count >= WINDOW and pairs >= LENGTH_PAIRS:
            return count
    return None


SIGNATURES: dict[str, Callable[[Sequence[Log], RunContext], Symptom | None]] = {
    "non_finite": _non_finite,
    "displacement": _displacement,
    "weights_at_bounds": _weights_at_bounds,
    "ess_collapse": _ess_collapse,
    "saturated_start": _saturated_start,
    "rewards_exploding": _rewards_exploding,
    "length_drift": _length_drift,
}

STOPPING = ("non_finite", "displacement", "rewards_exploding")
"""Those that stop training if asked to: with them, each further step makes the model worse."""


def diagnose(logs: Sequence[Log], context: RunContext, known: Sequence[str] = ()) -> list[Finding]:
    """The signs in the logs of training up to now.

    Args:
        logs (`Sequence[Mapping[str, Any]]`): Logs of training, in order, at least one, each with `step`.
        context ([`RunContext`]): What they depend on besides.
        known (`Sequence[str]`, *optional*): Signatures that are not looked for.
    """
    findings = []
    for signature, look in SIGNATURES.items():
        symptom = None if signature in known else look(logs, context)
        if symptom is not None:
            findings.append(Finding(signature, logs[-1]["step"], *symptom))
    return findings
