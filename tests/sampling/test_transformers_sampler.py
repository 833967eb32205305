"""The transformers sampler against `generate` itself, and in batches of any make-up."""

import random

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.tiny import exact_model, tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig
from trl_weighted_dpo.sampling.requests import sample_seed
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler, load_sampler

PROMPTS = [row["problem"][: 20 + 10 * index] + "\n" for index, row in enumerate(tiny_pool(6))]
REQUESTS = [
    SampleRequest(prompt, sample_seed(1, f"p-{number}", index), f"p-{number}", index)
    for number, prompt in enumerate(PROMPTS)
    for index in range(4)
]
GREEDY = SamplingConfig(completions=1, temperature=0.0, max_new_tokens=24)


def sampled(sampler, config, requests=REQUESTS):
    """The samples in the order of the requests, and the order in which they came."""
    order, samples = zip(*sampler.generate(requests, config), strict=True)
    assert sorted(order) == [*range(len(requests))]
    return [sample for _, sample in sorted(zip(order, samples, strict=True))], order


def ending_model(seed=0, ends=17):
    """One that ends now and then by itself: so many of its 400 tokens are ends."""
    model = tiny_model(seed)
    model.generation_config.eos_token_id = [0, *range(100, 99 + ends)]
    return model


def alone(model, tokenizer, prompt, **settings):
    """What `generate` makes of one prompt, without its EOS, and whether it ended."""
    ids = tokenizer(prompt, return_tensors="pt")
    found = model.generate(**ids, do_sample=False, **settings)[0, ids["input_ids"].shape[1] :].tolist()
    ended = found[-1] in model.generation_config.eos_token_id
    return tokenizer.decode(found[:-1] if ended else found), ended, len(found)


@pytest.mark.parametrize("batch_tokens", [1, 300, None])
def test_greedy_is_what_generate_makes_of_each_prompt_alone(batch_tokens):
    model, tokenizer = ending_model(2), tiny_tokenizer()
    requests = [SampleRequest(prompt, 0, f"p-{index}", 0) for index, prompt in enumerate(PROMPTS)]
    config = SamplingConfig(completions=1, temperature=0.0, max_new_tokens=24, batch_tokens=batch_tokens)
    samples, _ = sampled(TransformersSampler(model, tokenizer), config, requests)
    for prompt, sample in zip(PROMPTS, samples, strict=True):
        text, ended, tokens = alone(model, tokenizer, prompt, max_new_tokens=24)
        assert (sample.solution, sample.truncated, sample.tokens) == (text, not ended, tokens)
    assert len({sample.truncated for sample in samples}) == 2


def test_batches_and_their_order_change_no_sample():
    sampler = TransformersSampler(exact_model(), tiny_tokenizer())
    config = SamplingConfig(temperature=1.0, max_new_tokens=16)
    expected, _ = sampled(sampler, config)
    assert len({sample.solution for sample in expected}) == len(REQUESTS)
    shuffled = random.Random(0).sample(REQUESTS, len(REQUESTS))
    for batch_tokens in (1, 200, 700):
        smaller = SamplingConfig(temperature=1.0, max_new_tokens=16, batch_tokens=batch_tokens)
        found, _ = sampled(sampler, smaller, shuffled)
        by_seed = {request.seed: sample for request, sample in zip(shuffled, found, strict=True)}
        assert [by_seed[request.seed] for request in REQUESTS] == expected
    few, _ = sampled(sampler, config, REQUESTS[3:5])
    assert few == expected[3:5]


def test_rows_that_take_long_go_on_together_and_stay_the_same():
    tokenizer, model = tiny_tokenizer(), ending_model(ends=30)
    calls = []
    generate = model.generate

    def counted(**settings):
        calls.append(settings["input_ids"].shape)
        return generate(**settings)

    model.generate = counted
    config = SamplingConfig(temperature=1.2, max_new_tokens=30)
    together, order = sampled(TransformersSampler(model, tokenizer), config)
    # All prompts fit one batch; when a quarter was left the rest was taken up with longer rows.
    assert len(calls) > 1
    assert [rows for rows, _ in calls] == sorted((rows for rows, _ in calls), reverse=True)
    assert calls[1][0] <= len(REQUESTS) // 4
    assert list(order) != sorted(order)
    model.generate = generate
    config = SamplingConfig(temperature=1.2, max_new_tokens=30, batch_tokens=1)
    assert sampled(TransformersSampler(model, tokenizer), config)[0] == together
    assert not all(sample.truncated for sample in together)
    assert all(sample.truncated is False or sample.tokens == 30 for sample in together)


