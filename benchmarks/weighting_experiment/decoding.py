"""Solutions of many problems by the package's own sampler."""

from collections.abc import Sequence
from typing import Any

import torch

from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig
from trl_weighted_dpo.sampling.prompts import render_prompt
from trl_weighted_dpo.sampling.requests import sample_seed
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

MAX_NEW_TOKENS = 96
GREEDY = SamplingConfig(completions=1, temperature=0.0, max_new_tokens=MAX_NEW_TOKENS)


def greedy(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """The most probable solution of each problem, token by token."""
    return [found[0] for found in decode(model, tokenizer, texts, GREEDY)]


def sample(model: Any, tokenizer: Any, texts: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """`count` solutions of each problem, at temperature 1 from the whole distribution."""
    config = SamplingConfig(completions=count, temperature=1.0, max_new_tokens=MAX_NEW_TOKENS, seed=seed)
    return decode(model, tokenizer, texts, config)


@torch.no_grad()
def decode(model: Any, tokenizer: Any, texts: Sequence[str], config: SamplingConfig) -> list[list[str]]:
    prompts = [render_prompt(text, tokenizer, config) for text in texts]
    requests = [
        SampleRequest(prompt, sample_seed(config.seed, text, index), text, index)
        for text, prompt in zip(texts, prompts, strict=True)
        for index in range(config.completions)
    ]
    found = [""] * len(requests)
    for place, made in TransformersSampler(model, tokenizer).generate(requests, config):
        found[place] = made.solution
    return [found[start : start + config.completions] for start in range(0, len(found), config.completions)]
