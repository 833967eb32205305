"""Makes the tiny world's SFT model, with TRL's `SFTTrainer`: a base model from scratch, then SFT on flawed solutions.

python examples/tiny_math/train_sft.py base -o outputs/tiny_math/base
python examples/tiny_math/train_sft.py sft --base outputs/tiny_math/base --seed 0 -o outputs/tiny_math/sft-0

The base model learns to read and to calculate from solutions without a fault. SFT goes on with solutions into which
misconceptions are planted, with a learning rate that falls to zero: a model whose SFT ends at a high learning rate
gains from any further training with a low one, which would pass for a gain of DPO.
"""

import argparse
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset
from model import make_model, save, train_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
from world import BASIC, LARGER, Problem, problems

BATCH = 64
MISCONCEPTION_SHARE = 0.5
SEEDS = {"base": 1, "sft": 100}
"""First seeds of the training problems; those of other data lie elsewhere (`make_problems.py`)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("base", "sft"))
    parser.add_argument("-o", "--output-dir", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="the base model's folder, for sft")
    parser.add_argument("--seed", type=int, default=0, help="of the data, their order and an untrained model")
    parser.add_argument("--steps", type=int, help=f"of {BATCH} solutions; 3000 for base, 600 for sft")
    options = parser.parse_args()
    if options.stage == "sft" and options.base is None:
        parser.error("sft starts from a base model: give its folder as --base")

    is_base = options.stage == "base"
    steps = options.steps or (3000 if is_base else 600)
    difficulty = BASIC if is_base else LARGER
    drawn = itertools.islice(problems(SEEDS[options.stage] + options.seed, difficulty), steps * BATCH)
    rows = list(solved(drawn, 0.0 if is_base else MISCONCEPTION_SHARE, options.seed))
    if is_base:
        tokenizer = train_tokenizer([row["prompt"] + row["completion"] for row in rows[:4000]])
        model = make_model(tokenizer, seed=options.seed)
    else:
        tokenizer = AutoTokenizer.from_pretrained(options.base)
        model = AutoModelForCausalLM.from_pretrained(options.base)
    args = SFTConfig(
        output_dir=str(options.output_dir),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=2e-3 if is_base else 1e-3,
        lr_scheduler_type="cosine",
        warmup_steps=min(100, steps // 10),
        adam_beta2=0.98,
        weight_decay=0.01,
        max_length=None,
        logging_steps=100,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        train_sampling_strategy="group_by_length",
        seed=options.seed,
    )
    trainer = SFTTrainer(model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    # Training switches it off.
    trainer.model.config.use_cache = True
    save(trainer.model, tokenizer, options.output_dir, rows[0]["prompt"] + rows[0]["completion"])


def solved(drawn: Iterator[Problem], share: float, seed: int) -> Iterator[dict[str, str]]:
    """Prompts and completions; each misconception that could change a solution does so with the probability `share`."""
    rng = random.Random(f"misconceptions {seed}")
    for problem in drawn:
        planted = {name for name in problem.temptations if rng.random() < share}
        try:
            solution = problem.solution(planted)
        except ValueError:
            solution = problem.solution()
        yield {"prompt": problem.text + "\n", "completion": solution}


if __name__ == "__main__":
    main()
