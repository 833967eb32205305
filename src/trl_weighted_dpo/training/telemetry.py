"""Metrics of pairs: TRL's names and meanings for each batch, and ours over all pairs since the last log.

All come from one table with a row for each pair, so that one collective gathers it from every process and every mean is
over pairs, however they fell on processes and into batches.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trl_weighted_dpo.training.forward import TokenScores
from trl_weighted_dpo.training.objective import PairLogps

COLUMNS = (
    "weight",
    "loss",
    "chosen_logp",
    "rejected_logp",
    "chosen_ratio",
    "rejected_ratio",
    "chosen_reward",
    "rejected_reward",
    "hardness",
    "attended_tokens",
    "entropy",
    "chosen_logit",
    "rejected_logit",
    "chosen_hits",
    "chosen_tokens",
    "rejected_tokens",
)
"""Columns of the table; those after `attended_tokens` are sums over the completion's tokens."""

BUCKETS = ("low", "mid", "high")
"""Thirds of the training set by hardness."""


@dataclass(frozen=True)
class PairOutcome:
    """What one step knows of its B pairs; every tensor has shape (B,).

    Args:
        weights: The pairs' weights.
        losses: Unweighted losses ℓ_i.
        logps: Log-probs under policy and reference, as the loss takes them.
        beta: β of each pair, or of all.
        tokens: Attended tokens of both sequences, prompt included.
        hardness: NaN where it is not known; `None` if the pairs bring none.
    """

    weights: Tensor
    losses: Tensor
    logps: PairLogps
    beta: Tensor | float
    tokens: Tensor
    hardness: Tensor | None = None


@torch.no_grad()
def pair_table(outcome: PairOutcome, scores: TokenScores) -> Tensor:
    """All that the metrics need, one row for each pair.

    Returns:
        `Tensor` of shape (B, len(COLUMNS)), float32, without gradient.
    """
    chosen_tokens, rejected_tokens = scores.mask.sum(dim=1).chunk(2)
    per_sequence = [values.sum(dim=1) for values in (scores.entropy, scores.mean_logit, scores.top1)]  # type: ignore[union-attr]
    (entropy_c, entropy_r), (logit_c, logit_r), (hits, _) = (values.chunk(2) for values in per_sequence)
    unknown = torch.full_like(outcome.losses, torch.nan)
    logps = outcome.logps
    chosen_ratios, rejected_ratios = logps.chosen - logps.ref_chosen, logps.rejected - logps.ref_rejected
    columns = {
        "weight": outcome.weights,
        "loss": outcome.losses,
        "chosen_logp": logps.chosen,
        "rejected_logp": logps.rejected,
        "chosen_ratio": chosen_ratios,
        "rejected_ratio": rejected_ratios,
        "chosen_reward": outcome.beta * chosen_ratios,
        "rejected_reward": outcome.beta * rejected_ratios,
        "hardness": unknown if outcome.hardness is None else outcome.hardness,
        "attended_tokens": outcome.tokens,
        "entropy": entropy_c + entropy_r,
        "chosen_logit": logit_c,
        "rejected_logit": logit_r,
        "chosen_hits": hits,
        "chosen_tokens": chosen_tokens,
        "rejected_tokens": rejected_tokens,
    }
    return torch.stack([columns[name].float() for name in COLUMNS], dim=1)


def table_columns(rows: Tensor) -> dict[str, Tensor]:
    """The columns of a table by name, each of shape (B,)."""
    return dict(zip(COLUMNS, rows.unbind(dim=1), strict=True))


def batch_metrics(rows: Tensor) -> tuple[dict[str, float], int]:
    """TRL's metrics of a batch.

    Args:
        rows (`Tensor`): (B, len(COLUMNS)), the rows of [`pair_table`] of all processes, on the CPU.

    Returns:
        The metrics by name, and the number of attended tokens.
    """
    columns, n = table_columns(rows), len(rows)
    sums = {name: float(values.sum()) for name, values in columns.items()}
    accurate = columns["chosen_reward"] > columns["rejected_reward"]
    metrics = {
        "entropy": _ratio(sums["entropy"], sums["chosen_tokens"] + sums["rejected_tokens"]),
        "logits/chosen": _ratio(sums["chosen_logit"], sums["chosen_tokens"]),
        "logits/rejected": _ratio(sums["rejected_logit"], sums["rejected_tokens"]),
        "mean_token_accuracy": _ratio(sums["chosen_hits"], sums["chosen_tokens"]),
        "rewards/chosen": sums["chosen_reward"] / n,
        "rewards/rejected": sums["rejected_reward"] / n,
        "rewards/accuracies": float(accurate.double().mean()),
        "rewards/margins": (sums["chosen_reward"] - sums["rejected_reward"]) / n,
        "logps/chosen": sums["chosen_logp"] / n,
        "logps/rejected": sums["rejected_logp"] / n,
    }
    return metrics, int(sums["attended_tokens"])


