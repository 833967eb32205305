"""The options of TRL's trainer that our loss goes with behave as TRL's, with all weights 1."""

import copy

import pytest
import torch
from datasets import Dataset
from packaging.version import Version
from peft import LoraConfig, get_peft_model
from transformers import MixtralConfig, MixtralForCausalLM
from trl import DPOConfig, DPOTrainer
from trl import __version__ as trl_version

from tests.arena import Arena, assert_same, batch_of, loss_and_gradients
from tests.tiny import tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.training.objective import DIFFERENCE_LOSSES, F_DIVERGENCES

# Lengths normalise the two scores apart, so constants that trl < 1.10 drops from them do not cancel.
NORMALISED = {"ipo", "sigmoid_norm"}
SMOOTHING = {"exo_pair": 0.01, "robust": 0.1}


def compare(match, tolerance=1e-5, **settings):
    trl, ours = match.trl(**settings), match.ours(weight_scheme="uniform", **settings)
    assert_same(loss_and_gradients(ours, batch_of(ours)), loss_and_gradients(trl, batch_of(trl)), tolerance)
    return ours, trl


@pytest.mark.parametrize("divergence", [name for name in F_DIVERGENCES if name != "reverse_kl"])
@pytest.mark.parametrize("loss_type", [name for name in DIFFERENCE_LOSSES if name != "sft"])
def test_f_divergences(arena, loss_type, divergence):
    if loss_type in NORMALISED and Version(trl_version) < Version("1.10") and divergence != "reverse_kl":
        compare_with_constant_free_scores(arena(), loss_type, divergence)
        return
    compare(arena(), loss_type=[loss_type], f_divergence_type=divergence, label_smoothing=SMOOTHING.get(loss_type, 0.0))


def compare_with_constant_free_scores(match, loss_type, divergence):
    """Old TRL against our loss with the constant taken out of the scores: nothing else differs."""
    from trl_weighted_dpo.training import objective

    constant = {"forward_kl": 1.0, "js_divergence": 0.6931471805599453, "alpha_divergence": 2.0}[divergence]
    kept = objective.divergence_score
    try:
        objective.divergence_score = lambda *arguments: kept(*arguments) - constant
        compare(match, loss_type=[loss_type], f_divergence_type=divergence)
    finally:
        objective.divergence_score = kept


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_ld_alpha(arena, alpha):
    compare(arena(), ld_alpha=alpha)


def test_combination_of_losses(arena):
    compare(arena(), loss_type=["sigmoid", "bco_pair", "ipo"], loss_weights=[0.8, 0.2, 1.5])


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo"])
def test_wpo_weighting(arena, loss_type):
    compare(arena(), use_weighting=True, loss_type=[loss_type])


@pytest.mark.parametrize(("length", "mode"), [(60, "keep_start"), (40, "keep_end")])
def test_truncation(arena, length, mode):
    compare(arena(), max_length=length, truncation_mode=mode)


def test_padding_to_a_multiple(arena):
    ours, _ = compare(arena(), pad_to_multiple_of=32)
    assert batch_of(ours)["input_ids"].shape[1] % 32 == 0


def test_gradient_checkpointing(arena):
    match = arena()
    plain = match.ours(weight_scheme="uniform")
    expected = loss_and_gradients(plain, batch_of(plain))
    plain.model.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(loss_and_gradients(plain, batch_of(plain)), expected, 1e-6)


def test_metrics_are_trls(arena):
    ours, trl = compare(arena())
    ours._take_metrics("train")
    for name, values in trl._metrics["train"].items():
        assert ours._metrics["train"][name] == pytest.approx(values, rel=1e-5, abs=1e-6), name


