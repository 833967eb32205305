"""Which way completions are scored, and that all ways give the model's own numbers, for many families."""

import copy
import logging

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from tests.arena import Arena, assert_same, batch_of, loss_and_gradients
from tests.families import LEAKING, SHARED, WINDOW, family_model
from tests.tiny import tiny_model, tiny_pairs
from trl_weighted_dpo.training.collator import WeightedPreferenceCollator
from trl_weighted_dpo.training.forward import score_tokens
from trl_weighted_dpo.training.layout import with_layout
from trl_weighted_dpo.training.paths import ScoringPaths, share_mode, why_not_chunked, why_not_shared


def random_batch(pairs=3, vocabulary=64, seed=0):
    """Texts longer than the families' windows; completions that begin alike."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(low, high):
        count = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(1, vocabulary, (count,), generator=generator).tolist()

    examples = []
    for _ in range(pairs):
        common = tokens(0, 3)
        sides = {"chosen_ids": common + tokens(WINDOW, 2 * WINDOW), "rejected_ids": common + tokens(WINDOW, 2 * WINDOW)}
        examples.append({"prompt_ids": tokens(3, 12), **sides, "pair_weight": 1.0})
    return WeightedPreferenceCollator(pad_token_id=0)(examples)


def run(model, batch, path):
    model.zero_grad()
    scores = score_tokens(model, with_layout(batch, path, 0), path, statistics=True, wpo=True)
    signs = scores.logps.new_tensor([1.0, -0.5]).repeat_interleave(len(scores.logps) // 2)
    (scores.logps.sum(dim=1) * signs).sum().backward()
    return scores, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_scores_agree(measured, expected, tolerance=2e-5):
    for name in ("logps", "entropy", "mean_logit", "wpo"):
        ours, theirs = getattr(measured[0], name), getattr(expected[0], name)
        assert (ours - theirs).norm() <= tolerance * theirs.norm(), name
    assert torch.equal(measured[0].top1, expected[0].top1)
    assert measured[1].keys() == expected[1].keys()
    largest = max(gradient.norm() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        # Some parameters (biases of keys) have a gradient of 0 but for rounding.
        error = (measured[1][name] - gradient).norm() / max(gradient.norm(), 1e-3 * largest)
        assert error <= tolerance, f"{name}: {error:.1e}"


@pytest.mark.parametrize("path", ["shared", "chunked"])
@pytest.mark.parametrize("name", SHARED)
def test_scores_and_gradients_are_the_models_own(name, path):
    model, batch = family_model(name), random_batch()
    assert why_not_chunked(model) is None
    assert why_not_shared(model, None) is None
    assert_scores_agree(run(model, batch, path), run(model, batch, "model"))


@pytest.mark.parametrize("name", ["qwen2", "gemma2", "mistral"])
def test_eager_attention(name):
    model, batch = family_model(name, "eager"), random_batch()
    assert why_not_shared(model, None) is None
    assert_scores_agree(run(model, batch, "shared"), run(model, batch, "model"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", ["qwen2", "gemma2", "mistral"])
def test_flex_attention(name):
    """It cannot be trained with on a CPU."""
    model = family_model(name, "flex_attention", head_dim=16).cuda()
    batch = {key: value.cuda() for key, value in random_batch().items()}
    assert why_not_shared(model, None) is None
    assert_scores_agree(run(model, batch, "shared"), run(model, batch, "model"), 1e-3)


@pytest.mark.parametrize("name", ["qwen2-windowed", "gemma2", "mistral", "phi3", "smollm3"])
def test_the_window_matters_in_these_tests(name):
    """With the window left out of the masks, the numbers are others: a wrong mask would be noticed."""
    model, batch = family_model(name), random_batch()
    expected = run(model, batch, "model")[0].logps
    model.config.sliding_window = None
    error = run(model, batch, "shared")[0].logps - expected
    assert error.norm() > 1e-2 * expected.norm()


@pytest.mark.parametrize("name", LEAKING)
def test_layers_that_would_leak_are_recognised(name):
    model, batch = family_model(name), random_batch()
    assert "may see the other" in why_not_shared(model, None) or "leak into" in why_not_shared(model, None)
    if why_not_chunked(model) is None:
        assert_scores_agree(run(model, batch, "chunked"), run(model, batch, "model"))


def choose(model, share="auto", max_length=None, batch=None):
    paths = ScoringPaths(share, max_length, 0, Accelerator(cpu=True))
    return paths.of(model, random_batch() if batch is None else batch)


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "trl_weighted_dpo.training.paths")
    return lambda: " ".join(record.getMessage() for record in caplog.records)


def test_what_is_chosen(messages):
    assert choose(family_model("llama")) == "shared"
    assert choose(family_model("llama"), "false") == "chunked"
    assert "scored by the path 'shared'" in messages()
    assert "scored by the path 'chunked'" in messages()
    assert choose(family_model("lfm2")) == "chunked"
    assert "Prompts are not shared: it has conv layers" in messages()


def test_attention_without_masks_is_told(messages):
    model = family_model("llama")
    model.config._attn_implementation = "flash_attention_2"
    assert "attention implementation 'flash_attention_2' takes no 4-D mask" in why_not_shared(model, None)
    with pytest.raises(ValueError, match="`share_prompt` is true, but prompts cannot be shared: attention impl"):
        choose(model, "true")


def test_an_unknown_family_with_a_window_is_not_shared():
    model = family_model("mistral")
    model.config.model_type = "unheard_of"
    assert "not among the model types tested" in why_not_shared(model, None)


@pytest.mark.parametrize("family", ["gpt_neo", "doge"])
def test_attention_that_counts_places_in_the_row_is_not_shared(family):
    model = family_model("llama")
    model.config.model_type = family
    assert f"attention of '{family}' counts places in the row" in why_not_shared(model, None)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
@pytest.mark.parametrize("nested", [False, True])
def test_rotary_embeddings_that_depend_on_the_rows_length(kind, nested):
    model = family_model("llama")
    rope = {"rope_type": kind, "original_max_position_embeddings": 32, "rope_theta": 1e4, "factor": 4.0}
    model.config.rope_parameters = {"full_attention": rope} if nested else rope
    assert why_not_shared(model, 32) is None
    assert f"its {kind} rotary embedding depends on the length of the row above 32" in why_not_shared(model, 33)
    assert "up to any number" in why_not_shared(model, None)


def test_activated_lora_is_not_shared():
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", alora_invocation_tokens=[7, 9])
    assert "an activated LoRA looks for its invocation tokens" in why_not_shared(
        get_peft_model(family_model("qwen2"), lora), None
    )


def leak(model):
    """Let the second layer mix neighbouring positions, as a convolution would, behind everyone's back."""
    layer = model.base_model.layers[1]
    layer.register_forward_hook(lambda _, __, output: output + output.roll(1, dims=1))
    return model


