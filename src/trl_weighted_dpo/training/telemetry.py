"""Metrics of a batch of pairs: TRL's names and meanings, plus those of the weights."""

import math
from dataclasses import dataclass

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


def batch_metrics(rows: Tensor) -> tuple[dict[str, float], int]:
    """TRL's metrics of a batch.

    Args:
        rows (`Tensor`): (B, 13), the rows of [`pair_table`] of all processes, on the CPU.

    Returns:
        The metrics by name, and the number of attended tokens.
    """
    margins = rows[:, 4] - rows[:, 5]
    _, _, logp_c, logp_r, reward_c, reward_r, tokens, entropy, logit_c, logit_r, hits, n_c, n_r = rows.sum(0).tolist()
    n = len(rows)
    metrics = {
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


@dataclass
class WeightTotals:
    """Sums over the pairs since the last log, so that what is logged does not depend on how they fell into batches."""

    pairs: int = 0
    weights: float = 0.0
    squares: float = 0.0
    losses: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, rows: Tensor) -> None:
        """Count the pairs of a batch; `rows` as for [`batch_metrics`]."""
        weights = rows[:, 0]
        self.pairs += len(rows)
        self.weights += float(weights.sum())
        self.squares += float(weights.square().sum())
        self.losses += float(rows[:, 1].sum())
        self.lowest = min(self.lowest, float(weights.min()))
        self.highest = max(self.highest, float(weights.max()))

    def metrics(self) -> dict[str, float]:
        """`weights/*` and `loss/unweighted`; `weights/ess` = (Σw)² / (n Σw²), 0 where all weights are 0. Empty without
        pairs."""
        if not self.pairs:
            return {}
        return {
            "loss/unweighted": self.losses / self.pairs,
            "weights/mean": self.weights / self.pairs,
            "weights/min": self.lowest,
            "weights/max": self.highest,
            "weights/ess": self.weights**2 / (self.pairs * self.squares) if self.squares > 0 else 0.0,
        }
