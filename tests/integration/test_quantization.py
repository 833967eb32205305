"""QLoRA on a CPU: bitsandbytes NF4 weights under a LoRA adapter, with weighted pairs."""

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import LoraConfig
from transformers import BitsAndBytesConfig

from tests.tiny import save_tiny_model, tiny_pairs
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

pytestmark = pytest.mark.long


def test_qlora_trains_with_weights(tmp_path):
    source = save_tiny_model(tmp_path / "model")
    args = WeightedDPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to=[], max_steps=4, logging_steps=1,
        per_device_train_batch_size=4, learning_rate=1e-2, save_strategy="no", gradient_checkpointing=True,
        model_init_kwargs={"device_map": {"": "cpu"}},
    )  # fmt: skip
    trainer = WeightedDPOTrainer(
        str(source),
        args=args,
        train_dataset=Dataset.from_list(tiny_pairs(4)),
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
        peft_config=LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    assert any(isinstance(module, Linear4bit) for module in trainer.model.modules())
    trainer.train()
    losses = [entry["loss/unweighted"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # adapter off is the reference: policy = reference at first
    assert losses[-1] < losses[0]
    trainer.save_model(str(tmp_path / "adapter"))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "adapter" / "weighted_dpo.json").is_file()
