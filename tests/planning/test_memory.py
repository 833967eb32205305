"""What one GPU holds, by hand; DeepSpeed's own estimates are asked in `tests/integration/test_plan.py`."""

from dataclasses import replace

import pytest

from tests.planning.dimensions import tiny_config
from trl_weighted_dpo.planning.config import Lora, RunConfig, Sharding
from trl_weighted_dpo.planning.memory import CUDA_CONTEXT, FRAGMENTATION, MOMENTS, NCCL, plan_memory
from trl_weighted_dpo.planning.model import build_model, summarize
from trl_weighted_dpo.planning.rehearsal import Rehearsal

STEP = "optimizer step"
REHEARSAL = Rehearsal(
    kept=100_000_000, forward=90_000_000, head_forward=120_000_000, head_backward=160_000_000, backward=150_000_000,
    embedding=20_000_000,
)  # fmt: skip
ZERO = RunConfig("m", "bfloat16", sharding=Sharding("deepspeed", 2))


def planned(config, settings, gpus=1, reference=False):
    summary = summarize(build_model(config, settings))
    return summary, plan_memory(summary, settings, REHEARSAL, gpus, summary if reference else None)


def states(plan, *names):
    names = names or ("parameters", "gradients", "optimizer state", "master weights")
    return sum(plan.named(name).bytes[STEP] for name in names)


@pytest.mark.parametrize(
    ("stage", "spread"),
    [(0, ()), (1, ("optimizer state", "master weights")), (2, ("optimizer state", "master weights", "gradients")),
     (3, ("optimizer state", "master weights", "gradients", "parameters"))],
)  # fmt: skip
def test_stages_spread_one_thing_after_another(stage, spread):
    config = tiny_config("Llama")
    settings = replace(ZERO, sharding=Sharding("deepspeed", stage))
    _, alone = planned(config, settings, 1)
    _, shared = planned(config, settings, 4)
    for name in ("parameters", "gradients", "optimizer state", "master weights"):
        parts = 4 if name in spread else 1
        assert states(shared, name) == pytest.approx(states(alone, name) / parts, abs=1), name


def test_offloading_moves_states_to_the_host():
    config = tiny_config("Llama")
    sharding = Sharding("deepspeed", 3, offload_optimizer=True, offload_parameters=True)
    summary, plan = planned(config, replace(ZERO, sharding=sharding), 4)
    assert states(plan, "parameters", "optimizer state", "master weights") == 0
    assert plan.host == pytest.approx((2 + 4 + 8) * summary.count() / 4, abs=4)


def test_fsdp_upcasts_what_it_trains_or_does_not():
    config = tiny_config("Llama")
    for upcast, size in ((True, 4), (False, 2)):
        settings = replace(ZERO, autocast="bfloat16", sharding=Sharding("fsdp", 3, upcast=upcast))
        summary, plan = planned(config, settings, 4)
        assert states(plan) == pytest.approx(4 * size * summary.count() / 4, abs=4)


def test_fsdp_holds_two_layers_whole_and_what_is_in_no_layer():
    config = tiny_config("Llama")
    settings = replace(ZERO, sharding=Sharding("fsdp", 3))
    summary, plan = planned(config, settings, 4)
    layer = max(summary.layer_counts().values())
    ends = summary.count() - summary.count("layers")
    assert plan.named("communication").bytes["layers"] == 2 * (2 * layer + ends + 2 * layer)
    assert plan.named("communication").bytes[STEP] == 0
    _, kept = planned(config, replace(settings, sharding=Sharding("fsdp", 2)), 4)
    assert kept.named("communication").bytes["layers"] == 2 * (summary.count() + 2 * layer)


def test_ddp_holds_gradients_twice():
    settings = RunConfig("m", "float32", lora=Lora(4, "all-linear"))
    summary, plan = planned(tiny_config("Llama"), settings, 2)
    assert plan.named("communication").bytes["layers"] == 4 * summary.count(trainable=True)
    assert plan.named("CUDA context").bytes[STEP] == CUDA_CONTEXT + NCCL
    _, alone = planned(tiny_config("Llama"), settings, 1)
    assert alone.named("communication").bytes["layers"] == 0
    assert alone.named("CUDA context").bytes[STEP] == CUDA_CONTEXT


def test_buckets_of_deepspeed():
    config = tiny_config("Llama", hidden_size=32, intermediate_size=64)
    for stage, overlap, auto, expected in (
        (2, False, True, 2 * 32 * 32),
        (2, True, True, 4 * 32 * 32),
        (2, False, False, 2 * 1000),
    ):
        sharding = Sharding("deepspeed", stage, reduce_bucket=None if auto else 1000, overlap_comm=overlap)
        _, plan = planned(config, replace(ZERO, sharding=sharding), 4)
        assert plan.named("communication").bytes["head"] == expected
    summary, plan = planned(config, replace(ZERO, sharding=Sharding("deepspeed", 3)), 4)
    layer = max(summary.layer_counts().values())
    largest = max(layer, summary.count("embedding"))
    assert plan.named("communication").bytes["head"] == 2 * (32 * 32 + largest + round(0.9 * 32 * 32))


def test_a_second_model_and_paged_states():
    config = tiny_config("Llama")
    settings = RunConfig("m", "bfloat16", autocast="bfloat16", optimizer="paged_adamw_32bit")
    summary, plan = planned(config, settings, reference=True)
    assert states(plan, "reference model") == 2 * summary.count()
    assert states(plan, "optimizer state") == 0
    assert plan.host == 8 * summary.count()
    assert states(plan, "gradients") == 2 * summary.count()


@pytest.mark.parametrize("tied", [False, True])
def test_moments_of_a_step(tied):
    config = tiny_config("Llama", tie_word_embeddings=tied, vocab_size=10_000)
    settings = RunConfig("m", "float32", optimizer="adamw_torch")
    end = 4 * 10_000 * 64
    for accumulation in (1, 2):
        summary, plan = planned(config, replace(settings, accumulation=accumulation))
        everything = 4 * summary.count()
        gradients, work = plan.named("gradients").bytes, plan.named("activations and work").bytes
        waits = everything if accumulation == 2 else 0
        assert gradients["head"] == waits
        # A tied head's gradient waits among the work.
        assert gradients["layers"] == max(waits, 0 if tied else end)
        assert gradients["end of backward"] == gradients[STEP] == everything
        assert (work["layers"], work["head"]) == (150_000_000, 160_000_000)
        embedding = 20_000_000 - (end if accumulation == 1 else 0)
        assert work["end of backward"] == max(50_000_000, embedding)
        assert work[STEP] == everything  # torch's step on all parameters at once
        fragments = plan.named("fragmentation").bytes
        assert fragments == {moment: round(FRAGMENTATION * work[moment]) for moment in MOMENTS}
        assert plan.total == max(plan.at(moment) for moment in MOMENTS)
