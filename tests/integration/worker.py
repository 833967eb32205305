"""One process of a multi-process run: `worker.py FOLDER ENGINE BATCH STEPS TRAINER [CHECKPOINT]`, started by torchrun
or `accelerate launch`.

ENGINE is `ddp`, `zero2` or `zero3`, or `launched` for what `accelerate launch` set up. TRAINER is `weighted` (ready
weights), `shuffled` (computed ones), `resumable` (ready weights, pairs in their order, AdamW, a schedule, checkpoints),
or, with LoRA, `uniform` (ours, all weights 1) or `trl`. Each rank writes its log history and the weights of the pairs,
rank 0 the model and the parameters as they are in memory.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from safetensors.torch import save_file
from trl import DPOConfig, DPOTrainer

from tests.tiny import exact_model, perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

PAIRS = 22
CHECKPOINT_STEPS = 3
WEIGHTS = [0.25 * (index % 7) for index in range(PAIRS)]


def make_trainer(folder: Path, engine: str, batch_size: int, steps: int, kind: str) -> Any:
    deepspeed = None
    if engine.startswith("zero") or os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        import deepspeed as engine_library

        engine_library.init_distributed(dist_backend="gloo")
    if engine.startswith("zero"):
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
    if kind == "resumable":
        settings |= {
            "optim": "adamw_torch", "learning_rate": 1e-3, "lr_scheduler_type": "linear", "max_grad_norm": 1.0,
            "save_strategy": "steps", "save_steps": CHECKPOINT_STEPS, "train_sampling_strategy": "sequential",
        }  # fmt: skip
    reference = exact_model() if engine == "ddp" else tiny_model()
    rows = [
        {**row, "weight": weight, "hardness": 0.1 * (index % 10)}
        for index, (row, weight) in enumerate(zip(tiny_pairs(PAIRS), WEIGHTS, strict=True))
    ]
    data = {
        "train_dataset": Dataset.from_list(rows),
        "eval_dataset": Dataset.from_list(rows[: 7 if kind == "resumable" else 8]),
        "processing_class": tiny_tokenizer(),
    }
    if kind in ("weighted", "shuffled", "resumable"):
        models = perturbed(reference), perturbed(reference, scale=0.0)
        # The signals are there in all cases; naming a scheme overrides the ready weights.
        scheme = "shuffled" if kind == "shuffled" else "auto"
        return WeightedDPOTrainer(*models, WeightedDPOConfig(weight_scheme=scheme, **settings), **data)
    # An adapter whose base is the reference: both go through the same wrapped model.
    data["peft_config"] = LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    if kind == "trl":
        return DPOTrainer(reference, None, DPOConfig(**settings), **data)
    return WeightedDPOTrainer(reference, None, WeightedDPOConfig(weight_scheme="uniform", **settings), **data)


def main(folder: Path, engine: str, batch_size: int, steps: int, kind: str, checkpoint: str | None) -> None:
    trainer = make_trainer(folder, engine, batch_size, steps, kind)
    rank = trainer.accelerator.process_index
    if "pair_weight" in trainer.train_dataset.column_names:
        weights = trainer.train_dataset["pair_weight"][:]
        (folder / f"weights-{rank}.json").write_text(json.dumps(weights))
    trainer.train(resume_from_checkpoint=checkpoint)
    evaluation = trainer.evaluate()
    trainer.save_model(str(folder / "model"))
    parameters = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        save_file(
            {name: value.contiguous().clone() for name, value in parameters.items()}, folder / "in_memory.safetensors"
        )
    # Speeds differ from rank to rank.
    evaluation = {
        name: value for name, value in evaluation.items() if "runtime" not in name and "per_second" not in name
    }
    found = {
        "engine": type(trainer.model_wrapped).__name__,
        "train": [entry for entry in trainer.state.log_history if "loss" in entry],
        "eval": evaluation,
    }
    (folder / f"history-{rank}.json").write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    given = sys.argv[6:]
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], given[0] if given else None)
