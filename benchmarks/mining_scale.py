"""How mining grows with the pool: seconds and peak memory of `weighted-dpo mine`, verification included.

    python benchmarks/mining_scale.py POOL [--copies 1 10 100] [--workers 2]

Makes pools of so many copies of the pool's problems. Each copy's problem and solutions name a case number of their own,
so that no two texts are equal. The command runs as a person runs it; memory is resident MiB of its processes, sampled.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from trl_weighted_dpo.core.files import RowFile, write_rows


def copies(pool: Path, count: int) -> Iterator[dict[str, Any]]:
    """The pool's rows `count` times, with numbers changed."""
    for copy in range(count):
        for row in RowFile(pool):
            case = f"Case {1_000_000 + copy}. "
            candidates = [{"solution": case + candidate["solution"]} for candidate in row["candidates"]]
            yield {
                "id": f"{row['id']}-{copy}",
                "problem": case + row["problem"],
                "reference_answer": row["reference_answer"],
                "reference_solution": row["reference_solution"],
                "candidates": candidates,
            }


def run(command: list[str]) -> tuple[float, float]:
    """Seconds, and peak resident MiB of the process with its children."""
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        for part in (process, *process.children(recursive=True)):
            try:
                total += part.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, total)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return time.perf_counter() - started, peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path, help="pool, JSONL or Parquet")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(
        "| copies | candidates | pairs | seconds | candidates/s | peak MiB | pool, MB |\n|---|---|---|---|---|---|---|"
    )
    for count in options.copies:
        with tempfile.TemporaryDirectory() as folder:
            pool, pairs = Path(folder) / "pool.jsonl", Path(folder) / "pairs.parquet"
            write_rows(pool, copies(options.pool, count))
            candidates = sum(len(row["candidates"]) for row in RowFile(pool))
            command = [str(Path(sys.executable).with_name("weighted-dpo")), "mine", str(pool), "-o", str(pairs)]
            seconds, peak = run([*command, "--workers", str(options.workers)])
            size = pool.stat().st_size / 1e6
            rate = candidates / seconds
            made = len(RowFile(pairs))
        print(f"| {count} | {candidates} | {made} | {seconds:.1f} | {rate:.0f} | {peak:.0f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