def test_metrics_at_a_ragged_end_with_accumulation_are_trls(arena):
    match = arena(pairs=tiny_pairs(9))
    settings = {
        "max_steps": 2, "logging_steps": 1, "gradient_accumulation_steps": 2, "save_strategy": "no",
        "learning_rate": 1e-3,
    }  # fmt: skip
    histories = []
    # Rows of their own, so that Adam has no other rounding to magnify.
    for trainer in (match.trl(**settings), match.ours(weight_scheme="uniform", share_prompt=False, **settings)):
        trainer.args.per_device_train_batch_size = trainer._train_batch_size = 4
        trainer.train()
        histories.append([entry for entry in trainer.state.log_history if "loss" in entry])
    assert len(histories[0]) == len(histories[1]) == 2
    for expected, measured in zip(*histories, strict=True):
        for name, value in expected.items():
            assert measured[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_compute_metrics_sees_the_same_logits(arena):
    match = arena()
    seen = []
    settings = {"eval_dataset": Dataset.from_list(tiny_pairs(4, seed=5)), "per_device_eval_batch_size": 4}
    for trainer in (match.trl(**settings), match.ours(weight_scheme="uniform", **settings)):
        trainer.compute_metrics = lambda prediction: (seen.append(prediction), {"seen": 1.0})[1]
        assert trainer.evaluate()["eval_seen"] == 1.0
    torch.testing.assert_close(torch.tensor(seen[1].predictions), torch.tensor(seen[0].predictions))


def test_conversations_and_implicit_prompts(arena):
    def conversation(row, implicit):
        prompt = [{"role": "user", "content": row["prompt"]}]
        sides = {side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}
        if implicit:
            return {side: prompt + messages for side, messages in sides.items()}
        return {"prompt": prompt, **sides}

    for implicit in (False, True):
        match = arena(pairs=[conversation(row, implicit) for row in tiny_pairs(3)])
        match.tokenizer.chat_template = (
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
        )
        compare(match)


def test_evaluation_is_trls(arena):
    match = arena()
    held_out = Dataset.from_list(tiny_pairs(6, seed=5))
    settings = {"per_device_eval_batch_size": 2, "eval_dataset": held_out}
    expected = match.trl(**settings).evaluate()
    measured = match.ours(weight_scheme="uniform", **settings).evaluate()
    compared = [name for name in expected if name in measured and "runtime" not in name and "per_second" not in name]
    assert {"eval_loss", "eval_rewards/margins", "eval_logps/chosen", "eval_entropy"} <= set(compared)
    for name in compared:
        assert measured[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6), name
    assert measured["eval_loss/unweighted"] == pytest.approx(measured["eval_loss"], rel=1e-6)


def test_precomputed_reference(arena):
    match = arena()
    expected = match.ours(weight_scheme="uniform")
    ours, _ = compare(match, precompute_ref_log_probs=True)
    assert "ref_chosen_logps" in ours.train_dataset.column_names
    assert_same(loss_and_gradients(ours, batch_of(ours)), loss_and_gradients(expected, batch_of(expected)), 1e-5)


def test_reference_log_probs_of_a_batch(arena):
    match = arena()
    trl, ours = match.trl(), match.ours(weight_scheme="uniform")
    expected = trl.compute_ref_log_probs(trl.ref_model, batch_of(trl))
    measured = ours.compute_ref_log_probs(ours.ref_model, batch_of(ours))
    for ours_side, trl_side in zip(measured, expected, strict=True):
        torch.testing.assert_close(ours_side, trl_side, rtol=1e-6, atol=1e-5)


def lora_trainer(match, trainer, config, folder, **settings):
    torch.manual_seed(0)
    arguments = config(
        output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
        per_device_train_batch_size=4, **settings,
    )  # fmt: skip
    made = trainer(
        model=copy.deepcopy(match.policy),
        args=arguments,
        train_dataset=Dataset.from_list(match.pairs),
        processing_class=match.tokenizer,
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if "lora_B" in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made


def test_lora_with_its_base_as_reference(arena, tmp_path):
    match = arena()
    trl = lora_trainer(match, DPOTrainer, DPOConfig, tmp_path)
    ours = lora_trainer(match, WeightedDPOTrainer, WeightedDPOConfig, tmp_path, weight_scheme="uniform")
    state = {name: value.clone() for name, value in trl.model.state_dict().items()}
    ours.model.load_state_dict(state)
    theirs = loss_and_gradients(trl, batch_of(trl))
    assert theirs[0] != pytest.approx(0.6931, abs=1e-3)
    assert_same(loss_and_gradients(ours, batch_of(ours)), theirs, 1e-5)


def test_continued_training_of_an_adapter_keeps_it_as_reference(arena, tmp_path):
    match = arena()
    histories = []
    for trainer, config in ((DPOTrainer, DPOConfig), (WeightedDPOTrainer, WeightedDPOConfig)):
        torch.manual_seed(0)
        lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
        arguments = config(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=2,
            per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1, save_strategy="no",
        )  # fmt: skip
        if trainer is WeightedDPOTrainer:
            arguments.weight_scheme = "uniform"
        made = trainer(
            model=get_peft_model(copy.deepcopy(match.reference), lora), args=arguments,
            train_dataset=Dataset.from_list(match.pairs), processing_class=match.tokenizer,
        )  # fmt: skip
        made.train()
        histories.append([entry["loss"] for entry in made.state.log_history if "loss" in entry])
    assert histories[0][0] == pytest.approx(0.6931, abs=1e-3)
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)


def test_mixture_of_experts_auxiliary_loss(tmp_path, arena):
    match = arena()
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=400, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=256,
        output_router_logits=True, initializer_range=0.2, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    reference = MixtralForCausalLM(config)
    results = []
    for trainer, configuration in ((DPOTrainer, DPOConfig), (WeightedDPOTrainer, WeightedDPOConfig)):
        arguments = configuration(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
            per_device_train_batch_size=4, router_aux_loss_coef=0.5,
        )  # fmt: skip
        if trainer is WeightedDPOTrainer:
            arguments.weight_scheme = "uniform"
        torch.manual_seed(1)
        policy = copy.deepcopy(reference)
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        made = trainer(
            model=policy, ref_model=copy.deepcopy(reference), args=arguments,
            train_dataset=Dataset.from_list(match.pairs), processing_class=match.tokenizer,
        )  # fmt: skip
        assert made.aux_loss_enabled
        results.append(
            (loss_and_gradients(made, batch_of(made)), [float(x) for x in made._metrics["train"]["aux_loss"]])
        )
    assert_same(results[1][0], results[0][0], 1e-5)
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-6)
    assert results[0][1][0] > 0


