"""The experiment's problems, models, pools and pairs: made once, then read from its folder."""

import subprocess
import sys
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

from examples.tiny_math import world
from examples.tiny_math.world import BASIC, HARDER, Problem
from transformers import AutoModelForCausalLM, AutoTokenizer

from trl_weighted_dpo import MathVerifier, PairingConfig, Scorer, ScoringConfig, mine_pairs, score_rows
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile, write_rows

SIZES = {"test": 2000, "harder": 600, "validation": 1000, "pool": 1500}
FIRST_SEEDS = {"test": 9001, "harder": 9002, "validation": 9003, "pool": 9100}
SAMPLES = 8


def problem_sets(sft_seed: int) -> dict[str, list[Problem]]:
    """The problems of each purpose, without overlap; the pool's are others for each SFT model."""
    seeds = {**FIRST_SEEDS, "pool": FIRST_SEEDS["pool"] + sft_seed}
    wanted = {name: (size, seeds[name], HARDER if name == "harder" else BASIC) for name, size in SIZES.items()}
    return world.problem_sets(wanted)


def model_folder(folder: Path, sft_seed: int) -> Path:
    return folder / f"sft-{sft_seed}"


def train_models(folder: Path, sft_seeds: Iterable[int]) -> None:
    """The base model, and an SFT model for each seed, those that are not there yet."""
    script = str(Path(__file__).resolve().parents[2] / "examples" / "tiny_math" / "train_sft.py")
    base = folder / "base"
    if not (base / "model.safetensors").is_file():
        subprocess.run([sys.executable, script, "base", "-o", str(base)], check=True)
    for seed in sft_seeds:
        target = model_folder(folder, seed)
        if not (target / "model.safetensors").is_file():
            arguments = ["sft", "--base", str(base), "--seed", str(seed), "-o", str(target)]
            subprocess.run([sys.executable, script, *arguments], check=True)


def load(folder: Path) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def make_pool(folder: Path, sft_seed: int) -> None:
    """Sample, verify and score the pool of an SFT model; once."""
    path = pool_path(folder, sft_seed)
    if path.is_file():
        return
    from .decoding import sample

    model, tokenizer = load(model_folder(folder, sft_seed))
    drawn = problem_sets(sft_seed)["pool"]
    solutions = sample(model, tokenizer, [problem.text for problem in drawn], SAMPLES, seed=sft_seed)
    rows = []
    with MathVerifier() as verifier:
        for index, (problem, texts) in enumerate(zip(drawn, solutions, strict=True)):
            row = problem.row(f"pool-{index}")
            reference = {name: row[name] for name in (schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)}
            candidates = [
                {schema.SOLUTION: text, schema.PROFILE: verifier.verify(problem.text, text, **reference).to_dict()}
                for text in texts
            ]
            rows.append({**row, schema.CANDIDATES: candidates})
    scorer = Scorer(model, tokenizer, ScoringConfig(max_length=256, batch_tokens=4096))
    write_rows(path, list(score_rows(rows, scorer)))


def pool_path(folder: Path, sft_seed: int) -> Path:
    return folder / f"pool-{sft_seed}.jsonl"


def mined(pool: list[dict[str, Any]], strategy: str, labels: str, seed: int) -> list[dict[str, Any]]:
    """Pairs, one of each problem; those of both strategies have the same problems and the same chosen solutions."""
    if labels == "outcome":
        pool = [_outcome_only(row) for row in pool]
    config = PairingConfig(strategy=strategy, chosen="random", seed=seed)
    pairs, _ = mine_pairs(pool, config=config, progress=False)
    return [{**pair, schema.PROMPT: pair[schema.PROMPT] + "\n"} for pair in pairs]


def read_pool(folder: Path, sft_seed: int) -> list[dict[str, Any]]:
    return list(RowFile(pool_path(folder, sft_seed)))


def _outcome_only(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a check of the final answer alone would check it."""
    row = deepcopy(row)
    for candidate in row[schema.CANDIDATES]:
        scores = candidate[schema.PROFILE][schema.SCORES]
        candidate[schema.PROFILE][schema.SCORES] = {
            name: score if name == "final_answer" else None for name, score in scores.items()
        }
    return row
