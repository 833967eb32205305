"""How `verify_many` scales to two processes, and how much memory a long stream takes.

    python benchmarks/verify_many.py FILE... [--passes 5] [--rows 1000000] [--workers 2]

Reads pool files and solution files. Scaling: solutions per second with one worker and with several, as medians over
passes that take turns, so that a busy machine burdens both; a pass lasts at least `--seconds` and leaves out the start
of the processes. Memory: resident MiB of this process and of its children while `--rows` solutions, the files over and
over, stream through.
"""

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from trl_weighted_dpo.core.checks import solution_rows
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.verifier import MathVerifier, VerificationReport


def rate(verifier: MathVerifier, rows: list[dict[str, Any]], workers: int, seconds: float) -> float:
    """Solutions per second of whole passes over `rows`, once every process runs."""
    profiles = verifier.verify_many(itertools.cycle(rows), workers)
    warm_up = 200 * workers
    for _ in itertools.islice(profiles, warm_up):
        pass
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < seconds:
        count += sum(1 for _ in itertools.islice(profiles, len(rows)))
    elapsed = time.perf_counter() - started
    profiles.close()
    return count / elapsed


def measure_scaling(verifier: MathVerifier, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    rates: dict[int, list[float]] = {1: [], options.workers: []}
    for _ in range(options.passes):
        for workers, measured in rates.items():
            measured.append(rate(verifier, rows, workers, options.seconds))
    print("| workers | solutions/s, median | least | most |\n|---|---|---|---|")
    for workers, measured in rates.items():
        print(f"| {workers} | {statistics.median(measured):.0f} | {min(measured):.0f} | {max(measured):.0f} |")
    alone, together = (statistics.median(measured) for measured in rates.values())
    print(f"\n{options.workers} workers against 1: {together / alone:.2f} x\n")


class Memory:
    """Samples of the resident memory of this process and of its children, in MiB, taken beside the work."""

    def __init__(self) -> None:
        self.peaks = (0.0, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            self.peaks = tuple(map(max, self.peaks, self.now()))

    @staticmethod
    def now() -> tuple[float, float]:
        process, children = psutil.Process(), 0
        for child in process.children(recursive=True):
            try:
                children += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return process.memory_info().rss / 2**20, children / 2**20

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def measure_memory(verifier: MathVerifier, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print("| solutions | this process, MiB | its children, MiB |\n|---|---|---|")
    report = VerificationReport()
    stream: Iterator[Mapping[str, Any]] = itertools.islice(itertools.cycle(rows), options.rows)
    marks = {options.rows * part // 100: part for part in (1, 10, 25, 50, 75, 100)}
    started = time.perf_counter()
    with Memory() as memory:
        for number, _ in enumerate(verifier.verify_many(stream, options.workers, report=report), start=1):
            if number in marks:
                print("| {} ({} %) | {:.0f} | {:.0f} |".format(number, marks[number], *memory.now()), flush=True)
    seconds = time.perf_counter() - started
    print("| peak | {:.0f} | {:.0f} |".format(*memory.peaks))
    print(f"\n{report.solutions} solutions in {seconds:.0f} s, {report.solutions / seconds:.0f}/s: {report.to_dict()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="pool or solution files, as JSONL")
    parser.add_argument("--workers", type=int, default=2, help="processes to compare with one")
    parser.add_argument("--passes", type=int, default=5, help="passes for each number of workers; 0 leaves scaling out")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a pass lasts at least")
    parser.add_argument("--rows", type=int, default=1_000_000, help="solutions of the stream; 0 leaves memory out")
    options = parser.parse_args()
    rows = [row for file in options.files for given in read_jsonl(file) for row in solution_rows(given)]
    print(f"{len(rows)} solutions of {', '.join(file.name for file in options.files)}\n")
    with MathVerifier() as verifier:
        if options.passes:
            measure_scaling(verifier, rows, options)
        if options.rows:
            measure_memory(verifier, rows, options)


if __name__ == "__main__":
    main()
