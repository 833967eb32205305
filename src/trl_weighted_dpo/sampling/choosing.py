"""How each token is chosen and when a row ends, as parts that transformers' `generate` takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StopStringCriteria,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from trl_weighted_dpo.sampling.requests import uniforms
from trl_weighted_dpo.settings.sampling import SamplingConfig


def warpers(config: SamplingConfig) -> LogitsProcessorList:
    """Transformers' own temperature, top-k and top-p, in its order; those that change nothing are left out."""
    parts = LogitsProcessorList()
    if config.temperature != 1.0:
        parts.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        parts.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1.0:
        parts.append(TopPLogitsWarper(config.top_p))
    return parts


def choose(scores: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The token of each row by inverse transform sampling, in float64.

    Args:
        scores (`torch.Tensor`): Logits of shape (rows, vocabulary); -inf where a token is left out.
        noise (`torch.Tensor`): Uniform numbers in [0, 1) of shape (rows,), float64.

    Returns:
        `torch.Tensor`: Token ids of shape (rows,): the first at which the cumulative probability, in the order of the
        ids, is above the noise.
    """
    cumulative = scores.double().softmax(dim=1).cumsum(dim=1)
    # Rounding may leave the last sum a little off 1. The noise stays below it, where a token with probability is.
    total = cumulative[:, -1]
    threshold = torch.minimum(noise * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, threshold.unsqueeze(1), right=True).squeeze(1)


class TokenChoice(LogitsProcessor):  # type: ignore[misc]
    """Leaves one token of each row: the most likely one at temperature 0, else the one that the row's noise points to.

    Args:
        config ([`SamplingConfig`]): Its temperature, `top_k` and `top_p` are used.
        seeds (`Sequence[int]`): Of the rows' samples.
        made (`torch.Tensor`): Shape (rows,): tokens of the completion that the input holds already.
        width (`int`): Tokens of the input, padding included.

    Calling it raises `ValueError` if a logit is NaN or +inf.
    """

    def __init__(self, config: SamplingConfig, seeds: Sequence[int], made: torch.Tensor, width: int) -> None:
        self._is_greedy, self._warpers = config.temperature == 0, None if config.temperature == 0 else warpers(config)
        self._seeds = np.array(seeds, dtype=np.uint64)
        self._made, self._width = made.numpy().astype(np.uint64), width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not torch.isfinite(scores.amax(dim=1)).all():
            raise ValueError("The model's logits are not finite. Try another dtype (--dtype): bfloat16 or float32.")
        if self._warpers is None:
            chosen = scores.argmax(dim=1)
        else:
            positions = self._made + np.uint64(input_ids.shape[1] - self._width)
            noise = torch.from_numpy(uniforms(self._seeds, positions)).to(scores.device)
            chosen = choose(self._warpers(input_ids, scores), noise)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen.unsqueeze(1), 0.0)


class Ending(StoppingCriteria):  # type: ignore[misc]
    """Ends rows at EOS, stop strings and their maximum length, and the batch when few rows are left.

    Args:
        limit (`int`): Longest completion, in tokens.
        made (`torch.Tensor`), width (`int`): As for [`TokenChoice`].
        eos (`torch.Tensor`): The ids that end a completion.
        stop (`StopStringCriteria`, *optional*): Looks for stop strings.
        few (`int`): The batch ends when this many rows are left, to be taken up with others.

    Attributes:
        new (`torch.Tensor`): Shape (rows,): tokens that a row got here, its end included.
        is_stopped (`torch.Tensor`): Shape (rows,): which rows have come to an end of their own.
        is_done (`torch.Tensor`): Shape (rows,): those, and which have the maximum length.
    """

    def __init__(
        self, limit: int, made: torch.Tensor, width: int, eos: torch.Tensor, stop: StopStringCriteria | None, few: int
    ) -> None:
        self._limit, self._width, self._eos, self._stop, self._few = limit, width, eos, stop, few
        self._made = made.to(eos.device)
        self.new = torch.zeros_like(self._made)
        self.is_stopped = torch.zeros_like(self._made, dtype=torch.bool)
        self.is_done = self.is_stopped.clone()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **settings: Any) -> torch.Tensor:
        self.new += ~self.is_done
        ends = torch.isin(input_ids[:, -1], self._eos)
        if self._stop is not None:
            # Only in what the model wrote: an id beyond the vocabulary matches nothing.
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            is_prompt = places < (self._width - self._made).unsqueeze(1)
            ends |= self._stop(input_ids.masked_fill(is_prompt, torch.iinfo(torch.int32).max), scores)
        self.is_stopped |= ends & ~self.is_done
        self.is_done |= self.is_stopped | (self._made + self.new >= self._limit)
        if (~self.is_done).sum() <= self._few:
            return torch.ones_like(self.is_done)
        return self.is_done