def test_the_auxiliary_loss_cannot_go_with_shared_prompts_alone(tmp_path):
    config = MixtralConfig(
        vocab_size=400, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1, max_position_embeddings=256,
        output_router_logits=True, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    match = Arena(tmp_path, tiny_pairs(2), tiny_model())
    with pytest.raises(ValueError, match="the auxiliary loss of a mixture of experts"):
        WeightedDPOTrainer(
            model=MixtralForCausalLM(config), ref_model=MixtralForCausalLM(config),
            args=WeightedDPOConfig(
                output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], share_prompt=True
            ),
            train_dataset=Dataset.from_list(match.pairs), processing_class=match.tokenizer,
        )  # fmt: skip


def test_reference_model_is_synchronised(arena):
    match = arena()
    settings = {
        "sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 1.0, "max_steps": 2,
        "learning_rate": 1e-3, "logging_steps": 1, "save_strategy": "no",
    }  # fmt: skip
    trainers = [match.trl(**settings), match.ours(weight_scheme="uniform", **settings)]
    for trainer in trainers:
        trainer.train()
    losses = [[entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in trainers]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, parameter in trainers[1].ref_model.named_parameters():
        torch.testing.assert_close(parameter, trainers[1].model.get_parameter(name), rtol=0, atol=0)
