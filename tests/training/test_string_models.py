"""Models given by path behave as models given as objects."""

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from tests.arena import batch_of, loss_and_gradients
from tests.tiny import perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from tests.training.columns import LORA
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

PAIRS = tiny_pairs(6)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A second model, to be the reference. Its hidden size fills bitsandbytes' blocks of 64."""
    folder = tmp_path_factory.mktemp("other")
    tiny_model(3, hidden_size=64).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def trainer_of(tmp_path, model, ref_model=None, settings=None, **more):
    args = WeightedDPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=2,
        per_device_train_batch_size=3, logging_steps=1, save_strategy="no", weight_lambda=0.8, learning_rate=1e-3,
        **settings or {},
    )  # fmt: skip
    return WeightedDPOTrainer(model, ref_model, args, train_dataset=Dataset.from_list(PAIRS), **more)


def losses(trainer):
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_a_path_is_the_model_that_lies_there(folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    by_object = losses(trainer_of(tmp_path, model, processing_class=tokenizer))
    assert losses(trainer_of(tmp_path, str(folder))) == pytest.approx(by_object, rel=1e-6)
    assert by_object[1] != by_object[0]


def test_model_init_kwargs_reach_model_and_reference(folder, tmp_path):
    settings = {"model_init_kwargs": {"dtype": torch.float64, "attn_implementation": "eager"}}
    trainer = trainer_of(tmp_path, str(folder), settings=settings)
    for one in (trainer.model, trainer.ref_model):
        assert one.dtype == torch.float64
        assert one.config._attn_implementation == "eager"


def test_a_reference_is_given_as_a_model(folder, other, tmp_path):
    reference = AutoModelForCausalLM.from_pretrained(other)
    trainer = trainer_of(tmp_path, str(folder), reference)
    before, _ = loss_and_gradients(trainer, batch_of(trainer))
    same, _ = loss_and_gradients(own := trainer_of(tmp_path, str(folder)), batch_of(own))
    assert abs(before - same) > 1e-2
    with pytest.raises(ValueError, match=r"`ref_model` is the text .* pass `AutoModelForCausalLM.from_pretrained"):
        trainer_of(tmp_path, str(folder), other)


def test_an_adapter_on_a_path_is_the_adapter_on_the_model(folder, tmp_path):
    config = LoraConfig(**LORA)
    by_path = trainer_of(tmp_path, str(folder), peft_config=config)
    by_object = trainer_of(tmp_path, AutoModelForCausalLM.from_pretrained(folder), peft_config=config)
    assert losses(by_path) == pytest.approx(losses(by_object), rel=1e-6)
    assert {name for name, value in by_path.model.named_parameters() if value.requires_grad} == {
        name
        for name, value in get_peft_model(perturbed(tiny_model()), config).named_parameters()
        if value.requires_grad
    }


def test_four_bits_on_a_path_are_the_quantised_model(other, tmp_path):
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    settings = {"model_init_kwargs": {"device_map": {"": "cpu"}, "dtype": "float32"}}
    more = {"peft_config": LoraConfig(**LORA)}
    by_path = trainer_of(tmp_path, other, settings=settings, quantization_config=quantization, **more)
    model = AutoModelForCausalLM.from_pretrained(
        other, device_map={"": "cpu"}, dtype=torch.float32, quantization_config=quantization
    )
    by_object = trainer_of(tmp_path, model, **more)
    assert by_path.model.is_loaded_in_4bit
    # Loading with four bits draws random numbers before the adapter does.
    drawn = {name: value.detach().clone() for name, value in by_path.model.named_parameters() if value.requires_grad}
    for name, value in drawn.items():
        by_object.model.get_parameter(name).data.copy_(value)
    assert losses(by_path) == pytest.approx(losses(by_object), rel=1e-6)
    with pytest.raises(ValueError, match="already instantiated"):
        trainer_of(tmp_path, tiny_model(), tiny_model(), quantization_config=quantization)
