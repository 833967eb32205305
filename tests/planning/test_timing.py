"""Operations of a step, against torch's counter, and time by hand."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.planning.dimensions import known_config, tiny_config
from trl_weighted_dpo.planning.config import Lora, RunConfig
from trl_weighted_dpo.planning.model import build_model, summarize
from trl_weighted_dpo.planning.pairs import PairLength, Pairs
from trl_weighted_dpo.planning.rehearsal import make_batch
from trl_weighted_dpo.planning.timing import SPREAD, pair_flops, plan_time
from trl_weighted_dpo.training.forward import causal_lm, score_tokens

EAGER = RunConfig("m", "float32", attention="eager", checkpointing=False)
PAIR = PairLength(11, 20, 18)  # a row of 48 tokens, without padding


@pytest.fixture(autouse=True)
def _no_logits_are_kept(monkeypatch):
    """As for all but the smallest batches."""
    monkeypatch.setattr("trl_weighted_dpo.training.head.KEPT_BYTES", 0)


def counted(config, settings, pair=PAIR):
    """Operations of one step on one pair, by torch's counter."""
    model = build_model(config, settings).to_empty(device="cpu")
    base = causal_lm(model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    base.config._attn_implementation = "eager"
    model.train()
    # So that the first layer's matrices have gradients for their inputs too, as all but one have.
    model.enable_input_require_grads()
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with FlopCounterMode(display=False) as counter:
        path = "shared" if settings.share_prompt else "chunked"
        scores = score_tokens(model, make_batch(pair, 1, settings.share_prompt), path, statistics=True)
        scores.logps.sum().backward()
    return counter.get_total_flops()


def head_weight_gradient(pair):
    """What torch's counter does not see, since it is added up in place."""
    return 2 * 64 * 400 * pair.completions


def rotary(tokens):
    """What is left out: the angles of positions, in some versions a product with half the width of a head."""
    return 2 * tokens * 16 / 2


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, {"share_prompt": False}, {"lora": Lora(4, "all-linear")}, {"lora": Lora(4, ("q_proj", "v_proj"))}],
    ids=["full", "prompt twice", "LoRA", "LoRA on two"],
)
def test_operations_are_those_that_torch_counts(tied, changes):
    config = tiny_config("Llama", tie_word_embeddings=tied)
    settings = replace(EAGER, **changes)
    summary = summarize(build_model(config, settings))
    pair = PAIR if settings.share_prompt else PairLength(11, 20, 20)
    flops = pair_flops(summary, settings, pair, reference_forward=False)
    unseen = 0 if settings.lora else head_weight_gradient(pair)
    assert counted(config, settings, pair) + unseen - flops in (0, rotary(pair.rows(settings.share_prompt)[0]))


def test_checkpointing_repeats_the_layers():
    """Torch stops a repetition at the last tensor that is needed, before a layer's last matrix."""
    config = tiny_config("Llama")
    settings = replace(EAGER, checkpointing=True)
    summary = summarize(build_model(config, settings))
    flops = pair_flops(summary, settings, PAIR, reference_forward=False)
    last = 2 * 2 * 96 * 64 * 48  # layers, operations, the matrix, tokens
    assert counted(config, settings) + last + head_weight_gradient(PAIR) - flops in (0, rotary(48))


def test_a_token_takes_six_operations_a_parameter():
    """6N a trained token (arXiv 2001.08361, section 2.1), 8N with checkpointing, 4N and 6N under an adapter."""
    config = known_config("qwen2.5-1.5b")
    pair = PairLength(2, 0.5, 0.5)
    for lora, checkpointing, factor in ((None, False, 6), (None, True, 8), (1, False, 4), (1, True, 6)):
        settings = RunConfig(
            "m", "bfloat16", lora=None if lora is None else Lora(lora, ("q_proj",)), checkpointing=checkpointing
        )  # fmt: skip
        summary = summarize(build_model(config, settings))
        layers = summary.count("layers")
        head = 2 * 1536 * 151_936 * 1 * (3 if lora else 4)
        flops = pair_flops(summary, settings, pair, reference_forward=False) - head
        assert flops / 2 == pytest.approx(factor * layers, rel=2e-3)


def test_a_reference_adds_a_forward_pass():
    config = tiny_config("Llama")
    summary = summarize(build_model(config, EAGER))
    plain, more = (pair_flops(summary, EAGER, PAIR, reference_forward=flag) for flag in (False, True))
    head = 2 * 64 * 400 * 38
    assert more - plain == pytest.approx((plain - 4 * head) / 3 + head)


def test_idle_experts_cost_nothing():
    changes = {"moe_intermediate_size": 32, "num_experts": 4}
    few, all_of_them = (
        summarize(build_model(tiny_config("Qwen3Moe", num_experts_per_tok=count, **changes), EAGER)) for count in (1, 4)
    )
    idle = 0.75 * 2 * 4 * 3 * 64 * 32
    difference = pair_flops(all_of_them, EAGER, PAIR, False) - pair_flops(few, EAGER, PAIR, False)
    assert difference == pytest.approx(6 * 48 * idle)


def test_time_by_hand():
    config = tiny_config("Llama")
    summary = summarize(build_model(config, EAGER))
    settings = replace(EAGER, micro_batch=2, accumulation=3, epochs=2.0)
    pairs = Pairs(100, PAIR, PAIR)
    time = plan_time(summary, settings, pairs, 4, False, 100.0, 0.25)
    assert time.pairs_per_step == 24
    assert time.tokens_per_step == 24 * 48
    assert time.steps == 10
    assert time.flops_per_step == 24 * pair_flops(summary, settings, PAIR, False)
    middle = time.flops_per_step / (4 * 100e12 * 0.25)
    assert time.step_seconds == pytest.approx((middle / SPREAD, middle * SPREAD))
    assert time.run_seconds == pytest.approx((10 * middle / SPREAD, 10 * middle * SPREAD))
    assert plan_time(summary, replace(settings, max_steps=7), pairs, 4, False, None, 0.25).steps == 7
    # No faster than the peak.
    assert plan_time(summary, settings, pairs, 4, False, 100.0, 0.9).step_seconds[0] == pytest.approx(
        0.9 * middle / 3.6
    )
