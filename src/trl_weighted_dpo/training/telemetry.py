"""Metrics of a batch of pairs: TRL's names and meanings, plus those of the weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trl_weighted_dpo.training.forward import TokenScores


@dataclass(frozen=True)
class PairOutcome:
    """What one step knows of its B pairs; every tensor has shape (B,) and no gradient.

    Args:
        weights: The pairs' weights.
        losses: Unweighted losses ℓ_i.
        chosen_logps, rejected_logps: Summed log-probs under the policy.
        chosen_rewards, rejected_rewards: β times the log ratio to the reference.
        tokens: Attended tokens of both sequences, prompt included.
    """

    weights: Tensor
    losses: Tensor
    chosen_logps: Tensor
    rejected_logps: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    tokens: Tensor


def pair_table(outcome: PairOutcome, scores: TokenScores) -> Tensor:
    """All that the metrics need, one row for each pair, so that one collective gathers it from every process.

    Returns:
        `Tensor` of shape (B, 13), without gradient.
    """
    chosen_tokens, rejected_tokens = scores.mask.sum(dim=1).chunk(2)
    per_sequence = [values.sum(dim=1) for values in (scores.entropy, scores.mean_logit, scores.top1)]  # type: ignore[union-attr]
    (entropy_c, entropy_r), (logit_c, logit_r), (hits, _) = (values.chunk(2) for values in per_sequence)
    columns = [
        outcome.weights,
        outcome.losses,
        outcome.chosen_logps,
        outcome.rejected_logps,
        outcome.chosen_rewards,
        outcome.rejected_rewards,
        outcome.tokens,
        entropy_c + entropy_r,
        logit_c,
        logit_r,
        hits,
        chosen_tokens,
        rejected_tokens,
    ]
    return torch.stack([column.detach().float() for column in columns], dim=1)


def batch_metrics(table: Tensor) -> tuple[dict[str, float], int]:
    """Metrics of a batch from the gathered rows of [`pair_table`].

    Args:
        table (`Tensor`): (B, 13), the pairs of all processes.

    Returns:
        The metrics by name, and the number of attended tokens.
    """
    rows = table.cpu().double()
    weights, chosen_rewards, rejected_rewards = rows[:, 0], rows[:, 4], rows[:, 5]
    squares = float(weights.square().sum())
    sums = rows.sum(dim=0)
    margins = chosen_rewards - rejected_rewards
    (weight, loss, logp_c, logp_r, reward_c, reward_r, tokens, entropy, logit_c, logit_r, hits, n_c, n_r) = (
        sums.tolist()
    )
    n = len(rows)
    metrics = {
        "loss/unweighted": loss / n,
        "weights/mean": weight / n,
        "weights/min": float(weights.min()),
        "weights/max": float(weights.max()),
        "weights/ess": weight**2 / (n * squares) if squares > 0 else 0.0,
        "entropy": _ratio(entropy, n_c + n_r),
        "logits/chosen": _ratio(logit_c, n_c),
        "logits/rejected": _ratio(logit_r, n_r),
        "mean_token_accuracy": _ratio(hits, n_c),
        "rewards/chosen": reward_c / n,
        "rewards/rejected": reward_r / n,
        "rewards/accuracies": float((margins > 0).double().mean()),
        "rewards/margins": (reward_c - reward_r) / n,
        "logps/chosen": logp_c / n,
        "logps/rejected": logp_r / n,
    }
    return metrics, int(tokens)


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def reduce_extremes(metrics: dict[str, list[Any]]) -> None:
    """Leave the extreme, not the mean of the extremes, where several batches are logged at once."""
    for name, extreme in (("weights/min", min), ("weights/max", max)):
        if metrics.get(name):
            metrics[name] = [extreme(metrics[name])]
