"""How fast and lean `WeightedDPOTrainer` trains, beside `DPOTrainer` of the installed trl.

    python -m benchmarks.training [--pool POOL] [--device cuda] [--quick] [--output RESULTS.md]

Every contestant has the same weights, pairs and micro-batches, and they take turns, step by step, so that a busy
machine burdens all. On a CPU a Qwen2 of 22 M parameters in float32, its memory with a vocabulary of 152 000 too; on a
GPU one of Qwen2.5-0.5B's dimensions in bfloat16. Weights are random. Pairs are mined from a pool of GSM8K solutions if
one is named, else generated with the lengths of such pairs. Prints Markdown as it goes.
"""

import argparse
import gc
import logging
import os
import platform
import sys
import tempfile
import traceback
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Before torch and transformers are imported, and for the processes that measure memory.
    for name in ("HF_HUB_OFFLINE", "TQDM_DISABLE"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")

import torch
from benchmarks.training_speed import contestants as field
from benchmarks.training_speed.contestants import Contestant, Racer, Size, make_racer
from benchmarks.training_speed.counting import count_positions
from benchmarks.training_speed.memory import Memory, gpu_memory, process_memory
from benchmarks.training_speed.pairs import World, generated_world, lengths, mined_world
from benchmarks.training_speed.speed import AGREEMENT, check_agreement, parts, race, warm_up
from benchmarks.training_speed.tables import memory_table, parts_table, positions_table, speed_table, weighting_lines
from benchmarks.training_speed.weighting import weighting_cost

from trl_weighted_dpo import __version__

MICRO_BATCHES = 8
"""Micro-batches that rounds go through."""
MAIN_ONES = [field.TRL_DEFAULT, field.TRL_PRECOMPUTED, field.OURS]
LIBRARIES = ("trl", "transformers", "torch", "accelerate", "datasets")


class Report:
    """Lines that are printed at once and kept in the output file as they come."""

    def __init__(self, output: Path | None) -> None:
        self._output, self._lines = output, list[str]()

    def add(self, *lines: str) -> None:
        print("\n".join(lines), flush=True)
        self._lines += lines
        if self._output:
            self._output.write_text("\n".join(self._lines).strip() + "\n", encoding="utf-8")


def progress(text: str) -> None:
    print(f"  … {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, help="pool of GSM8K solutions to mine pairs from; generated pairs if none")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--pairs", type=int, nargs="+", help="pairs of a micro-batch (CPU: 4, GPU: 4 8 16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads, on a CPU")
    parser.add_argument("--rounds", type=int, help="timed steps of each contestant (CPU: 5, GPU: 15)")
    parser.add_argument(
        "--sections", nargs="+", choices=("speed", "long", "memory"), default=["speed", "long", "memory"]
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds, one number of threads, no long prompts, fewer contestants for memory",
    )
    parser.add_argument("--output", type=Path, help="Markdown file to write as well")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.pairs = options.pairs or ([4, 8, 16] if on_gpu else [4])
    options.rounds = options.rounds or ((5 if on_gpu else 2) if options.quick else (15 if on_gpu else 5))
    if options.quick:
        options.threads = options.threads[:1]
        options.sections = [section for section in options.sections if section != "long"]
    logging.getLogger("trl_weighted_dpo").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    count = MICRO_BATCHES * max(options.pairs)
    world = mined_world(options.pool, count) if options.pool else generated_world(count)
    report = Report(options.output)
    report.add(*header(options, world))
    if on_gpu:
        on_a_gpu(report, world, options)
    else:
        on_a_cpu(report, world, options)
    report.add(f"Load average at the end: {load()}.")


def header(options: argparse.Namespace, world: World) -> list[str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    machine = f"{platform.machine()}, {processor()}, {os.cpu_count()} cores"
    if options.device == "cuda":
        machine = f"{torch.cuda.get_device_name()}; {machine}"
    command = "python -m benchmarks.training " + " ".join(
        Path(word).name if Path(word).exists() else word for word in sys.argv[1:]
    )
    short, long = (lengths(pairs, world.tokenizer) for pairs in (world.short, world.long))
    return [
        f"# Training beside trl {version('trl')}: time and memory of a step",
        "",
        f"Command: `{command.strip()}`, with trl-weighted-dpo {__version__}, {libraries}, Python "
        f"{platform.python_version()}, on {machine}; load average at the start: {load()}.",
        "",
        f"Pairs: {world.source}. Mean tokens: prompt {short.prompt:.0f}, chosen {short.chosen:.0f}, rejected "
        f"{short.rejected:.0f}, of which the last two begin with {short.common:.1f} in common; long prompts have "
        f"{long.prompt:.0f}.",
        "",
        "A step is forward and backward of one micro-batch as the Trainer does it, with the metrics. Times are medians "
        "(least–most) over rounds in which the contestants take turns on the same micro-batch; `×` is the median "
        "(least–most) of the ratios to ours, round by round: how many times faster ours is.",
        "",
    ]


def on_a_cpu(report: Report, world: World, options: argparse.Namespace) -> None:
    for pairs in options.pairs:
        if "speed" in options.sections:
            compare(report, field.SMALL, world, "short", pairs, options, field.contestants("cpu"))
        if "long" in options.sections:
            compare(report, field.SMALL, world, "long", pairs, options, MAIN_ONES)
        if "memory" in options.sections:
            compare_memory(report, world, pairs, options)


def on_a_gpu(report: Report, world: World, options: argparse.Namespace) -> None:
    for checkpointing in (False, True):
        size = replace(field.HALF_BILLION, checkpointing=checkpointing)
        for pairs in options.pairs:
            if "speed" in options.sections:
                compare(report, size, world, "short", pairs, options, field.contestants("cuda"))
                free_gpu()
        if "long" in options.sections:
            compare(report, size, world, "long", options.pairs[0], options, field.contestants("cuda"))
            free_gpu()


def free_gpu() -> None:
    gc.collect()
    torch.cuda.empty_cache()


def compare(
    report: Report,
    size: Size,
    world: World,
    kind: str,
    pairs: int,
    options: argparse.Namespace,
    entrants: list[Contestant],
) -> None:
    """Positions, time and parts of a step; on a GPU memory too."""
    on_gpu = size.device == "cuda"
    rows = (world.short if kind == "short" else world.long)[: MICRO_BATCHES * pairs]
    what = f"{pairs} pairs{', long prompts' if kind == 'long' else ''}"
    report.add(f"## {what}{', gradient checkpointing' if size.checkpointing else ''}", "")
    report.add(f"{size.name}, {str(size.dtype).removeprefix('torch.')}.", "")
    with tempfile.TemporaryDirectory() as folder:
        if not on_gpu:
            torch.set_num_threads(max(options.threads))
        racers = ready(report, size, world.tokenizer, rows, pairs, entrants, folder)
        report.add(*positions_table({name: count_positions(racer) for name, racer in racers.items()}, racers))
        for threads in [0] if on_gpu else options.threads:
            if threads:
                torch.set_num_threads(threads)
                report.add(f"{threads} thread{'s' if threads > 1 else ''}:", "")
            times = race(racers, options.rounds, progress)
            report.add(*speed_table(times, on_gpu))
        report.add(
            *parts_table({name: parts(racer, pairs, 1 if options.quick else 3) for name, racer in racers.items()})
        )
        if field.OURS_UNIFORM.name in racers and field.TRL_PRECOMPUTED.name in racers:
            cost = weighting_cost(racers[field.OURS.name], racers[field.TRL_PRECOMPUTED.name])
            ours, uniform = times[field.OURS.name].step, times[field.OURS_UNIFORM.name].step
            report.add(*weighting_lines(cost, ours, uniform))
        if on_gpu:
            report.add(*memory_table({name: gpu_memory(racer) for name, racer in racers.items()}))


def ready(
    report: Report,
    size: Size,
    tokenizer: Any,
    rows: list[dict[str, Any]],
    pairs: int,
    entrants: list[Contestant],
    folder: str,
) -> dict[str, Racer]:
    """The contestants, made and warmed up, by name. A rival that does not run here is reported, and the others go on.

    Raises:
        `ValueError`: If those that train without weights do not have the same first loss.
    """
    racers, losses = {}, {}
    for contestant in entrants:
        try:
            racer = make_racer(contestant, size, tokenizer, rows, pairs, folder)
            loss = warm_up(racer, MICRO_BATCHES if size.device == "cuda" else 1)
        except Exception as error:
            if contestant == field.OURS:
                raise
            traceback.print_exception(error)
            report.add(f"{contestant.name} does not run here: {type(error).__name__}: {error}", "")
            continue
        progress(f"{contestant.name}: first loss {loss:.6f}")
        racers[contestant.name] = racer
        if not contestant.weighted:
            losses[contestant.name] = loss
    check_agreement(losses, AGREEMENT[size.dtype])
    return racers


def compare_memory(report: Report, world: World, pairs: int, options: argparse.Namespace) -> None:
    threads = max(options.threads)
    report.add(f"## Memory, {pairs} pairs", "")
    for size in (field.SMALL_WIDE,) if options.quick else (field.SMALL_WIDE, field.SMALL):
        report.add(f"{size.name}, float32.", "")
        found: dict[str, Memory] = {}
        for contestant in MAIN_ONES if options.quick else field.contestants("cpu"):
            memory = process_memory(contestant, size, world.tokenizer, world.short[:pairs], threads)
            progress(f"{contestant.name}: {memory}")
            found[contestant.name] = memory
        report.add(*memory_table(found))


def load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "processor of unknown name"


if __name__ == "__main__":
    main()
