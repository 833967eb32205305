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

from scipy.stats import mannwhitneyu

from trl_weighted_dpo.core.files import RowFile

READINGS = Path(__file__).parent / "results" / "hard_negatives_readings.json"
PROCESS = ("semantic_alignment", "numerical_validity", "logical_consistency", "structural_integrity", "step_ordering")


COLUMNS = (
    "problem / candidate",
    "stratum",
    "band",
    "hardness = confidence · proximity · flaw",
    "evidence, with steps",
    "first faulty step: verifier, read",
    "near",
    "what is wrong",
)
RANKERS = ("hardness", "hardness_confidence", "hardness_proximity", "hardness_flaw", "rejected_wrongness")


def auroc(values: Sequence[float], labels: Sequence[bool]) -> float:
    positive, negative = (
        [v for v, label in zip(values, labels, strict=True) if label == side] for side in (True, False)
    )
    return float(mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))


def share(hits: Sequence[bool]) -> str:
    return f"{sum(hits)} of {len(hits)} ({sum(hits) / len(hits):.0%})" if hits else "none"


def main() -> None:
    folder = Path(sys.argv[1])
    readings = json.loads(READINGS.read_text())
    rows = [
        (pair, readings[f"{pair['problem_id']}/{pair['rejected_index']}"]) for pair in RowFile(folder / "sample.jsonl")
    ]
    is_found = [pair["rejected_first_faulty_step"] == reading["first_faulty_step"] for pair, reading in rows]
    print("| question | all | hard | medium | easy |\n|---|---|---|---|---|")
    questions = {
        "truly incorrect": [reading["incorrect"] for _, reading in rows],
        "near: one wrong decision from a correct solution": [reading["near"] for _, reading in rows],
        "first faulty step right": is_found,
    }
    for question, hits in questions.items():
        by_band = [
            share([hit for hit, (pair, _) in zip(hits, rows, strict=True) if pair["hardness_band"] == band])
            for band in ("hard", "medium", "easy")
        ]
        print(f"| {question} | {share(hits)} | {' | '.join(by_band)} |")
    near = questions["near: one wrong decision from a correct solution"]
    print("\n| how well it ranks near ones: AUROC | |\n|---|---|")
    for name in RANKERS:
        print(f"| {name} | {auroc([pair[name] for pair, _ in rows], near):.2f} |")
    print("\n| dimension | negatives in which it found something | what it found is a fault |\n|---|---|---|")
    for dimension in ("final_answer", *PROCESS):
        found = [reading for pair, reading in rows if has_evidence(pair, dimension)]
        is_true = [not (dimension == "semantic_alignment" and reading["sound_step_blamed"]) for reading in found]
        print(f"| {dimension} | {len(found)} | {share(is_true)} |")
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for pair, reading in rows:
        parts = " · ".join(f"{pair[f'hardness_{name}']:.2f}" for name in ("confidence", "proximity", "flaw"))
        cells = (
            f"{pair['problem_id']} / {pair['rejected_index']}",
            pair["stratum"],
            pair["hardness_band"],
            f"{pair['hardness']:.3f} = {parts}",
            kinds(pair),
            f"{pair['rejected_first_faulty_step']}, {reading['first_faulty_step']}",
            "yes" if reading["near"] else "no",
            reading["note"],
        )
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
