"""Which token is chosen: against numpy, and against transformers' own distribution."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig

from tests.tiny import tiny_model, tiny_tokenizer
from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig
from trl_weighted_dpo.sampling.choosing import TokenChoice, choose, warpers
from trl_weighted_dpo.sampling.requests import sample_seed, uniforms
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

SETTINGS = [
    {"temperature": 1.0}, {"temperature": 0.3}, {"temperature": 2.5}, {"temperature": 0.8, "top_k": 7},
    {"temperature": 1.0, "top_p": 0.6}, {"temperature": 1.7, "top_k": 30, "top_p": 0.9},
]  # fmt: skip


def logits(rows, seed=0):
    return torch.randn((rows, 50), generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("settings", SETTINGS)
def test_tempered_and_filtered_logits_are_those_of_transformers(settings):
    model, scores = tiny_model(), logits(6)
    config = GenerationConfig(do_sample=True, **{"top_k": 0, "top_p": 1.0, **settings})
    theirs = model._get_logits_processor(generation_config=config)
    ours = warpers(SamplingConfig(**settings))
    assert len(ours) == len(theirs)
    assert torch.equal(ours(None, scores.clone()), theirs(None, scores.clone()))


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_token_is_chosen_by_its_share_of_the_noise(settings):
    scores = warpers(SamplingConfig(**settings))(None, logits(1))
    steps = 20_000
    noise = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    counts = torch.bincount(choose(scores.expand(steps, -1), noise), minlength=50)
    shares = scores[0].double().softmax(0)
    assert (counts - shares * steps).abs().max() <= 1.0
    assert counts[shares == 0].sum() == 0


def test_it_is_the_first_token_above_the_noise():
    scores, noise = logits(200, 1), torch.from_numpy(np.random.default_rng(0).random(200))
    cumulative = np.cumsum(np.exp(scores.double().numpy()), axis=1)
    expected = [
        np.searchsorted(row / row[-1], u, side="right") for row, u in zip(cumulative, noise.numpy(), strict=True)
    ]
    assert choose(scores, noise).tolist() == expected


def test_the_ends_of_the_noise_choose_tokens_that_have_a_probability():
    scores = torch.full((1, 9), -torch.inf)
    scores[0, [2, 5, 6]] = torch.tensor([0.1, 0.2, -30.0])
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert choose(scores.expand(2, -1), ends).tolist() == [2, 6]


def test_one_token_is_left_of_each_row_by_seed_and_position():
    made, seeds = torch.tensor([0, 3]), [7, 8]
    config = SamplingConfig(temperature=1.0)
    scores = logits(2, 2)
    left = TokenChoice(config, seeds, made, 10)(torch.zeros((2, 14), dtype=torch.long), scores)
    noise = uniforms(np.array(seeds, np.uint64), np.array([4, 7], np.uint64))
    assert left.argmax(1).tolist() == choose(scores, torch.from_numpy(noise)).tolist()
    assert left.softmax(1).amax(1).tolist() == [1.0, 1.0]


def test_temperature_0_takes_the_most_likely():
    scores = logits(3)
    config = SamplingConfig(temperature=0.0, completions=1)
    left = TokenChoice(config, [1, 2, 3], torch.zeros(3), 1)(torch.zeros((3, 1), dtype=torch.long), scores)
    assert left.argmax(1).tolist() == scores.argmax(1).tolist()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_told(value, temperature):
    scores = logits(2)
    scores[1, 4] = value
    config = SamplingConfig(temperature=temperature, completions=1)
    with pytest.raises(ValueError, match=r"logits are not finite\. Try another dtype"):
        TokenChoice(config, [1, 2], torch.zeros(2), 1)(torch.zeros((2, 1), dtype=torch.long), scores)


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 1.5, "top_k": 40, "top_p": 0.95}])
def test_first_tokens_are_distributed_as_the_model_says(settings):
    """Chi-square of 8000 sampled tokens, tokens of like text and rare ones together."""
    model, tokenizer = tiny_model(), tiny_tokenizer()
    config = SamplingConfig(max_new_tokens=1, **settings)
    requests = [SampleRequest("Tom has 4 apples.\n", sample_seed(0, f"p-{i}", 0), f"p-{i}", 0) for i in range(8000)]
    texts = [sample.solution for _, sample in TransformersSampler(model, tokenizer).generate(requests, config)]
    with torch.no_grad():
        scores = model(**tokenizer("Tom has 4 apples.\n", return_tensors="pt")).logits[:, -1]
    shares = warpers(config)(None, scores)[0].double().softmax(0).numpy()
    expected: dict[str, float] = {}
    for token, share in enumerate(shares):
        text = "" if token == tokenizer.eos_token_id else tokenizer.decode([token])
        expected[text] = expected.get(text, 0.0) + share * len(texts)
    assert set(texts) <= {text for text, count in expected.items() if count > 0}
    common = [text for text, count in expected.items() if count >= 10]
    counts = [texts.count(text) for text in common]
    wanted = [expected[text] for text in common]
    assert len(common) > 10
    rest = len(texts) - sum(wanted)
    if rest > 1e-6:
        counts, wanted = [*counts, len(texts) - sum(counts)], [*wanted, rest]
    assert chisquare(counts, wanted).pvalue > 0.01
