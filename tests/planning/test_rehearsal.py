"""Activations of a step without numbers: against closed forms, whole models, and real steps."""

from dataclasses import replace

import pytest
import torch

from tests.planning.dimensions import tiny_config
from trl_weighted_dpo.planning import rehearsal
from trl_weighted_dpo.planning.head import chunked_scores
from trl_weighted_dpo.planning.live_bytes import LiveBytes
from trl_weighted_dpo.planning.model import build_model, summarize
from trl_weighted_dpo.planning.rehearsal import Batch, rehearse, with_layers
from trl_weighted_dpo.planning.settings import Lora, RunSettings, Sharding

FULL = RunSettings("tiny", "bfloat16", checkpointing=False)
BATCH = Batch(2, 48, 40)


def rehearsed(config, settings, batch=BATCH):
    return rehearse(config, settings, summarize(build_model(config, settings)), batch)


def kept_by_a_layer(settings, batch, **changes):
    few, more = (
        rehearsed(tiny_config("Llama", num_hidden_layers=count, **changes), settings, batch) for count in (2, 3)
    )
    return more.kept - few.kept


@pytest.mark.parametrize(("hidden", "inner", "heads", "kv_heads"), [(64, 96, 4, 2), (128, 448, 4, 4)])
def test_a_llama_layer_keeps_what_its_operations_save(hidden, inner, heads, kv_heads):
    """The closed form of docs/plan.md, which adapts Korthikanti et al. (arXiv 2205.05198, section 4.1) to this layer.

    In bfloat16 a token leaves, of each of two norms, its input in float32 (4h) with the inverse deviation (4), what was
    normalised (2h) and the result (2h), which is the input of matrices; queries, keys and values of all heads and the
    output of attention (8h), and a float32 for each head; the mask's row as numbers (2T); and of the MLP gate, its
    SiLU, up, and their product (8i).
    """
    changes = {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }
    token = 2 * (8 * hidden + 4) + 8 * hidden + 4 * heads + 2 * BATCH.tokens + 8 * inner
    assert kept_by_a_layer(FULL, BATCH, **changes) == BATCH.rows * BATCH.tokens * token


def test_a_checkpointed_layer_keeps_its_input():
    kept = kept_by_a_layer(replace(FULL, checkpointing=True), BATCH)
    assert kept == BATCH.rows * BATCH.tokens * 2 * 64


def test_eager_attention_keeps_its_scores():
    """In float32: scores before the softmax are let go, its result stays, and a copy of it in the values' precision."""
    fused, eager = (kept_by_a_layer(replace(FULL, attention=name), BATCH) for name in ("sdpa", "eager"))
    tokens, heads = BATCH.rows * BATCH.tokens, 4
    statistics, mask, output = 4 * heads, 2 * BATCH.tokens, 2 * 64
    scores = heads * BATCH.tokens * (4 + 2)
    assert eager - fused == tokens * (scores - statistics - mask - output + output)


def test_autocast_keeps_converted_weights_without_checkpointing():
    plain = kept_by_a_layer(FULL, BATCH)
    mixed = kept_by_a_layer(replace(FULL, dtype="float32", autocast="bfloat16"), BATCH)
    matrices = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 96
    assert mixed - plain > 2 * matrices


@pytest.mark.parametrize(
    "settings", [FULL, replace(FULL, checkpointing=True), replace(FULL, lora=Lora(4, "all-linear"))]
)
def test_a_few_layers_stand_for_all(settings):
    config = tiny_config("Qwen2", num_hidden_layers=9)
    assert rehearsed(config, settings) == rehearsal._rehearse(config, settings, BATCH)


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
    assert rehearse(config, FULL, summary, BATCH) == rehearsal._rehearse(config, FULL, BATCH)


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
    embedding, states = 2 * 400 * 64, 2 * BATCH.rows * BATCH.tokens * 64
    assert embedding <= plain.embedding < embedding + 4 * states
    assert checkpointed.kept < plain.kept < plain.head
    assert checkpointed.layers < plain.layers


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings("tiny", "float32", checkpointing=False),
        RunSettings("tiny", "float32", checkpointing=True),
        RunSettings("tiny", "float32", lora=Lora(4, "all-linear"), checkpointing=False),
        RunSettings("tiny", "float32", autocast="bfloat16", checkpointing=False),
    ],
    ids=["full", "checkpointing", "lora", "autocast"],
)
def test_a_step_with_numbers_takes_as_much(settings):
    """The same step on real tensors, with transformers' own SDPA attention, counted as it runs."""
    config = tiny_config("Qwen2", num_hidden_layers=3, tie_word_embeddings=False)
    expected = rehearsed(config, settings)
    model = build_model(config, settings).to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.config._attn_implementation = "sdpa"
    base = model.get_base_model() if settings.lora else model
    model.train()
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    known = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    rows, columns = torch.arange(BATCH.positions) % BATCH.rows, torch.arange(BATCH.positions)
    with LiveBytes(known) as memory:
        ids = torch.arange(BATCH.rows * BATCH.tokens).view(BATCH.rows, BATCH.tokens)
        mask = torch.ones(BATCH.rows, 1, BATCH.tokens, BATCH.tokens, dtype=torch.bool).tril()
        labels = torch.zeros(BATCH.positions, dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.autocast is not None):
            positions = torch.arange(BATCH.tokens).expand(BATCH.rows, -1).contiguous()
            hidden = base.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)[0]
            scores = chunked_scores(base.get_output_embeddings(), hidden[rows, columns], labels)
        kept = memory.live
        memory.restart()
        scores.sum().backward()
        peak = memory.peak
    assert kept == pytest.approx(expected.kept, rel=0.03)
    assert peak == pytest.approx(max(expected.head, expected.layers), rel=0.06)


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


def test_a_head_in_chunks_takes_a_chunk():
    config = tiny_config("Llama", vocab_size=20_000)
    small, large = (rehearsed(config, FULL, Batch(4, 1024, positions)) for positions in (1024, 4096))
    logits = 1024 * 20_000 * 4
    assert large.head - large.kept == pytest.approx(small.head - small.kept, rel=0.03)
    assert 2 * logits < small.head - small.kept < 5 * logits


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
