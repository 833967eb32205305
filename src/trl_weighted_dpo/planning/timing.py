"""Operations of a training step, and how long they take."""

import math
from dataclasses import dataclass

from trl_weighted_dpo.planning.config import RunConfig
from trl_weighted_dpo.planning.model import ModelSummary
from trl_weighted_dpo.planning.pairs import PairLength, Pairs

SPREAD = 1.5
"""The range of times is that of the assumed utilisation divided by this and multiplied by it. Ours."""


@dataclass(frozen=True)
class TimePlan:
    """Work and time of a run.

    Args:
        pairs_per_step, tokens_per_step (`float`):
            Pairs of an optimizer step over all GPUs, and tokens that go through the layers for them.
        flops_per_step (`float`): Floating-point operations of it, over all GPUs.
        steps (`int`): Optimizer steps of the run.
        step_seconds, run_seconds (`tuple[float, float]` or `None`):
            From the higher utilisation to the lower; `None` if the GPU's peak is not known.
    """

    pairs_per_step: int
    tokens_per_step: float
    flops_per_step: float
    steps: int
    step_seconds: tuple[float, float] | None
    run_seconds: tuple[float, float] | None


def pair_flops(summary: ModelSummary, settings: RunConfig, pair: PairLength, reference_forward: bool) -> float:
    """Floating-point operations that training on one pair takes.

    A matrix of N weights takes 2N operations a token forward, 2N for the gradient of its input and 2N for its own,
    hence 6N a trained token (Kaplan et al., arXiv 2001.08361, section 2.1) and 4N where the weights are frozen under an
    adapter. Attention takes 4·T·T·a a row and layer forward (Korthikanti et al., arXiv 2205.05198, appendix A, without
    their halving: with a mask kernels skip nothing), and 5/2 of it backward, since fused kernels compute scores again
    (arXiv 2205.14135, section 3.1). Checkpointing repeats the layers' forward. The head works on completion positions
    only: forward, once again in the backward pass, and there for its input and, if trained, its weights.

    Args:
        summary ([`~planning.model.ModelSummary`]): The model.
        settings ([`~planning.config.RunConfig`]): The run.
        pair ([`~planning.pairs.PairLength`]): Its tokens.
        reference_forward (`bool`): Whether the reference's log-probs are computed in each step.
    """
    rows = pair.rows(settings.share_prompt)
    tokens = sum(rows)
    frozen, trained = (
        2.0
        * sum(
            math.prod(size)
            for group in summary.groups
            if group.kind in ("layers", "adapter") and group.trainable is trainable
            for size in group.sizes
            if len(size) > 1
        )
        for trainable in (False, True)
    )
    idle = 2.0 * (1 - summary.active_share) * summary.expert_parameters
    if trained > frozen:
        trained -= idle
    else:
        frozen -= idle
    is_eager = settings.attention == "eager"
    halved = 0.5 if settings.attention.startswith("flash_attention") else 1.0
    attention = 4.0 * halved * summary.attention_width * summary.layers * sum(row * row for row in rows)
    forward = tokens * (frozen + trained) + attention
    backward = tokens * (frozen + 2 * trained) + attention * (2.0 if is_eager else 2.5)
    again = forward if settings.checkpointing else 0.0
    head = 2.0 * summary.hidden_size * summary.vocabulary * pair.completions
    head_is_trained = any(
        group.trainable and group.kind == ("embedding" if summary.tied else "head") for group in summary.groups
    )
    reference = forward + head if reference_forward else 0.0
    return forward + backward + again + head * (4 if head_is_trained else 3) + reference


def plan_time(
    summary: ModelSummary,
    settings: RunConfig,
    pairs: Pairs,
    gpus: int,
    reference_forward: bool,
    tflops: float | None,
    utilization: float,
) -> TimePlan:
    """How long a run takes.

    Args:
        summary ([`~planning.model.ModelSummary`]): The model.
        settings ([`~planning.config.RunConfig`]): The run.
        pairs ([`~planning.pairs.Pairs`]): What is trained on.
        gpus (`int`): How many share the work.
        reference_forward (`bool`): Whether the reference's log-probs are computed in each step.
        tflops (`float` or `None`): Peak of a GPU, in 10¹² operations a second.
        utilization (`float`): Share of the peak that is reached, in (0, 1], repeated operations counted.
    """
    pairs_per_step = settings.micro_batch * settings.accumulation * gpus
    flops = pairs_per_step * pair_flops(summary, settings, pairs.mean, reference_forward)
    if settings.max_steps is None:
        steps = math.ceil(math.ceil(pairs.count / pairs_per_step) * settings.epochs)
    else:
        steps = settings.max_steps
    step = run = None
    if tflops is not None:
        seconds = flops / (gpus * tflops * 1e12 * utilization)
        step = max(seconds / SPREAD, seconds * utilization), seconds * SPREAD
        run = step[0] * steps, step[1] * steps
    tokens = pairs_per_step * sum(pairs.mean.rows(settings.share_prompt))
    return TimePlan(pairs_per_step, tokens, flops, steps, step, run)
