"""Verifies mutated solutions and counts what must not happen: exceptions, hangs, profiles that are not in order.

    python -m benchmarks.fuzz_verifier [FILES...] [--count 200000] [--seed 0] [--workers 2] [--failures FOLDER]

Reads pool files (rows with `candidates`) and solution files (rows with `solution`); without any, it makes up solutions.
Mutation `i` of a seed is always the same. A watchdog ends a worker that is at one solution for `--limit` seconds, notes
it as a hang and goes on behind it. Prints a Markdown summary; inputs that failed are written to `--failures`. Times are
processor times of the verifying process, so that other work on the machine does not count, nor do symbolic workers.
"""

import argparse
import json
import multiprocessing
import random
import statistics
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.text_mutations import Row, mutated
from tests.verifier.true_arithmetic import NOTATIONS
from tests.verifier.worked import any_worked

from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier

CHUNK = 200
START_SECONDS = 120.0
_MADE_UP = 2_000
_STARTING = -1


def read(path: Path) -> list[Row]:
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        texts = [candidate["solution"] for candidate in fields.get("candidates", ())] or [fields["solution"]]
        shared = fields["problem"], fields.get("reference_answer"), fields.get("reference_solution")
        rows += [Row(shared[0], text, *shared[1:]) for text in texts]
    return rows


def made_up(seed: int) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for _ in range(_MADE_UP):
        story = any_worked(rng)
        lines = [NOTATIONS[name](rng) for name in rng.sample(sorted(NOTATIONS), rng.randint(0, 3))]
        steps = [*story.steps, *lines]
        rng.shuffle(steps)
        rows.append(Row(story.problem, "\n".join((*steps, f"A: {story.answer}")), story.answer, story.reference))
    return rows


@dataclass
class Tally:
    """What came out of a number of mutations."""

    verdicts: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    slowest: tuple[float, int, int] = (0.0, -1, 0)
    failures: list[tuple[int, str]] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.verdicts += other.verdicts
        self.undecided += other.undecided
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.failures += other.failures
        self.hangs += other.hangs


def check(verifier: MathVerifier, arguments: dict[str, Any], index: int, tally: Tally) -> None:
    """Verifies one mutation and counts what came of it in `tally`."""
    solution = arguments["solution"]
    length = len(solution if isinstance(solution, str) else "\n".join(solution))
    started = time.process_time()
    try:
        profile = verifier.verify(**arguments)
        seconds = time.process_time() - started
        for item in profile.evidence:
            start, end = item.span or (0, 0)
            if not 0 <= start <= end <= length or (item.step is not None and item.step < 0):
                raise AssertionError(f"evidence out of place: {item}")
        if ErrorProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) != profile:
            raise AssertionError("the profile changes on its way through JSON")
    except Exception:
        tally.failures.append((index, traceback.format_exc(limit=-8)))
        return
    tally.verdicts[profile.verdict.value] += 1
    if profile.verdict == "undecided":
        tally.undecided[profile.reason] += 1
    tally.seconds.append(seconds)
    tally.slowest = max(tally.slowest, (seconds, index, length))


def work(rows: Sequence[Row], seed: int, indices: range, at: Any, pipe: Connection) -> None:
    """Verifies the mutations of `indices`, says in `at` at which it is, and sends a tally for every chunk."""
    with MathVerifier() as verifier:
        tally = Tally()
        for index in indices:
            at.value = index
            check(verifier, mutated(rows, seed, index), index, tally)
            if len(tally.seconds) + len(tally.failures) >= CHUNK:
                pipe.send((False, tally))
                tally = Tally()
        pipe.send((True, tally))


