"""How well and how fast the verifier judges final answers, beside math-verify alone.

    python benchmarks/verifier.py FOLDER_OR_FILE... [--passes 5]

Reads pool files (rows with `candidates`, each with `solution` and `is_correct`) and answer-pair files (rows with
`gold`, `pred` and `equivalent`); of a folder, every `*.jsonl` of these kinds. Undecided counts as disagreement.
"""

import argparse
import json
import logging
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from trl_weighted_dpo.verifier import MathVerifier


class Case(NamedTuple):
    reference: str
    text: str
    is_right: bool
    is_pair: bool


def cases(path: Path) -> Iterator[Case]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "equivalent" in row:
            yield Case(row["gold"], row["pred"], row["equivalent"], is_pair=True)
        elif row.get("reference_answer") is not None:
            for candidate in row.get("candidates", ()):
                yield Case(row["reference_answer"], candidate["solution"], candidate["is_correct"], is_pair=False)


def ours(verifier: MathVerifier) -> Callable[[Case], str]:
    def judge(case: Case) -> str:
        if case.is_pair:
            return verifier.compare(case.reference, case.text).verdict.value
        return verifier.verify("", case.text, case.reference).verdict.value

    return judge


def math_verify_alone() -> Callable[[Case], str]:
    from math_verify import parse, verify

    def judge(case: Case) -> str:
        gold, found = parse(f"${case.reference}$" if not case.is_pair else case.reference), parse(case.text)
        return "correct" if verify(gold, found) else "incorrect"

    return judge


def measure(name: str, judge: Callable[[Case], str], batch: list[Case], passes: int) -> None:
    outcomes: Counter[str] = Counter()
    rates, latencies = [], []
    for number in range(passes):
        started = time.perf_counter()
        for case in batch:
            before = time.perf_counter()
            verdict = judge(case)
            latencies.append(time.perf_counter() - before)
            if number == 0:
                outcomes[f"{'right' if case.is_right else 'wrong'} judged {verdict}"] += 1
        rates.append(len(batch) / (time.perf_counter() - started))
    agreeing = outcomes["right judged correct"] + outcomes["wrong judged incorrect"]
    p99 = statistics.quantiles(latencies, n=100)[98] * 1000
    print(
        f"  {name:12} agreement {100 * agreeing / len(batch):6.2f} % ({agreeing}/{len(batch)})   "
        f"{statistics.median(rates):8.0f}/s   p99 {p99:7.2f} ms   worst {max(latencies) * 1000:8.1f} ms"
    )
    for outcome, count in sorted(outcomes.items()):
        print(f"    {outcome:26} {count:6}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="pool or answer-pair files, or folders of them")
    parser.add_argument("--passes", type=int, default=5, help="passes over each file; rates are their median")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    files = [file for path in arguments.paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    with MathVerifier() as verifier:
        # The first symbolic comparison starts the worker; its start is not a latency of the comparison.
        verifier.compare(r"\sqrt{8}", r"2\sqrt{2}")
        for file in files:
            if batch := list(cases(file)):
                print(file.name)
                measure("verifier", ours(verifier), batch, arguments.passes)
                measure("math-verify", math_verify_alone(), batch, arguments.passes)


if __name__ == "__main__":
    main()
