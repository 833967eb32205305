"""The labelled files that calibration is fitted to, from clones of public repositories in small."""

import json
from pathlib import Path

import pytest

from tools import calibration_data
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.verifier.calibration import Labelled, labelled


def save(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def step(number: int, has_error: bool) -> dict:
    return {"step_number": number, "has_error": has_error, "errors": []}


def parc_row(question: str, wrong: tuple[int, ...] = (), **more: object) -> dict:
    steps = [step(number, number in wrong) for number in (1, 2)]
    return {
        "question": question,
        "ground_truth_answer": 7,
        "steps": ["3 + 4 = 7", "So it is 7."],
        "error_annotation": {"error_annotations": {"step_level": steps}},
    } | more


@pytest.fixture
def clones(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setattr(calibration_data, "GSM8K_ROWS", "1")
    monkeypatch.setattr(calibration_data, "MATH_ROWS", "5")
    kinds = {"negatives": "1", "positives": "0-1", "positives_perturbed": "0"}
    monkeypatch.setattr(calibration_data, "PARC_ROWS", {"gsm8k": kinds, "metamathqa": kinds})
    solutions = {
        name: {"solution": f"A: {name}", "is_correct": name[0] == "1"} for name in calibration_data._GENERATORS
    }
    folder = tmp_path / "gsm8k" / "grade_school_math" / "data"
    save(folder / "test.jsonl", lines({"question": "Q?", "answer": "3+4=<<3+4=7>>7\n#### 7"}))
    save(folder / "example_model_solutions.jsonl", lines({"question": "other"}, {"question": "Q?", **solutions}))
    row = {"idx": 5, "question": "M?", "gt": "9", "gt_cot": "It is 9.", "code": ["8", "9"], "score": [False, True]}
    save(tmp_path / "math" / "evaluation/data/eval_rm_maj_example/math_cot_100.jsonl", lines({"idx": 4}, row))
    for name in ("gsm8k", "metamathqa"):
        folder = tmp_path / "parc" / "datasets" / name
        save(folder / f"{name}_negatives.json", json.dumps([{"question": "other"}, parc_row("N?", (2,))]))
        sound = parc_row("P?", ground_truth_solution="#### 7")
        save(folder / f"{name}_positives.json", json.dumps([sound, parc_row("P2?", (1, 2))]))
        save(folder / f"{name}_positives_perturbed.json", json.dumps([parc_row("P?")]))
    return ["--gsm8k", f"{tmp_path}/gsm8k", "--parc", f"{tmp_path}/parc", "--math", f"{tmp_path}/math"]


def test_the_files_hold_labelled_solutions(clones, tmp_path) -> None:
    calibration_data.main([*clones, "-o", str(tmp_path / "out")])

    found = {
        name: list(labelled(read_jsonl(tmp_path / "out" / f"{name}.jsonl"), name))
        for name in ("gsm8k_solutions_pool", "math_cot_pool", "parc_gsm8k", "parc_metamathqa")
    }
    reference = "3+4=<<3+4=7>>7\n#### 7"
    assert found["gsm8k_solutions_pool"] == [
        Labelled("Q?", f"A: {name}", "7", reference, name[0] != "1") for name in calibration_data._GENERATORS
    ]
    assert found["math_cot_pool"] == [
        Labelled("M?", "8", "9", "It is 9.", True),
        Labelled("M?", "9", "9", "It is 9.", False),
    ]
    steps = ["3 + 4 = 7", "So it is 7."]
    assert found["parc_gsm8k"] == found["parc_metamathqa"]
    assert found["parc_gsm8k"] == [
        Labelled("N?", steps, "7", None, True),
        Labelled("P?", steps, "7", "#### 7", False),
        Labelled("P2?", steps, "7", None, True),
        Labelled("P?", steps, "7", "#### 7", True),
    ]
    rows = list(read_jsonl(tmp_path / "out" / "parc_gsm8k.jsonl"))
    assert [row["first_error_step"] for row in rows] == [1, -1, 0, -1]
    assert rows[0]["id"] == "parc-gsm8k-negatives-1"


def test_another_layout_is_an_error_with_a_way_out(clones, tmp_path) -> None:
    (tmp_path / "parc" / "datasets" / "gsm8k" / "gsm8k_negatives.json").write_text("[]")

    with pytest.raises(SystemExit, match=r"IndexError.*Check out the commits that docs/calibration\.md names"):
        calibration_data.main([*clones, "-o", str(tmp_path / "out")])


def test_the_selection_is_that_of_the_shipped_calibration(shared_data) -> None:
    """The same problems, in the same order, as in the files that the weights were fitted to."""
    expected = {
        "gsm8k_solutions_pool": [f"gsm8k-test-{n}" for n in calibration_data.numbers(calibration_data.GSM8K_ROWS)],
        "math_cot_pool": [f"math_cot_100-{n}" for n in calibration_data.numbers(calibration_data.MATH_ROWS)],
    } | {
        f"parc_{name}": [
            f"parc-{name}-{kind}-{n}" for kind, places in kinds.items() for n in calibration_data.numbers(places)
        ]
        for name, kinds in calibration_data.PARC_ROWS.items()
    }
    for name, ids in expected.items():
        assert [row["id"] for row in read_jsonl(shared_data / f"{name}.jsonl")] == ids
