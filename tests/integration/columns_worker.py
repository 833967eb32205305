"""One process of several: `torchrun --nproc_per_node N columns_worker.py MODEL PAIRS OUT ENGINE [ADAPTER]`.

ENGINE is `ddp`, `zero2` or `zero3`; with an adapter's folder, that adapter is trained further. Each rank writes where
the reference log-probs of both datasets came from, and the losses of two steps.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer


def main(model: str, pairs: str, out: str, engine: str, adapter: str = "") -> None:
    deepspeed = None
    if engine != "ddp":
        import deepspeed as engine_library

        engine_library.init_distributed(dist_backend="gloo")
        deepspeed = {
            "train_micro_batch_size_per_gpu": 2,
            "gradient_accumulation_steps": 1,
            "zero_optimization": {"stage": int(engine[-1])},
            "zero_allow_untested_optimizer": True,
        }
    args = WeightedDPOConfig(
        output_dir=out, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=2,
        per_device_train_batch_size=2, logging_steps=1, learning_rate=1e-2, optim="sgd", save_strategy="no",
        lr_scheduler_type="constant", max_length=512, deepspeed=deepspeed, weight_scheme="uniform",
    )  # fmt: skip
    # TRL's pass over the reference hands its results from process to process in the dataset's cache.
    with args.main_process_first():
        dataset = Dataset.from_json(pairs, cache_dir=f"{out}/cache")
    policy = AutoModelForCausalLM.from_pretrained(model)
    if adapter:
        policy = PeftModel.from_pretrained(policy, adapter, is_trainable=True)
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = WeightedDPOTrainer(
        policy, args=args, train_dataset=dataset, eval_dataset=dataset, processing_class=tokenizer
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    found = {"source": trainer.run_record["reference"], "held_reference": trainer.ref_model is not None}
    found |= {"losses": losses, "logps": trainer.eval_dataset["ref_chosen_logps"][:]}
    Path(out, f"rank-{args.process_index}.json").write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
