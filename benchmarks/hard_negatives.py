"""Hard negatives of a real pool, for reading: are they truly wrong, near right, and is the first faulty step right?

    python benchmarks/hard_negatives.py POOL TRAIN --output FOLDER [--sample 50]

Trains a tiny model on the worked solutions of TRAIN (JSONL, may be gzipped; some minutes on two cores), scores
POOL with it, mines, and writes to FOLDER the scored pool, the pairs, the mining report and a sample of the pairs with
their texts and evidence, stratified by wrongness and absurdity. The texts are the pool's, so FOLDER is not for
committing; the readings are: see results/hard_negatives.md.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, set_seed

from trl_weighted_dpo import MathVerifier
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile, write_rows

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def train_model(train: Path, folder: Path, steps: int, seed: int = 0) -> None:
    """A Qwen2 of 0.7 million parameters that has seen some of the worked solutions: enough for words and form."""
    from benchmarks.byte_tokenizer import train_tokenizer

    with gzip.open(train, "rt") if train.suffix == ".gz" else train.open() as file:
        rows = [json.loads(line) for line in file]
    texts = [f"{row['problem']}\n{row['reference_solution'].replace('#### ', 'A: ')}" for row in rows]
    tokenizer = train_tokenizer(texts, vocab_size=2048)
    set_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    rng = random.Random(seed)
    for step in range(steps):
        batch = [text + tokenizer.eos_token for text in rng.choices(texts, k=8)]
        tokens = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=256)
        # Padding is EOS too: only the first one of a text is learnt.
        labels = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, -100)
        loss = model(**tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stratified(pairs: list[dict[str, Any]], size: int, seed: int = 0) -> list[dict[str, Any]]:
    """As many pairs of each tercile of wrongness with and without absurdity, as far as there are."""
    bounds = np.quantile([pair[schema.REJECTED_WRONGNESS] for pair in pairs], (1 / 3, 2 / 3))
    strata: dict[tuple[int, bool], list[dict[str, Any]]] = defaultdict(list)
    for pair in pairs:
        wrongness = int(np.searchsorted(bounds, pair[schema.REJECTED_WRONGNESS]))
        strata[wrongness, pair[schema.REJECTED_ABSURDITY] > 0].append(pair)
    rng = random.Random(seed)
    for stratum in strata.values():
        rng.shuffle(stratum)
    sample: list[dict[str, Any]] = []
    while len(sample) < min(size, len(pairs)):
        for key in sorted(strata):
            if strata[key] and len(sample) < size:
                sample.append(
                    {"stratum": f"wrongness {key[0] + 1}/3, {'absurd' if key[1] else 'not absurd'}"} | strata[key].pop()
                )
    return sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1200)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    model, scored, mined = (options.output / name for name in ("model", "scored.parquet", "pairs.parquet"))
    if not model.exists():
        train_model(options.train, model, options.steps)
    program = str(Path(sys.executable).with_name("weighted-dpo"))
    subprocess.run([program, "score", str(options.pool), "--model", str(model), "-o", str(scored)], check=True)
    subprocess.run([program, "mine", str(scored), "-o", str(mined)], check=True)
    rows = {row["id"]: row for row in RowFile(options.pool)}
    verifier = MathVerifier()
    sample = stratified(list(RowFile(mined)), options.sample)
    for pair in sample:
        row = rows[pair[schema.PROBLEM_ID]]
        profile = verifier.verify(pair["prompt"], pair["rejected"], row["reference_answer"], row["reference_solution"])
        pair["reference_solution"] = row["reference_solution"]
        pair["profile"] = profile.to_dict()
    write_rows(options.output / "sample.jsonl", sample)
    print(f"{len(sample)} pairs to read in {options.output / 'sample.jsonl'}")


if __name__ == "__main__":
    main()
