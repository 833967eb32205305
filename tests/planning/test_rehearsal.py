"""Activations of a step without numbers: against closed forms, whole models, and real steps."""

from dataclasses import replace

import pytest
import torch

from tests.planning.dimensions import tiny_config
from trl_weighted_dpo.planning import rehearsal
from trl_weighted_dpo.planning.config import Lora, RunConfig, Sharding
from trl_weighted_dpo.planning.live_bytes import LiveBytes
from trl_weighted_dpo.planning.model import build_model, summarize
from trl_weighted_dpo.planning.pairs import PairLength
from trl_weighted_dpo.planning.rehearsal import BatchShape, batch_shape, make_batch, rehearse, with_layers
from trl_weighted_dpo.training.forward import causal_lm, score_tokens

FULL = RunConfig("tiny", "bfloat16", checkpointing=False, micro_batch=2)
PAIR = PairLength(16, 16, 17)
ROWS, TOKENS = 2, 64  # a trunk of 15, and branches of 16 and 17, in rows that a GPU likes


def rehearsed(config, settings, pair=PAIR, device="cuda"):
    return rehearse(config, settings, summarize(build_model(config, settings)), pair, device)


def kept_by_a_layer(settings, **changes):
    # The first run in a process keeps a little that is made once.
    _, few, more = (
        rehearsed(tiny_config("Llama", num_hidden_layers=count, **changes), settings) for count in (1, 2, 3)
    )
    return more.kept - few.kept


def test_batches_are_laid_out_as_in_training():
    assert batch_shape(PAIR, 2, shared=True) == BatchShape(2, 48, 2 * 33)
    assert batch_shape(PAIR, 2, shared=True, device="cuda") == BatchShape(ROWS, TOKENS, 2 * 33)
    assert batch_shape(PAIR, 2, shared=False) == BatchShape(4, 33, 2 * 33)
    batch = make_batch(PAIR, 2, shared=True)
    assert batch["completion_mask"].sum(dim=1).tolist() == [16, 16, 17, 17]
    assert batch["attention_mask"].sum(dim=1).tolist() == [32, 32, 33, 33]


@pytest.mark.parametrize(("hidden", "inner", "heads", "kv_heads"), [(64, 96, 4, 2), (128, 448, 4, 4)])
def test_a_llama_layer_keeps_what_its_operations_save(hidden, inner, heads, kv_heads):
    """The closed form of docs/plan.md, which adapts Korthikanti et al. (arXiv 2205.05198, section 4.1) to this layer.

    In bfloat16 a token leaves, of each of two norms, its input in float32 (4h) with the inverse deviation (4), what was
    normalised (2h) and the result (2h), which is the input of matrices; queries, keys and values of all heads and the
    output of attention (8h), and a float32 for each head; and of the MLP gate, its SiLU, up, and their product (8i).
    """
    changes = {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }
    token = 2 * (8 * hidden + 4) + 8 * hidden + 4 * heads + 8 * inner
    assert kept_by_a_layer(FULL, **changes) == ROWS * TOKENS * token


def test_a_checkpointed_layer_keeps_its_input():
    assert kept_by_a_layer(replace(FULL, checkpointing=True)) == ROWS * TOKENS * 2 * 64


def test_eager_attention_keeps_its_scores():
    """In float32: scores before the softmax are let go, its result stays, and a copy of it in the values' precision."""
    fused, eager = (kept_by_a_layer(replace(FULL, attention=name)) for name in ("sdpa", "eager"))
    heads, scores = 4, 4 * TOKENS * (4 + 2)
    assert eager - fused == ROWS * TOKENS * (scores - 4 * heads)


def test_autocast_keeps_converted_weights_without_checkpointing():
    plain = kept_by_a_layer(FULL)
    mixed = kept_by_a_layer(replace(FULL, dtype="float32", autocast="bfloat16"))
    matrices = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 96
    assert mixed - plain > 2 * matrices


@pytest.mark.parametrize(
    "settings",
    [
        FULL,
        replace(FULL, checkpointing=True),
        replace(FULL, dtype="float32", autocast="bfloat16", checkpointing=True),
        replace(FULL, lora=Lora(4, "all-linear"), share_prompt=False),
    ],
    ids=["full", "checkpointing", "autocast", "lora"],
)
def test_a_few_layers_stand_for_all(settings):
    config = tiny_config("Qwen2", num_hidden_layers=9)
    few, whole = rehearsed(config, settings), rehearsal._rehearse(config, settings, PAIR, "cuda")
    for name, value in vars(whole).items():
        assert getattr(few, name) == pytest.approx(value, abs=2000), name


def test_layers_that_differ_are_all_rehearsed():
    config = tiny_config(
        "Qwen3Moe",
        num_hidden_layers=6,
        moe_intermediate_size=32,
        num_experts=4,
        num_experts_per_tok=2,
        mlp_only_layers=[1],
    )
    summary = summarize(build_model(config, FULL))
    assert not summary.layers_are_alike()
    assert rehearse(config, FULL, summary, PAIR).kept == rehearsal._rehearse(config, FULL, PAIR, "cuda").kept


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Qwen3", {}),
        ("Gemma2", {"head_dim": 16}),
        ("Mistral", {"sliding_window": 8}),
        ("Phi3", {}),
        ("GPT2", {}),
        ("Mixtral", {}),
    ],
)
def test_families_can_be_rehearsed(family, changes):
    config = tiny_config(family, **changes)
    plain = rehearsed(config, FULL)
    checkpointed = rehearsed(config, replace(FULL, checkpointing=True))
    # Of tied weights, the head's gradient waits, and autograd makes a third to hold their sum.
    gradients = 2 * 400 * 64 * (3 if config.tie_word_embeddings else 1)
    logits = 4 * 66 * 400  # few enough to be kept until the step is over
    assert gradients <= plain.embedding < gradients + logits + 40_000
    assert checkpointed.kept < plain.kept < plain.head
    assert checkpointed.layers < plain.layers