def test_a_leak_that_nothing_tells_of_is_found_on_the_first_batch(messages):
    assert choose(leak(family_model("llama"))) == "chunked"
    assert "The path 'shared' is not taken: on the first batch its log-probs differ from the model's own" in messages()
    with pytest.raises(ValueError, match="`share_prompt` is true, but on the first batch its log-probs differ"):
        choose(leak(family_model("llama")), "true")


def test_a_leak_that_rounding_would_hide_is_found(messages):
    model = leak(tiny_model(initializer_range=0.02).bfloat16().eval())
    assert choose(model, batch=random_batch(vocabulary=400)) == "chunked"
    assert "other tokens in a chosen completion move the rejected one's log-probs" in messages()
    assert choose(tiny_model(initializer_range=0.02).bfloat16().eval(), batch=random_batch(vocabulary=400)) == "shared"


def test_a_policy_and_the_reference_in_it_are_compared_apart(messages):
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model, paths = get_peft_model(family_model("qwen2"), lora), ScoringPaths("auto", None, 0, Accelerator(cpu=True))
    with model.disable_adapter():
        assert paths.of(model, random_batch(), as_reference=True) == "shared"
    leak(model.get_base_model())
    assert paths.of(model, random_batch()) == "chunked"
    assert paths.of(model, random_batch(), as_reference=True) == "shared"


def test_a_transform_of_logits_that_nothing_tells_of_is_found(messages):
    model = family_model("llama")
    own = type(model).forward

    def scaled(*args, **kwargs):
        output = own(model, *args, **kwargs)
        output.logits = 0.5 * output.logits
        return output

    model.forward = scaled
    assert choose(model) == "model"
    assert "The path 'chunked' is not taken" in messages()
    assert model.forward is scaled


def test_a_model_that_takes_no_such_mask_falls_back(messages):
    model = family_model("llama")
    own = model.base_model.forward

    def picky(attention_mask=None, position_ids=None, **kwargs):
        if attention_mask.dim() == 4:
            raise TypeError("two dimensions, please")
        return own(attention_mask=attention_mask, position_ids=position_ids, **kwargs)

    model.base_model.forward = picky
    assert choose(model) == "chunked"
    assert "it fails (TypeError: two dimensions, please)" in messages()


