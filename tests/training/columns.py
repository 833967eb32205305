"""Pairs that bring reference log-probs, as a scored pool leaves them, and trainers of them."""

import copy

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.core.fingerprint import fingerprint, token_digest

PAIRS = 12
LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}


def make(
    folder, tmp_path, rows, model=None, held_out=None, peft_config=None, ref_model=None, quantization=None, **settings
):
    arguments = {"per_device_train_batch_size": 4, "report_to": [], "save_strategy": "no", "max_length": 512}
    arguments |= {"bf16": False}
    args = WeightedDPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, gradient_checkpointing=False,
        **{**arguments, **settings},
    )  # fmt: skip
    return WeightedDPOTrainer(
        str(folder) if model is None else model,
        ref_model,
        args,
        train_dataset=Dataset.from_list(rows) if isinstance(rows, list) else rows,
        eval_dataset=None if held_out is None else Dataset.from_list(held_out),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=peft_config,
        quantization_config=quantization,
    )


def with_columns(folder, tmp_path, rows, model=None, **settings):
    """The pairs as they come from a scored pool: log-probs by TRL's own pass over the reference."""
    policy = None if settings else copy.deepcopy(model)
    scored = make(folder, tmp_path, rows, policy, precompute_ref_log_probs=True, **settings)
    model = AutoModelForCausalLM.from_pretrained(folder) if model is None else model
    identity = fingerprint(model, scored.processing_class, 512, "keep_start", "float32")
    columns = []
    for row in scored.train_dataset:
        digests = [
            token_digest(row["prompt_ids"], row[f"{side}_ids"], 512, "keep_start") for side in ("chosen", "rejected")
        ]
        columns.append(
            {
                "ref_chosen_logps": row["ref_chosen_logps"],
                "ref_rejected_logps": row["ref_rejected_logps"],
                "ref_fingerprint": identity.to_json(),
                "ref_digest": "".join(digests),
            }
        )
    return [{**row, **more} for row, more in zip(rows, columns, strict=True)]