@pytest.mark.parametrize(
    "settings",
    [
        replace(FULL, dtype="float32"),
        replace(FULL, dtype="float32", checkpointing=True),
        replace(FULL, dtype="float32", lora=Lora(4, "all-linear")),
        replace(FULL, dtype="float32", autocast="bfloat16"),
    ],
    ids=["full", "checkpointing", "lora", "autocast"],
)
@pytest.mark.parametrize("tied", [False, True])
def test_a_step_with_numbers_takes_as_much(settings, tied):
    """The same step on real tensors, with transformers' own SDPA attention, counted as it runs."""
    config = tiny_config("Qwen2", num_hidden_layers=3, tie_word_embeddings=tied)
    expected = rehearsed(config, settings, device="cpu")
    model = build_model(config, settings).to_empty(device="cpu")
    base = causal_lm(model)
    if tied:
        base.tie_weights()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    base.config._attn_implementation = "sdpa"
    model.train()
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    known = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    batch = make_batch(PAIR, 2, shared=True)
    with LiveBytes(known) as memory:
        for values in batch.values():
            memory.add(values)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.autocast is not None):
            scores = score_tokens(model, batch, "shared", statistics=True)
        forward = memory.peak
        memory.restart()
        scores.logps.sum().backward()
        peak = memory.peak
    assert forward == pytest.approx(max(expected.forward, expected.head_forward), rel=0.02)
    assert peak == pytest.approx(max(expected.head_backward, expected.backward, expected.embedding), rel=0.02)


def test_quantised_layers_keep_no_input_and_unpack_one_weight_at_a_time():
    config = tiny_config("Llama")
    lora = replace(FULL, lora=Lora(4, ("q_proj",), dtype="bfloat16"))
    frozen, quantised = (rehearsed(config, replace(lora, load_in_4bit=flag)) for flag in (False, True))
    assert quantised.kept == frozen.kept

    layer = build_model(config, replace(lora, lora=None, load_in_4bit=True)).model.layers[0].mlp.up_proj
    layer.to_empty(device="cpu")
    x = torch.zeros(5, 64, dtype=torch.bfloat16, requires_grad=True)
    with LiveBytes([x, layer.weight]) as memory:
        y = layer(x)
        assert memory.live == y.nbytes
        assert memory.peak == y.nbytes + 2 * 64 * 96
        memory.restart()
        y.backward(torch.empty_like(y))
        assert memory.live == y.nbytes + x.grad.nbytes
        assert memory.peak == 2 * y.nbytes + x.grad.nbytes + 2 * 64 * 96


def test_a_head_in_chunks_takes_a_chunk(monkeypatch):
    monkeypatch.setattr("trl_weighted_dpo.training.head.CHUNK_BYTES", {"cpu": 2**20})
    monkeypatch.setattr("trl_weighted_dpo.training.head.LEAST_ROWS", 1)
    monkeypatch.setattr("trl_weighted_dpo.training.head.KEPT_BYTES", 0)
    config = tiny_config("Llama", vocab_size=20_000, hidden_size=16, num_hidden_layers=1)
    gradient = 20_000 * 16 * (4 + 2)  # summed up in float32
    for completion in (200, 600):
        found = rehearsed(config, FULL, PairLength(10, completion, completion), "cpu")
        assert 2 * 2**20 < found.head_forward - found.kept < 5 * 2**20
        assert 2**20 < found.head_backward - found.kept - gradient < 5 * 2**20


def test_chunks_are_those_of_the_device():
    config = tiny_config("Llama", vocab_size=60_000, hidden_size=16, num_hidden_layers=1)
    cpu, cuda = (rehearsed(config, FULL, PairLength(10, 800, 800), device) for device in ("cpu", "cuda"))
    assert cuda.head - cpu.head > 400 * 2**20


def test_engines_compute_in_half_precision():
    config = tiny_config("Llama")
    settings = replace(FULL, dtype="float32", autocast=None)
    sharded = replace(settings, dtype="bfloat16", sharding=Sharding("deepspeed", 3))
    assert rehearsed(config, sharded) == rehearsed(config, FULL)
    assert rehearsed(config, settings).kept > 1.5 * rehearsed(config, sharded).kept


def test_fewer_layers_are_the_first():
    config = tiny_config("Gemma2", num_hidden_layers=6, head_dim=16)
    few = with_layers(config, 3)
    assert few.num_hidden_layers == 3
    assert few.layer_types == config.layer_types[:3]
    assert config.num_hidden_layers == 6


def test_code_that_needs_numbers_is_named(monkeypatch):
    def look(*_, **__):
        return torch.zeros(1).item()

    config = tiny_config("Llama")
    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaMLP.forward", look)
    with pytest.raises(ValueError, match="Models of type 'llama' cannot be planned"):
        rehearsed(config, FULL)
