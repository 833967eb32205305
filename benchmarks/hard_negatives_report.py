"""What a person found in the sample of `hard_negatives.py`, as tables.

    python benchmarks/hard_negatives_report.py FOLDER > benchmarks/results/hard_negatives.md

Joins FOLDER/sample.jsonl with `results/hard_negatives_readings.json`, which holds for each rejected candidate: whether
it is wrong (`incorrect`), whether one wrong decision parts it from a correct solution (`near`), the first faulty step,
and whether `semantic_alignment` blames a step that is sound.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl_weighted_dpo.rows import RowFile

READINGS = Path(__file__).parent / "results" / "hard_negatives_readings.json"
PROCESS = ("semantic_alignment", "numerical_validity", "logical_consistency", "structural_integrity", "step_ordering")


def share(hits: Sequence[bool]) -> str:
    return f"{sum(hits)} of {len(hits)} ({sum(hits) / len(hits):.0%})" if hits else "none"


def main() -> None:
    folder = Path(sys.argv[1])
    readings = json.loads(READINGS.read_text())
    rows = [
        (pair, readings[f"{pair['problem_id']}/{pair['rejected_index']}"]) for pair in RowFile(folder / "sample.jsonl")
    ]
    found = [pair["rejected_first_faulty_step"] == reading["first_faulty_step"] for pair, reading in rows]
    print("| question | all | hard | medium | easy |\n|---|---|---|---|---|")
    questions = {
        "truly incorrect": [reading["incorrect"] for _, reading in rows],
        "near: one wrong decision from a correct solution": [reading["near"] for _, reading in rows],
        "first faulty step right": found,
    }
    for question, hits in questions.items():
        by_band = [
            share([hit for hit, (pair, _) in zip(hits, rows, strict=True) if pair["hardness_band"] == band])
            for band in ("hard", "medium", "easy")
        ]
        print(f"| {question} | {share(hits)} | {' | '.join(by_band)} |")
    print("\n| dimension | negatives in which it found something | what it found is a fault |\n|---|---|---|")
    for dimension in ("final_answer", *PROCESS):
        with_finding = [(pair, reading) for pair, reading in rows if has_evidence(pair, dimension)]
        blames = dimension == "semantic_alignment"
        print(
            f"| {dimension} | {len(with_finding)} | {share([not (blames and r['sound_step_blamed']) for _, r in with_finding])} |"
        )
    print(
        "\n| problem / candidate | stratum | band | hardness = confidence · proximity · flaw | evidence | first faulty step: verifier, read | near | what is wrong |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for pair, reading in rows:
        parts = " · ".join(f"{pair[f'hardness_{name}']:.2f}" for name in ("confidence", "proximity", "flaw"))
        steps = f"{pair['rejected_first_faulty_step']}, {reading['first_faulty_step']}"
        cells = (
            f"{pair['problem_id']} / {pair['rejected_index']}", pair["stratum"], pair["hardness_band"],
            f"{pair['hardness']:.3f} = {parts}", kinds(pair), steps, "yes" if reading["near"] else "no", reading["note"],
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |")


def has_evidence(pair: dict[str, Any], dimension: str) -> bool:
    return any(item["dimension"] == dimension for item in pair["profile"]["evidence"])


def kinds(pair: dict[str, Any]) -> str:
    steps: dict[str, list[str]] = defaultdict(list)
    for item in pair["profile"]["evidence"]:
        if item["step"] is not None:
            steps[item["kind"]].append(str(item["step"]))
    return "; ".join(f"{kind} {', '.join(dict.fromkeys(where))}" for kind, where in steps.items())


if __name__ == "__main__":
    main()