def test_the_comparison_leaves_the_models_modes(messages):
    model = family_model("llama").train()
    model.base_model.layers[0].eval()
    before = [module.training for module in model.modules()]
    assert choose(model) == "shared"
    assert [module.training for module in model.modules()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_heads_that_cannot_be_replaced():
    prompt = get_peft_model(family_model("llama"), PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"))
    adapted = get_peft_model(family_model("llama"), LoraConfig(r=2, target_modules=["lm_head"], task_type="CAUSAL_LM"))
    assert "the adapter learns a prompt" in why_not_chunked(prompt)
    assert "not a plain linear layer" in why_not_chunked(adapted)
    assert "copies the model" in why_not_chunked(torch.nn.DataParallel(family_model("llama")))
    assert "the model is compiled" in why_not_chunked(torch.compile(family_model("llama")))
    in_place = family_model("llama")
    in_place.compile()
    assert "the model is compiled" in why_not_chunked(in_place)
    assert choose(prompt) == choose(adapted) == "model"


@pytest.mark.parametrize("saved", [None, ["lm_head", "embed_tokens"]])
@pytest.mark.parametrize("path", ["shared", "chunked"])
def test_adapters(path, saved):
    torch.manual_seed(0)
    lora = LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], modules_to_save=saved, task_type="CAUSAL_LM", init_lora_weights=False
    )
    model, batch = get_peft_model(family_model("qwen2"), lora), random_batch()
    if saved:
        with torch.no_grad():
            model.get_base_model().lm_head.modules_to_save["default"].weight.mul_(1.1)
    assert_scores_agree(run(model, batch, path), run(model, batch, "model"))
    with model.disable_adapter(), torch.no_grad():
        measured, expected = (score_tokens(model, with_layout(batch, way, 0), way).logps for way in (path, "model"))
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-5)
    assert choose(model) == "shared"


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_gradient_checkpointing_and_tied_heads(reentrant, tied):
    torch.manual_seed(0)
    model = tiny_model(tie_word_embeddings=tied).train()
    batch = random_batch(vocabulary=400)
    expected = run(model, batch, "model")
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    assert_scores_agree(run(model, batch, "shared"), expected)


def test_autocast_agrees_with_the_models_own_to_its_precision():
    model, batch = family_model("qwen2"), random_batch()
    exact = run(model, batch, "model")[0].logps
    with torch.autocast("cpu", torch.bfloat16):
        errors = {path: (run(model, batch, path)[0].logps - exact).norm() for path in ("shared", "chunked", "model")}
    assert errors["shared"] <= 1.5 * errors["model"]
    assert errors["chunked"] <= 1.5 * errors["model"]


def test_the_modules_are_as_before_when_a_forward_fails():
    model = family_model("llama")
    batch = with_layout(random_batch(), "shared", 0)
    batch = {**batch, "shared_score_labels": batch["shared_score_labels"] + 1000}
    with pytest.raises((IndexError, RuntimeError)):
        score_tokens(model, batch, "shared")
    assert "forward" not in vars(model)
    assert "forward" not in vars(model.lm_head)


@pytest.mark.parametrize(("value", "mode"), [("auto", "auto"), (True, "true"), ("False", "false"), (False, "false")])
def test_share_modes(value, mode):
    assert share_mode(value) == mode


def test_an_unknown_share_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`share_prompt` is 'sometimes'"):
        Arena(tmp_path, tiny_pairs(2)).ours(share_prompt="sometimes")


def test_a_copy_of_a_trained_model_is_scored_by_its_own_weights(tmp_path):
    """trl 1.16 patches a trained model's forward with a closure over the original, which a deep copy keeps."""
    trained = Arena(tmp_path, tiny_pairs(4)).ours(max_steps=1, learning_rate=0.5, save_strategy="no")
    twin = copy.deepcopy(trained.model)
    batch = batch_of(trained)
    before = score_tokens(twin, with_layout(batch, "shared", 0), "shared").logps
    trained.train()
    after = score_tokens(twin, with_layout(batch, "shared", 0), "shared").logps
    assert torch.equal(before, after)


def test_a_rare_reference_of_another_family_is_scored_its_own_way(tmp_path, messages):
    match = Arena(tmp_path, tiny_pairs(4))
    ours = match.ours(weight_scheme="uniform")
    ours.ref_model = leak(ours.ref_model)
    measured = loss_and_gradients(ours, batch_of(ours))
    chunked = match.ours(weight_scheme="uniform", share_prompt=False)
    chunked.ref_model = leak(chunked.ref_model)
    assert_same(measured, loss_and_gradients(chunked, batch_of(chunked)), 1e-5)
    assert ours._paths.of(ours.model, batch_of(ours)) == "shared"
    assert ours._paths.of(ours.ref_model, batch_of(ours)) == "chunked"