@pytest.mark.parametrize("stop", [("an",), ("0", "es"), ("e\x0b", " 4", "9")])
def test_a_stop_string_ends_a_sample_and_is_cut_from_it(stop):
    sampler = TransformersSampler(tiny_model(), tiny_tokenizer())
    settings = {"temperature": 1.0, "max_new_tokens": 40}
    free, _ = sampled(sampler, SamplingConfig(**settings))
    stopped, _ = sampled(sampler, SamplingConfig(**settings, stop=stop))
    ends = 0
    for one, two in zip(free, stopped, strict=True):
        found = [at for at in (one.solution.find(text) for text in stop) if at >= 0]
        assert two.solution == one.solution[: min(found, default=len(one.solution))]
        assert two.truncated == (one.truncated and not found)
        assert two.tokens < one.tokens if found and one.tokens == 40 and min(found) < 20 else two.tokens <= one.tokens
        ends += bool(found)
    assert 0 < ends < len(free)


def test_a_stop_string_that_begins_in_the_prompt_ends_nothing():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    sampler = TransformersSampler(model, tokenizer)
    config = SamplingConfig(completions=1, temperature=0.0, max_new_tokens=6)
    request = SampleRequest("Tom has", 0, "p", 0)
    [(_, free)] = sampler.generate([request], config)
    over = "s" + free.solution[:1]
    with_stop = SamplingConfig(completions=1, temperature=0.0, max_new_tokens=6, stop=(over,))
    [(_, stopped)] = sampler.generate([request], with_stop)
    assert stopped.tokens == free.tokens
    assert stopped.solution == free.solution[: free.solution.find(over) if over in free.solution else None]


def test_of_the_models_own_settings_only_the_ends_count():
    tokenizer, model = tiny_tokenizer(), tiny_model()
    requests = [SampleRequest(prompt, 0, f"p-{index}", 0) for index, prompt in enumerate(PROMPTS)]
    expected, _ = sampled(TransformersSampler(model, tokenizer), GREEDY, requests)
    model.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, temperature=9.0, top_k=1)
    before = model.generation_config.to_dict()
    assert sampled(TransformersSampler(model, tokenizer), GREEDY, requests)[0] == expected
    assert model.generation_config.to_dict() == before
    assert all(sample.truncated for sample in expected)
    ending = sampled(TransformersSampler(ending_model(), tokenizer), GREEDY, requests)[0]
    assert not all(sample.truncated for sample in ending)


def test_a_prompt_beyond_the_positions_is_told_with_the_way_out():
    sampler = TransformersSampler(tiny_model(), tiny_tokenizer())
    long = SampleRequest("Tom " * 300, 0, "p-9", 0)
    tokens = len(tiny_tokenizer()(long.prompt)["input_ids"])
    with pytest.raises(ValueError, match=rf"problem 'p-9': its prompt has {tokens} tokens, which with 500 new ones is"):
        next(sampler.generate([REQUESTS[0], long], SamplingConfig(max_new_tokens=500)))
    request = SampleRequest("Tom " * 10, 0, "p-9", 0)
    room = 512 - len(tiny_tokenizer()(request.prompt)["input_ids"])
    with pytest.raises(ValueError, match=rf"Lower max_new_tokens \(--max-new-tokens\) to {room} or less"):
        next(sampler.generate([request], SamplingConfig(max_new_tokens=512)))


def test_a_prompt_without_tokens_and_foreign_tokens_are_told():
    with pytest.raises(ValueError, match="problem 'p': its prompt has no token"):
        next(TransformersSampler(tiny_model(), tiny_tokenizer()).generate([SampleRequest("", 0, "p", 0)], GREEDY))
    small = TransformersSampler(tiny_model(vocab_size=60), tiny_tokenizer())
    with pytest.raises(ValueError, match="but the model knows 60 only: the two do not belong together"):
        next(small.generate(REQUESTS, GREEDY))


def test_memory_that_does_not_last_is_told_with_the_way_out():
    model = tiny_model()

    def full(**settings):
        raise torch.OutOfMemoryError

    model.generate = full
    with pytest.raises(MemoryError, match=r"A batch of 24 rows does not fit.*Lower batch_tokens"):
        next(TransformersSampler(model, tiny_tokenizer()).generate(REQUESTS, GREEDY))


def test_an_adapter_is_sampled_with_and_told_apart(tmp_path, tiny_model_dir):
    adapted = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path)
    loaded = load_sampler(str(tiny_model_dir), {"adapter": str(tmp_path)})
    plain = load_sampler(str(tiny_model_dir), {})
    config = SamplingConfig(max_new_tokens=8)
    assert sampled(loaded, config)[0] == sampled(TransformersSampler(adapted, plain.tokenizer), config)[0]
    assert sampled(loaded, config)[0] != sampled(plain, config)[0]
    assert loaded.identity != plain.identity
    assert plain.identity == load_sampler(str(tiny_model_dir), {"dtype": "float32"}).identity
    assert plain.identity != load_sampler(str(tiny_model_dir), {"dtype": "bfloat16"}).identity
