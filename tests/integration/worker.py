"""One process of a multi-process run: `torchrun --nproc_per_node N worker.py FOLDER ENGINE BATCH STEPS TRAINER`.

ENGINE is `ddp`, `zero2` or `zero3`; TRAINER is `weighted` (ready weights), `shuffled` (computed ones), or, with LoRA,
`uniform` (ours, all weights 1) or `trl`. Rank 0 writes the log history, and the final parameters; each rank the weights
of the pairs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from tests.tiny import exact_model, perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

PAIRS = 22


def make_trainer(folder: Path, engine: str, batch_size: int, steps: int, kind: str) -> Any:
    deepspeed = None
    if engine != "ddp":
        import deepspeed as engine_library

        engine_library.init_distributed(dist_backend="gloo")
        deepspeed = {
            "train_micro_batch_size_per_gpu": batch_size,
            "gradient_accumulation_steps": 1,
            "zero_optimization": {"stage": int(engine[-1]), "stage3_gather_16bit_weights_on_model_save": True},
            "zero_allow_untested_optimizer": True,
        }
    settings = {
        "output_dir": str(folder / "out"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": batch_size,
        "max_steps": steps,
        "logging_steps": 1,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "deepspeed": deepspeed,
    }
    reference = exact_model() if engine == "ddp" else tiny_model()
    rows = [
        {**row, "weight": 0.25 * (index % 7), "hardness": 0.1 * (index % 10)}
        for index, row in enumerate(tiny_pairs(PAIRS))
    ]
    data = {
        "train_dataset": Dataset.from_list(rows),
        "eval_dataset": Dataset.from_list(rows[:8]),
        "processing_class": tiny_tokenizer(),
    }
    if kind in ("weighted", "shuffled"):
        models = perturbed(reference), perturbed(reference, scale=0.0)
        # The signals are there in both cases; naming a scheme overrides the ready weights.
        scheme = "shuffled" if kind == "shuffled" else "auto"
        return WeightedDPOTrainer(*models, WeightedDPOConfig(weight_scheme=scheme, **settings), **data)
    # An adapter whose base is the reference: both go through the same wrapped model.
    data["peft_config"] = LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    if kind == "trl":
        return DPOTrainer(reference, None, DPOConfig(**settings), **data)
    return WeightedDPOTrainer(reference, None, WeightedDPOConfig(weight_scheme="uniform", **settings), **data)


def main(folder: Path, *given: Any) -> None:
    trainer = make_trainer(folder, *given)
    if "pair_weight" in trainer.train_dataset.column_names:
        weights = trainer.train_dataset["pair_weight"][:]
        (folder / f"weights-{trainer.accelerator.process_index}.json").write_text(json.dumps(weights))
    trainer.train()
    evaluation = trainer.evaluate()
    trainer.save_model(str(folder / "model"))
    if trainer.accelerator.is_main_process:
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        (folder / "history.json").write_text(json.dumps({"train": history, "eval": evaluation}))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