def name_after_dataset(metrics: MutableMapping[str, list[float]], logs: Mapping[str, float]) -> None:
    """Prefix an evaluation's metrics with the name of its dataset, where several are evaluated by name.

    TRL puts `eval_` alone before them, so that each dataset's would replace those of the one before.

    Args:
        metrics (`MutableMapping[str, list[float]]`): Metrics without `eval_`; changed in place.
        logs (`Mapping[str, float]`): What the Trainer logs: its keys, such as `eval_NAME_runtime`, tell the name.
    """
    prefix = next((key.removesuffix("runtime") for key in logs if key.endswith("_runtime")), "eval_")
    name = prefix.removeprefix("eval_")
    if prefix.startswith("eval_") and name:
        for key in list(metrics):
            metrics[name + key] = metrics.pop(key)


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def pair_metrics(rows: Tensor, bounds: tuple[float, float] | None = None) -> dict[str, float]:
    """Our metrics of pairs, see docs/metrics.md.

    Args:
        rows (`Tensor`): (n, columns), n > 0, the rows of [`pair_table`] of all batches and processes.
        bounds (`tuple[float, float]`, *optional*): What [`hardness_bounds`] says of the training set.

    Returns:
        The metrics by name. Means over pairs, but for `*_weighted`, which are Σ w x / Σ w and are left out where all
        weights are 0. `weights/ess` = (Σw)² / (n Σw²), 0 there.
    """
    columns = table_columns(rows.double())
    weights = columns["weight"]
    total, squares = float(weights.sum()), float(weights.square().sum())
    chosen_delta, rejected_delta = (
        columns[f"{side}_ratio"] / columns[f"{side}_tokens"].clamp(min=1) for side in ("chosen", "rejected")
    )
    margins = columns["chosen_reward"] - columns["rejected_reward"]
    accurate = (columns["chosen_reward"] > columns["rejected_reward"]).double()
    metrics = {
        "loss/unweighted": _mean(columns["loss"]),
        "weights/mean": total / len(weights),
        "weights/min": float(weights.min()),
        "weights/max": float(weights.max()),
        "weights/ess": total**2 / (len(weights) * squares) if squares > 0 else 0.0,
        "displacement/chosen_delta": _mean(chosen_delta),
        "displacement/rejected_delta": _mean(rejected_delta),
        "displacement/frac_below_ref": _mean((columns["chosen_ratio"] < 0).double()),
        "lengths/chosen": _mean(columns["chosen_tokens"]),
        "lengths/rejected": _mean(columns["rejected_tokens"]),
    }
    if total > 0:
        # A pair of weight 0 may have no finite margin.
        counted = weights > 0
        for name, values in (("margins", margins), ("accuracies", accurate)):
            metrics[f"rewards/{name}_weighted"] = float((weights[counted] * values[counted]).sum()) / total
    for bucket, members in _buckets(columns["hardness"], bounds):
        if members.any():
            metrics |= {
                f"hardness_{bucket}/accuracy": _mean(accurate[members]),
                f"hardness_{bucket}/margin": _mean(margins[members]),
                f"hardness_{bucket}/chosen_delta": _mean(chosen_delta[members]),
                f"hardness_{bucket}/loss": _mean(columns["loss"][members]),
            }
    return metrics


def _buckets(hardness: Tensor, bounds: tuple[float, float] | None) -> Iterable[tuple[str, Tensor]]:
    if bounds is None:
        return ()
    low, high = bounds
    # A hardness that is not known is NaN, and in none of them.
    return zip(BUCKETS, (hardness <= low, (hardness > low) & (hardness <= high), hardness > high), strict=True)


def _mean(values: Tensor) -> float:
    return float(values.mean())


def hardness_bounds(values: Sequence[float | None]) -> tuple[float, float] | None:
    """The terciles of the training pairs' hardness, as float32 has them, in which batches carry it.

    Args:
        values (`Sequence[float | None]`): Shape (n,); null or NaN where it is not known.

    Returns:
        The two bounds, or `None` where no hardness is known or all are equal.
    """
    array = np.array(values, dtype=np.float32)
    known = array[np.isfinite(array)]
    if not len(known) or np.ptp(known) == 0:
        return None
    low, high = np.quantile(known, (1 / 3, 2 / 3)).astype(np.float32).tolist()
    return low, high


def ess_of_run(history: Iterable[Mapping[str, Any]], window: Mapping[str, float], step: int) -> float:
    """Effective sample size, as a share, of the weights of all pairs trained on so far.

    It is put together from what was logged, so that it survives a resume: with mean m_k and effective sample size e_k
    of the window between two logs, and n_k pairs in it, (Σ n_k m_k)² / (Σ n_k · Σ n_k m_k² / e_k). Only the proportions
    of the n_k matter; they are taken from the steps of the windows (a shorter last batch counts as a full one).

    Args:
        history (`Iterable[Mapping[str, Any]]`): The trainer's log history.
        window (`Mapping[str, float]`): Our metrics of the window that ends now.
        step (`int`): The present step.

    Returns:
        `float` in [0, 1]; 0 where all weights are 0.
    """
    pairs = total = squares = 0.0
    last = 0
    logged = [entry for entry in history if "weights/ess" in entry]
    for entry in [*logged, {**window, "step": step}]:
        count, mean, ess = entry["step"] - last, entry["weights/mean"], entry["weights/ess"]
        last = entry["step"]
        pairs += count
        total += count * mean
        squares += count * mean**2 / ess if ess > 0 else 0.0
    return total**2 / (pairs * squares) if squares > 0 else 0.0
