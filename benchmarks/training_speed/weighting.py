"""What weighting itself costs, apart from the noise of a step."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from benchmarks.training_speed.contestants import Racer, examples_of

from trl_weighted_dpo.training.config import weighting_config
from trl_weighted_dpo.training.layout import lay_out
from trl_weighted_dpo.training.objective import (
    Objective,
    PairLogps,
    detach_unweighted,
    pair_losses,
    weighted_mean,
)
from trl_weighted_dpo.weighting import compute_weights, weight_columns

REPETITIONS = 300
MANY_PAIRS = 2000
"""Pairs whose weights are computed at once, to say what one takes."""


@dataclass(frozen=True)
class WeightingCost:
    """Seconds of a step of some pairs.

    Args:
        loss: What weights add to the loss, its backward, and the unweighted loss that is logged.
        collating: What they add to the collator.
        weights: What their computation, once before training, takes for as many pairs.
    """

    loss: float
    collating: float
    weights: float

    @property
    def total(self) -> float:
        return self.loss + self.collating + self.weights


def weighting_cost(weighted: Racer, plain: Racer) -> WeightingCost:
    """Measure on the first micro-batch's pairs.

    Args:
        weighted ([`~contestants.Racer`]): Ours.
        plain ([`~contestants.Racer`]): TRL's, whose collator carries no weights, on the same pairs; ours lays pairs out
            besides, which has nothing to do with weights and is counted on both sides.
    """
    rows = examples_of(weighted.trainer, len(weighted.batches[0]["input_ids"]) // 2)[0]
    plain_rows = examples_of(plain.trainer, len(rows))[0]
    collator = weighted.trainer.data_collator

    def without_weights() -> None:
        batch = plain.trainer.data_collator(plain_rows)
        lay_out(batch, collator.share_prompt, collator.pad_token_id, collator.row_multiple)

    with_weights, without = _medians(lambda: collator(rows), without_weights)
    return WeightingCost(_loss(len(rows), weighted), with_weights - without, len(rows) * _per_pair(weighted))


def _loss(pairs: int, racer: Racer) -> float:
    device = racer.trainer.model.device
    torch.manual_seed(0)
    chosen, rejected = (torch.randn(pairs, device=device).requires_grad_() for _ in range(2))
    reference = torch.zeros(pairs, device=device)
    lengths = torch.full((pairs,), 100, device=device)
    logps = PairLogps(chosen, rejected, reference, reference, lengths, lengths, chosen_nll=reference)
    weights, objective = torch.rand(pairs, device=device) + 0.5, Objective()

    def with_weights() -> None:
        losses = pair_losses(detach_unweighted(logps, weights.to(chosen.dtype)), objective)
        weighted_mean(losses, weights).backward()
        with torch.no_grad():
            pair_losses(logps, objective)

    one, other = _medians(with_weights, lambda: pair_losses(logps, objective).mean().backward())
    return one - other


def _per_pair(racer: Racer) -> float:
    dataset, config = racer.trainer.train_dataset, weighting_config(racer.trainer.args)
    times = MANY_PAIRS // len(dataset)
    columns = {name: [*dataset[name]] * times for name in weight_columns(config, dataset.features)}
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        compute_weights(columns, times * len(dataset), config, None, "the training set")
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) / (times * len(dataset))


def _medians(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two functions that take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPETITIONS):
        for function, taken in zip((one, other), seconds, strict=True):
            started = time.perf_counter()
            function()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
