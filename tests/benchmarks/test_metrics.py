"""The figures that `benchmarks/verifier.py` computes, against values by hand."""

import json
import math
import subprocess
import sys

import pytest
from benchmarks.verifying import baselines
from benchmarks.verifying.data import File, Pair, Solution, read_files
from benchmarks.verifying.hidden import visible
from benchmarks.verifying.metrics import distances, first_errors, quartile_of, ranking

from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    ("predicted", "labels", "f1", "exact", "sound"),
    [
        ([0, 2, -1, -1], [0, 2, -1, -1], 100, 100, 100),
        ([0, 1, -1, 3], [0, 2, -1, -1], 50, 50, 50),
        ([0, 2, 1, -1, -1, -1], [0, 2, 2, 2, -1, -1], 2 * 50 * 100 / 150, 50, 100),
        ([-1, -1], [1, -1], 0, 0, 100),
        ([1, 0], [0, -1], 0, 0, 0),
    ],
)
def test_f1_is_the_harmonic_mean_of_exact_steps_and_sound_solutions(predicted, labels, f1, exact, sound) -> None:
    assert first_errors(predicted, labels) == pytest.approx((f1, exact, sound))


def test_without_sound_solutions_their_share_is_unknown() -> None:
    figures = first_errors([1], [1])

    assert figures.exact == 100
    assert math.isnan(figures.sound)


def test_distances_are_counted_for_faulty_solutions_only() -> None:
    assert distances([2, 1, 9, 0, -1, 4], [2, 2, 2, 5, 3, -1]) == {"+0": 1, "-1": 1, "+3…": 1, "-3…": 1, "none": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 2, 2, 3, 3]),
        ([8, 1, 7, 2, 6, 3, 5, 4], [3, 0, 3, 0, 2, 1, 2, 1]),
        ([5, 5, 5, 5], [0, 0, 0, 0]),
        ([1, 1, 1, 1, 1, 1, 9, 9], [0, 0, 0, 0, 0, 0, 3, 3]),
    ],
)
def test_quartiles(values, expected) -> None:
    assert quartile_of(values) == expected


def test_ranking_within_quartiles_takes_the_other_quantity_out() -> None:
    lengths = [1, 1, 2, 2, 3, 3, 4, 4]
    labels = [True, False] * 4
    # The score is the length, which says nothing within a quartile but for the last, where it is turned around.
    figures = ranking([1, 1, 2, 2, 3, 3, 0, 9], labels, lengths)

    assert figures.within == pytest.approx((0.5 + 0.5 + 0.5 + 0) / 4)
    assert figures.pooled == pytest.approx(1.5 / 4)
    assert figures.overall == pytest.approx((0.5 + 1.5 + 2.5 + 0) / 16)


def test_pooled_pairs_weigh_quartiles_by_their_pairs_and_one_label_drops_out() -> None:
    lengths = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    labels = [1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    scores = [1, 1, 0, 0, 0, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9]
    figures = ranking(scores, [bool(label) for label in labels], lengths)

    assert figures.within == pytest.approx((1 + 0) / 2)
    assert figures.pooled == pytest.approx(4 / (4 + 3))


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("16 - 3 = 13 left\n13 * 2 = 26\nA: 26", "16 - 3 = 13 left"),
        ("2 + 2 = 4\nSo 4 are there.\n4 * 2 = 8\nThat makes 8.\n#### 8", "2 + 2 = 4\nSo 4 are there."),
        ("2 + 2 = 4\nA: 4", ""),
        ("Two and two.\nIt is four.\nThe answer is 4.", "Two and two."),
        ("a = 1\n\nb = 2\nThus $\\boxed{2}$ = 2.", "a = 1"),
        ("**A:** 5\n3 = 3\nx\n4 = 4", "3 = 3\nx"),
        ("", ""),
    ],
)
def test_the_answer_and_the_last_computed_step_are_hidden(solution, expected) -> None:
    assert visible(solution) == expected


