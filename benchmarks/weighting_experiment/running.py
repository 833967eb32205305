"""One run: an arm, on one SFT model and one set of pairs, trained by the package's own trainer and evaluated."""

import gc
import re
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from trl_weighted_dpo import MathVerifier, WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.weighting import effective_sample_size

from .arms import Arm
from .data import Problem, load, mined, model_folder, problem_sets, read_pool
from .decoding import greedy

BATCH = 32
WARMUP_STEPS = 5


def run(folder: Path, arm: Arm, sft_seed: int, pair_seed: int, sets: tuple[str, ...]) -> dict[str, Any]:
    """Train and evaluate; which problems were solved stands in `solved`, as a string of 0 and 1 for each set."""
    started = time.perf_counter()
    model, tokenizer = load(model_folder(folder, sft_seed))
    record: dict[str, Any] = {}
    if arm.method != "none":
        pairs = pairs_of(folder, sft_seed, arm.strategy, arm.labels, pair_seed)
        with tempfile.TemporaryDirectory() as output:
            train = train_dpo if arm.method == "dpo" else train_on_chosen
            record |= train(model, tokenizer, pairs, arm, pair_seed, output)
    record["train_seconds"] = round(time.perf_counter() - started, 1)
    record |= evaluate(model, tokenizer, sft_seed, sets)
    record["seconds"] = round(time.perf_counter() - started, 1)
    gc.collect()
    return record


pool = lru_cache(maxsize=3)(read_pool)
sets_of = lru_cache(maxsize=3)(problem_sets)


@lru_cache(maxsize=4)
def pairs_of(folder: Path, sft_seed: int, strategy: str, labels: str, seed: int) -> list[dict[str, Any]]:
    return mined(pool(folder, sft_seed), strategy, labels, seed)


def settings(arm: Arm, seed: int, output: str) -> dict[str, Any]:
    return {
        "output_dir": output,
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": arm.epochs,
        "learning_rate": arm.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP_STEPS,
        "max_length": 256,
        "logging_steps": 5,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "seed": seed,
    }


def train_dpo(model: Any, tokenizer: Any, pairs: list[dict], arm: Arm, seed: int, output: str) -> dict[str, Any]:
    args = WeightedDPOConfig(
        **settings(arm, seed, output),
        beta=arm.beta,
        loss_type=["sigmoid", "sft"] if arm.sft else ["sigmoid"],
        loss_weights=[1.0, arm.sft] if arm.sft else None,
        weight_scheme=arm.scheme,
        weight_lambda=arm.lambda_,
        weight_control_of=arm.control_of,
        dpop_lambda=arm.dpop,
        ref_logps="columns",
        health_check=False,
    )
    trainer = WeightedDPOTrainer(model, args=args, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer)
    weights = np.array(trainer.train_dataset[schema.PAIR_WEIGHT])
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {
        "pairs": len(pairs),
        "steps": trainer.state.global_step,
        "effective_share": effective_sample_size(weights),
        "chosen_displacement": logs[-1]["rewards/chosen"] / arm.beta,
        "rejected_displacement": logs[-1]["rewards/rejected"] / arm.beta,
        "reward_accuracy": logs[-1]["rewards/accuracies"],
    }


def train_on_chosen(model: Any, tokenizer: Any, pairs: list[dict], arm: Arm, seed: int, output: str) -> dict[str, Any]:
    rows = [{"prompt": pair[schema.PROMPT], "completion": pair[schema.CHOSEN]} for pair in pairs]
    trainer = SFTTrainer(
        model,
        args=SFTConfig(**settings(arm, seed, output)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    return {"pairs": len(pairs), "steps": trainer.state.global_step}


def evaluate(model: Any, tokenizer: Any, sft_seed: int, sets: tuple[str, ...]) -> dict[str, Any]:
    """Which problems of the sets the most probable solution solves, and what is wrong where it does not."""
    model.config.use_cache = True
    record: dict[str, Any] = {"solved": {}, "faults": {}}
    with MathVerifier() as verifier:
        for name in sets:
            drawn = sets_of(sft_seed)[name]
            solutions = greedy(model, tokenizer, [problem.text for problem in drawn])
            verdicts = [
                verifier.verify(problem.text, text, reference_answer=str(problem.answer)).verdict.value
                for problem, text in zip(drawn, solutions, strict=True)
            ]
            faults = [
                "none" if verdict == "correct" else fault(problem, text)
                for problem, text, verdict in zip(drawn, solutions, verdicts, strict=True)
            ]
            record["solved"][name] = "".join(str(int(verdict == "correct")) for verdict in verdicts)
            record["faults"][name] = {kind: faults.count(kind) for kind in ("misconception", "slip", "other")}
    return record


def fault(problem: Problem, solution: str) -> str:
    """What is wrong with a wrong solution: planted misconceptions and nothing else, a slip of arithmetic, or other."""
    if solution.strip() in problem.misreadings():
        return "misconception"
    return "slip" if any(not is_true(*found) for found in EQUATION.findall(solution)) else "other"


EQUATION = re.compile(r"^(\d{1,9})([-+*/])(\d{1,9})=(\d{1,9})$", re.MULTILINE)


def is_true(left: str, operator: str, right: str, result: str) -> bool:
    first, second, third = int(left), int(right), int(result)
    return {"+": first + second, "-": first - second, "*": first * second}.get(operator, third) == third and (
        operator != "/" or third * second == first
    )
