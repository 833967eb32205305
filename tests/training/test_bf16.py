"""Training in bfloat16 on a CPU: under autocast, and with weights in bfloat16."""

import pytest
import torch
from datasets import Dataset

from tests.arena import weighted
from tests.tiny import perturbed, tiny_model, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

WEIGHTS = [0.5, 2.0, 1.25, 0.0, 0.25, 1.0, 1.5, 0.75]
EXACT = ("weights/mean", "weights/min", "weights/max", "weights/ess", "num_tokens")


def history(folder, dtype, autocast):
    reference = tiny_model()
    args = WeightedDPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=autocast, gradient_checkpointing=False, report_to=[], max_steps=4,
        per_device_train_batch_size=4, logging_steps=1, learning_rate=1e-3, save_strategy="no",
    )  # fmt: skip
    trainer = WeightedDPOTrainer(
        perturbed(reference).to(dtype), reference.to(dtype), args, train_dataset=Dataset.from_list(weighted(WEIGHTS)),
        processing_class=tiny_tokenizer(),
    )  # fmt: skip
    trainer.train()
    assert trainer.model.dtype == dtype
    return [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["autocast", "weights"])
def test_losses_are_near_those_in_float32_and_weights_the_same(tmp_path, dtype):
    exact = history(tmp_path / "exact", torch.float32, autocast=False)
    rounded = history(tmp_path / "rounded", dtype, autocast=True)
    assert exact[0]["loss"] - exact[-1]["loss"] > 0.1
    assert [entry["loss"] for entry in rounded] != [entry["loss"] for entry in exact]
    for step, (expected, measured) in enumerate(zip(exact, rounded, strict=True)):
        for name in EXACT:
            assert measured[name] == expected[name], (step, name)
        assert measured["loss"] == pytest.approx(expected["loss"], abs=0.03), step
        assert measured["logps/chosen"] == pytest.approx(expected["logps/chosen"], rel=5e-3), step