ITEM = Solution(
    "Tom has 3 boxes of 4 pens.",
    ["Find the pens.", "3 x 4 = 12 pens", "12 + 5 = 18", "That is $18"],
    "12",
    "3*4 = <<3*4=12>>12\n#### 12",
    False,
    2,
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda: baselines.step_one(ITEM, True), 1),
        (lambda: baselines.step_one(ITEM, False), -1),
        (lambda: baselines.wrong_equation(ITEM), 2),
        (lambda: baselines.unknown_number(ITEM, True), 2),
        (lambda: baselines.unknown_number(ITEM, False), -1),
    ],
)
def test_baselines(rule, expected) -> None:
    assert rule() == expected


def test_the_overlap_of_results_leaves_out_the_last_of_the_reference() -> None:
    reference = "2*3=<<2*3=6>>6\n6+1=<<6+1=7>>7\n7*9 = $63"

    assert baselines.other_results("2*3 = 6", reference) == pytest.approx(1 / 2)
    assert baselines.other_results("2*3 = 6 and 6+1 = 7", reference) == 0
    assert baselines.other_results("9 = 9", reference) == 1
    assert baselines.other_results("", "7 = 7") == 0


def test_rows_of_every_kind_are_read(tmp_path) -> None:
    shared = {"problem": "p", "reference_answer": "1", "reference_solution": "r"}
    meta = {"kind": "positives", "first_error_types": ["B"]}
    rows = [
        {**shared, "solution": "a\nb", "steps": ["a", "b"], "is_correct_answer": True, "first_error_step": 1,
         "error_types": ["A", "B"], "meta": meta},
        {**shared, "solution": "c", "is_correct_answer": False, "first_error_step": None},
        {**shared, "candidates": [{"solution": "d", "is_correct": True}, {"solution": "e"}]},
        {"gold": "1", "pred": "2", "equivalent": False},
        {"problem": "p"},
    ]  # fmt: skip
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "unlabelled.jsonl").write_text('{"problem": "p"}\n')

    assert read_files([tmp_path]) == [
        File(
            "mixed",
            [Solution("p", ["a", "b"], "1", "r", True, 1, "positives", ("B",))],
            [Solution("p", "c", "1", "r", False), Solution("p", "d", "1", "r", True)],
            [Pair("1", "2", False)],
        )
    ]


def write(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def boxes_of_pens(n: int) -> tuple[dict, list[dict]]:
    """A pool row with a right and a wrong candidate, and the same two as solution rows."""
    right, wrong = [
        [f"{n} {sign} 4 = {pens} pens", f"{pens} - 2 = {pens - 2}", f"A: {pens - 2}"]
        for sign, pens in (("*", 4 * n), ("+", n + 4))
    ]
    shared = {
        "problem": f"Tom has {n} boxes of 4 pens and loses 2. How many are left?",
        "reference_answer": str(4 * n - 2),
        "reference_solution": f"{n}*4={4 * n}\n{4 * n}-2={4 * n - 2}\n#### {4 * n - 2}",
    }
    texts = ((right, True), (wrong, False))
    candidates = [{"solution": "\n".join(steps), "is_correct": is_correct} for steps, is_correct in texts]
    stepwise = [
        {**shared, "steps": right, "is_correct_answer": True, "first_error_step": -1, "error_types": []},
        {**shared, "steps": wrong, "is_correct_answer": False, "first_error_step": 0, "error_types": ["Logical"]},
    ]
    return {**shared, "candidates": candidates}, stepwise


@pytest.mark.long
def test_the_benchmark_prints_all_tables(tmp_path) -> None:
    made = [boxes_of_pens(n) for n in range(5, 15)]
    write(tmp_path / "pool.jsonl", [pool for pool, _ in made])
    write(tmp_path / "steps.jsonl", [row for _, rows in made for row in rows])
    write(tmp_path / "pairs.jsonl", [{"gold": "1", "pred": "2", "equivalent": False}])
    results = tmp_path / "results.md"
    script = REPOSITORY / "benchmarks" / "verifier.py"
    command = [sys.executable, script, tmp_path, "--passes", "1", "--output", results]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert results.read_text().strip() == done.stdout.strip()
    headings = ("First faulty step", "False alarms", "Wrong answers from process", "Answers and speed", "What each")
    assert all(f"## {heading}" in done.stdout for heading in headings)
    assert "| pool | verifier, full profile | 100.00 % (20/20) |" in done.stdout
    assert "| pairs | verifier, answers only | 100.00 % (1/1) |" in done.stdout