class Watched:
    """A worker process that is replaced when it hangs or dies."""

    def __init__(self, rows: Sequence[Row], seed: int, indices: range) -> None:
        self.rows, self.seed, self.indices = rows, seed, indices
        self.tally = Tally()
        self.is_done = False
        self._start(0)

    def _start(self, position: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.at = context.Value("q", _STARTING, lock=False)
        self.pipe, other = context.Pipe(duplex=False)
        arguments = (self.rows, self.seed, self.indices[position:], self.at, other)
        self.process = context.Process(target=work, args=arguments)
        self.process.start()
        other.close()
        self.last, self.since = _STARTING, time.monotonic()

    def look(self, limit: float) -> None:
        """Takes what the worker has sent; ends it if it has been at one mutation for `limit` seconds."""
        is_alive, at = self.process.is_alive(), self.at.value
        try:
            while self.pipe.poll():
                self.is_done, tally = self.pipe.recv()
                self.tally.add(tally)
        except EOFError:
            pass
        if self.is_done:
            self.process.join()
            return
        if at != self.last:
            self.last, self.since = at, time.monotonic()
        waited = time.monotonic() - self.since
        if is_alive and waited < (START_SECONDS if at == _STARTING else limit):
            return
        self.process.kill()
        self.process.join()
        if at == _STARTING:
            raise RuntimeError("A worker does not start.")
        # What came after its last tally is lost with it.
        self.tally.hangs.append(at)
        self._start(self.indices.index(at) + 1)


def fuzz(rows: Sequence[Row], count: int, seed: int, workers: int, limit: float) -> Tally:
    watched = [Watched(rows, seed, range(first, count, workers)) for first in range(workers)]
    while not all(worker.is_done for worker in watched):
        time.sleep(0.2)
        for worker in watched:
            if not worker.is_done:
                worker.look(limit)
    total = Tally()
    for worker in watched:
        total.add(worker.tally)
    return total


def report(tally: Tally, rows: Sequence[Row], count: int, seed: int, seconds: float) -> str:
    milliseconds = sorted(1000 * value for value in tally.seconds)
    slow, index, length = tally.slowest
    percentiles = statistics.quantiles(milliseconds, n=1000) if len(milliseconds) > 1 else [0.0] * 999
    errors = Counter(text.strip().rpartition("\n")[2][:100] for _, text in tally.failures)
    lines = [
        "| | |",
        "|---|---|",
        f"| mutations (seed {seed}) | {count}, of {len(rows)} solutions |",
        f"| verified | {len(milliseconds)} in {seconds:.0f} s |",
        f"| exceptions | {len(tally.failures)} |",
        f"| hangs and dead workers | {len(tally.hangs)} |",
        f"| median, p99, p99.9 | {percentiles[499]:.2f}, {percentiles[989]:.1f}, {percentiles[998]:.1f} ms |",
        f"| slowest | {1000 * slow:.0f} ms: mutation {index}, {length} characters |",
        *(f"| {verdict} | {number} |" for verdict, number in sorted(tally.verdicts.items())),
        *(f"| undecided: {reason} | {number} |" for reason, number in tally.undecided.most_common()),
        *(f"| exception: `{error}` | {number} |" for error, number in errors.most_common(20)),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="pool or solution files to mutate")
    parser.add_argument("--count", type=int, default=200_000, help="mutated solutions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds after which one solution counts as a hang")
    parser.add_argument("--failures", type=Path, help="folder for the inputs that failed")
    arguments = parser.parse_args()
    rows = [row for path in arguments.files for row in read(path)] or made_up(arguments.seed)
    started = time.monotonic()
    tally = fuzz(rows, arguments.count, arguments.seed, arguments.workers, arguments.limit)
    print(report(tally, rows, arguments.count, arguments.seed, time.monotonic() - started))
    failed = [*tally.failures[:20], *((index, "hang") for index in tally.hangs)]
    if arguments.failures is not None and failed:
        arguments.failures.mkdir(parents=True, exist_ok=True)
        for index, text in failed:
            content = {"error": text, "arguments": mutated(rows, arguments.seed, index)}
            (arguments.failures / f"{arguments.seed}-{index}.json").write_text(json.dumps(content, indent=1))
    for index, text in tally.failures[:3]:
        print(f"\nMutation {index}\n\n```\n{text}```")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
