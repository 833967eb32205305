"""Does weighting help, and do hard negatives? Arms trained on pairs of the same pool, in the tiny world.

    python -m benchmarks.weighting_experiment models    # base and SFT models, pools
    python -m benchmarks.weighting_experiment screen    # every arm, 3 seeds, validation problems
    python -m benchmarks.weighting_experiment final     # finalists, 5 x 3 seeds, test and harder problems
    python -m benchmarks.weighting_experiment why       # weights beside gradients
    python -m benchmarks.weighting_experiment report --output benchmarks/results

All of it lies in --folder, outputs/experiment if left out, and each step takes up what an earlier one left: a run that
stands in FOLDER/runs-*.jsonl is not made again. Runs have one thread each; --workers says how many go on at once.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    # Before torch and transformers are imported.
    for name, value in {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")

SFT_SEEDS, PAIR_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("models", "screen", "final", "why", "report"))
    parser.add_argument("--folder", type=Path, default=Path("outputs/experiment"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="where the report goes")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.step == "models":
        from .data import make_pool, train_models

        train_models(options.folder, SFT_SEEDS)
        for seed in SFT_SEEDS:
            make_pool(options.folder, seed)
    elif options.step in ("screen", "final") and options.worker is None:
        command = [sys.executable, "-m", "benchmarks.weighting_experiment", *sys.argv[1:]]
        workers = [subprocess.Popen([*command, "--worker", str(index)]) for index in range(options.workers)]
        if sum([worker.wait() != 0 for worker in workers]):
            raise SystemExit("A worker failed; what the others did is kept.")
    elif options.step in ("screen", "final"):
        work(options.step, options.folder, options.worker, options.workers)
    elif options.step == "why":
        from .why import measure

        measure(options.folder, SFT_SEEDS)
    else:
        from .report import write

        write(options.folder, options.output or options.folder)


def tasks(step: str) -> list[tuple]:
    """Runs in order: arm, SFT seed, pair seed."""
    from .arms import screening
    from .finalists import FINALISTS

    if step == "screen":
        return [(arm, seed, seed) for seed in SFT_SEEDS for arm in screening()]
    return [
        (arm, sft_seed, pair_seed)
        for pair_seed in PAIR_SEEDS
        for sft_seed in SFT_SEEDS
        for arm in FINALISTS
        if arm.method != "none" or pair_seed == 0
    ]


def work(step: str, folder: Path, worker: int, workers: int) -> None:
    import datasets
    import torch
    import transformers

    from .running import run

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    done = {key(record) for record in read_runs(folder)}
    sets = ("validation",) if step == "screen" else ("test", "harder")
    mine = [task for index, task in enumerate(tasks(step)) if index % workers == worker]
    for number, (arm, sft_seed, pair_seed) in enumerate(mine, 1):
        record = {"step": step, "arm": asdict(arm), "name": arm.name, "sft_seed": sft_seed, "pair_seed": pair_seed}
        if key(record) in done:
            continue
        record |= run(folder, arm, sft_seed, pair_seed, sets)
        with (folder / f"runs-{worker}.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        solved = {name: round(marks.count("1") / len(marks), 4) for name, marks in record["solved"].items()}
        print(f"[{number}/{len(mine)}] {arm.name}: {solved} in {record['seconds']} s", flush=True)


def read_runs(folder: Path) -> list[dict]:
    files = sorted(folder.glob("runs-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def key(record: dict) -> tuple:
    return record["step"], json.dumps(record["arm"], sort_keys=True), record["sft_seed"], record["pair_seed"]


if __name__ == "__main__":
    main()
