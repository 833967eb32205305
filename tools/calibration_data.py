"""Makes the labelled files that `make calibrate` fits to from clones of the public repositories they come from.

    python tools/calibration_data.py --gsm8k grade-school-math --parc PARC --math Qwen2.5-Math -o FOLDER

`docs/calibration.md` says what they are, at which commits, and under which licences.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

GSM8K_ROWS = (
    "0-1,3-6,9-12,14,16,18,21-25,27,29-36,38,40,42-43,45,48-51,55-56,58,61,63-64,66-67,69,72,74-75,77-79,82-84,87-88,"
    "90-95,98-101,103-105,108-110,115-116,119-124,126-128,131-134,137-138,141-144,146,148-149,151-152,155,157-161,163,"
    "165-166,169-170,174-175,178,180-185,187,190-191,194-195,197-198,200-203,206-208,211-212,214-215,217-218,220,222-227,"
    "230-233,237-240,242-244,247-251,254,262-263,265,268-271,277,280-282,288,291,294-295,297,301,304-306,308-310,312,"
    "314-315,317-318,321-328,331-335,337,339,342,348-352,354-356,358,360-366,369,374-375,377,379,381,384-387,392,400-405,"
    "409-410,412,414,416,423-426,429,431-432,435,437,441,444,447-449,452,454,460,463,467,470,473,480,484-485,491-498,502,"
    "515-520,526,537-538,543-544,546,548,550-553,556,558-560,565,568,570,575,578-579,581,585-586,588,591-592,599-600,"
    "602-603,605,612,616-617,619-625,631,634-636,638,640-642,649-650,653,655,659"
)
"""The problems of GSM8K's test set whose solutions by GPT-3 are used; the others are kept for looking at once."""

MATH_ROWS = (
    "1-12,14,16,18,20,23,25,27,29,31,34,36,38,41,43,45,47,49,52,54,56,58,60,62,65,67,69,71,73,75,77,79,82,85,88,91,94,"
    "96,99"
)
PARC_ROWS = {
    "gsm8k": {
        "negatives": "3,5,7,9-10,12,15,20-22,25-26,31,33-36,38,42-43,45-47,52,54-55",
        "positives": "0-5,7-10,12-13,15,18-21,23,25-33,35,37,39,41-43,47-48",
        "positives_perturbed": "0-5,7-9,11-12,14,17-20,22-31,33,35,37,39-41,45-46",
    },
    "metamathqa": {"negatives": "0-58", "positives": "0-92", "positives_perturbed": "0-71"},
}
_GENERATORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def numbers(text: str) -> list[int]:
    """The numbers of a list such as `0-2,5`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def gsm8k(clone: Path) -> Iterator[dict[str, Any]]:
    """Pool rows of openai/grade-school-math: problems of the test set, each with four solutions."""
    folder = clone / "grade_school_math" / "data"
    worked = {row["question"]: row["answer"] for row in _jsonl(folder / "test.jsonl")}
    rows = _jsonl(folder / "example_model_solutions.jsonl")
    for index in numbers(GSM8K_ROWS):
        row = rows[index]
        reference = worked[row["question"]]
        yield {
            "id": f"gsm8k-test-{index}",
            "problem": row["question"],
            "reference_answer": reference.rpartition("####")[2].strip(),
            "reference_solution": reference,
            "candidates": [
                {"solution": row[name]["solution"], "is_correct": row[name]["is_correct"], "generator": name}
                for name in _GENERATORS
            ],
        }


def math(clone: Path) -> Iterator[dict[str, Any]]:
    """Pool rows of QwenLM/Qwen2.5-Math: problems of MATH, each with eight solutions."""
    path = clone / "evaluation" / "data" / "eval_rm_maj_example" / "math_cot_100.jsonl"
    rows = {row["idx"]: row for row in _jsonl(path)}
    for index in numbers(MATH_ROWS):
        row = rows[index]
        yield {
            "id": f"math_cot_100-{index}",
            "problem": row["question"],
            "reference_answer": row["gt"],
            "reference_solution": row["gt_cot"],
            "candidates": [
                {"solution": solution, "is_correct": bool(is_correct), "generator": "qwen2.5-math"}
                for solution, is_correct in zip(row["code"], row["score"], strict=True)
            ],
        }


def parc(clone: Path, dataset: str) -> Iterator[dict[str, Any]]:
    """Solution rows of SagnikMukherjee/PARC: solutions whose steps are labelled."""
    files = {kind: _json(clone / "datasets" / dataset / f"{dataset}_{kind}.json") for kind in PARC_ROWS[dataset]}
    # Some perturbed solutions lack the worked one, which the unperturbed solution of the same problem has.
    worked = {
        row["question"]: row["ground_truth_solution"]
        for rows in files.values()
        for row in rows
        if row.get("ground_truth_solution")
    }
    for kind, places in PARC_ROWS[dataset].items():
        for index in numbers(places):
            row = files[kind][index]
            steps = row["error_annotation"]["error_annotations"]["step_level"]
            wrong = [step["step_number"] - 1 for step in steps if step["has_error"]]
            yield {
                "id": f"parc-{dataset}-{kind}-{index}",
                "problem": row["question"],
                "reference_answer": str(row["ground_truth_answer"]),
                "reference_solution": worked.get(row["question"]),
                "solution": "\n".join(row["steps"]),
                "steps": row["steps"],
                "is_correct_answer": kind == "positives",
                "first_error_step": min(wrong, default=-1),
            }


def _json(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def write(path: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    """Writes rows and says what there is."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{path}: {len(lines)} rows")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("gsm8k", "parc", "math"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="CLONE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        write(given.output / "gsm8k_solutions_pool.jsonl", gsm8k(given.gsm8k))
        write(given.output / "math_cot_pool.jsonl", math(given.math))
        for dataset in PARC_ROWS:
            write(given.output / f"parc_{dataset}.jsonl", parc(given.parc, dataset))
    except (OSError, KeyError, IndexError, ValueError) as error:
        sys.exit(
            f"Error: {type(error).__name__}: {error}. Check out the commits that docs/calibration.md names: other ones "
            "may have other files, rows or columns."
        )


if __name__ == "__main__":
    main()
