"""Where problems come from, and what is wrong with them."""

import gzip
import hashlib
import json

import datasets
import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.problems import load_problems

ROWS = [
    {
        "id": f"p-{index}", "problem": f"{index}+1?", "reference_answer": str(index + 1), "reference_solution": None,
        "level": index,
    }
    for index in range(5)
]  # fmt: skip


def write_csv(path, rows=ROWS, mark=""):
    lines = ["id,problem,reference_answer,level"]
    lines += [f'{row["id"]},"{row["problem"]}",{row["reference_answer"]},{row["level"]}' for row in rows]
    path.write_text(mark + "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows.jsonl.gz"])
def test_files(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    else:
        write_rows(path, ROWS)
    assert load_problems(path) == ROWS
    assert load_problems(path, limit=2) == ROWS[:2]
    with pytest.raises(ValueError, match=r"a file has no splits. Leave out split"):
        load_problems(path, split="train")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_has_texts(tmp_path, mark):
    write_csv(tmp_path / "rows.csv", [*ROWS[:3], {**ROWS[3], "reference_answer": "", "problem": 'a "" b,\nc'}], mark)
    found = load_problems(tmp_path / "rows.csv")
    assert found[:3] == [{**row, "level": str(row["level"])} for row in ROWS[:3]]
    assert (found[3]["problem"], found[3]["reference_answer"]) == ('a " b,\nc', None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("problem,level\na,1,2\n", "row 0, column '(whole row)': got ['a', '1', ['2']]. It has more or fewer fields"),
        ("problem,level\na\n", "It has more or fewer fields"),
        ('problem\n"a\n', "this is no CSV file in UTF-8 (unexpected end of data)"),
    ],
)
def test_a_broken_csv_file_is_told(tmp_path, text, message):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load_problems(tmp_path / "rows.csv")
    assert message in str(caught.value)


def test_a_broken_gzip_file_is_told(tmp_path):
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"problem": "a"}\n' * 50)[:-9])
    with pytest.raises(ValueError, match="this is no whole gzip file"):
        load_problems(tmp_path / "rows.jsonl.gz")


def test_folders_of_datasets(tmp_path):
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(tmp_path / "one")
    assert load_problems(tmp_path / "one") == ROWS
    with pytest.raises(ValueError, match=r"it is a single split. Leave out split"):
        load_problems(tmp_path / "one", split="train")
    datasets.DatasetDict({"train": one, "test": one.select([4])}).save_to_disk(tmp_path / "two")
    assert load_problems(tmp_path / "two", split="test") == ROWS[4:]
    with pytest.raises(ValueError, match=r"it has the splits train, test. Name one \(--split\)"):
        load_problems(tmp_path / "two")
    with pytest.raises(ValueError, match="it has no split 'dev'; it has: train, test"):
        load_problems(tmp_path / "two", split="dev")


def test_a_folder_of_data_files(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    write_rows(folder / "train.jsonl", ROWS[:3])
    write_rows(folder / "test.jsonl", ROWS[3:])
    assert load_problems(folder, split="test") == ROWS[3:]
    assert [row["id"] for row in load_problems(folder, split="train")] == ["p-0", "p-1", "p-2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no rows could be read from this folder"):
        load_problems(tmp_path / "empty")


def test_a_name_on_the_hub_without_a_network_tells_the_way_out():
    with pytest.raises(ValueError, match=r"HF_HUB_OFFLINE .*save it with save_to_disk, and give that folder"):
        load_problems("someone/not-there:main")
    with pytest.raises(ValueError, match=r"someone/not-there-1.5: .*no such data set could be loaded from the hub"):
        load_problems("someone/not-there-1.5")
    with pytest.raises(ValueError, match=r"nowhere.jsonl: there is no such file or folder. Is the path right"):
        load_problems("nowhere.jsonl")


def test_a_pool_gives_its_problems(tmp_path):
    pool = [{**row, "candidates": [{"solution": "s"}], "fingerprint": "{}", "reference_score": None} for row in ROWS]
    write_rows(tmp_path / "pool.jsonl", pool)
    assert load_problems(tmp_path / "pool.jsonl") == ROWS


def load(tmp_path, rows, **settings):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(tmp_path / "rows.jsonl", **settings)


def test_columns_are_named(tmp_path):
    rows = [{"key": 7, "text": "1+1?", "gold": 2, "difficulty": "low", "note": "n"}]
    columns = {"id": "key", "problem": "text", "reference_answer": "gold", "level": "difficulty"}
    assert load(tmp_path, rows, columns=columns) == [
        {
            "id": "7", "problem": "1+1?", "reference_answer": "2", "reference_solution": None, "level": "low",
            "note": "n",
        }
    ]  # fmt: skip
    gsm8k = [{"question": "a", "answer": "b\n#### 2", "hint": "c"}]
    [row] = load(tmp_path, gsm8k, preset="gsm8k", columns={"problem": "hint"})
    assert (row["problem"], row["reference_answer"]) == ("c", "2")


def test_an_id_depends_on_the_problem_alone_and_a_repeated_problem_is_left_out(tmp_path, caplog):
    rows = [{"problem": "a", "reference_answer": "1"}, {"problem": "b"}, {"problem": "a", "reference_answer": "2"}]
    found = load(tmp_path, rows)
    assert [row["id"] for row in found] == ["sha256-" + hashlib.sha256(text).hexdigest()[:16] for text in (b"a", b"b")]
    assert found[0]["reference_answer"] == "1"
    assert "1 rows without an id repeat a problem; the first of each is taken" in caplog.text
    assert [row["id"] for row in load(tmp_path, rows[::-1])] == [found[0]["id"], found[1]["id"]]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "rows.jsonl: there is no row"),
        ([{"id": "x", "problem": "a"}, {"id": "x", "problem": "b"}], {},
         "row 1, column 'id': got 'x'. Row 0 has this id, too. Ids tell problems apart: give each its own."),
        ([{"problem": "a"}, {"problem": " "}], {}, "row 1, column 'problem': got ' '. Give the text of the problem."),
        ([{"problem": "a"}, {"question": "b"}], {}, "row 1, column 'problem': got null. The column is missing; there"),
        ([{"problem": "a", "reference_answer": ["1"]}], {}, "row 0, column 'reference_answer': got ['1']. Give a text"),
        ([{"problem": "a", "reference_answer": float("nan")}], {}, "row 0, column 'reference_answer': got nan. It is"),
        ([{"problem": "a\ud800"}], {}, "row 0, column 'problem': got 'a\\ud800'. The text holds a broken surrogate"),
        ([{"text": "a", "gold": "b"}], {}, "no preset knows the columns text, gold. Say which is which, as in --col"),
        ([{"problem": "a", "verdict": "b", "target": "c"}], {}, "but the column 'target' is not read. If it holds"),
        ([{"text": "a"}], {"preset": "gsm8k"},
         "the preset 'gsm8k' reads the column 'question', but there are: text."),
        ([{"text": "a"}], {"preset": "gsm8k", "columns": {"problem": "text"}},
         "the preset 'gsm8k' reads the column 'question', but there are: text."),
        ([{"problem": "a", "x": 1}], {"columns": {"candidates": "x"}}, "A column cannot be called 'candidates'"),
        ([{"text": "a"}], {"preset": "gsm9k"}, "There is no preset 'gsm9k'. Choose one of auto, own, gsm8k, mgsm"),
        ([{"text": "a"}], {"columns": {"problem": "txt"}}, "there is no column 'txt' to be 'problem'; there are: text"),
        ([{"text": "a"}], {"columns": {"reference_answer": "text"}}, "which column has the problem? There are: text"),
        ([{"problem": "a"}], {"limit": 0}, "limit is 0; give at least 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_row_and_column(tmp_path, rows, settings, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load(tmp_path, rows, **settings)
    assert message in str(caught.value)


def test_a_value_that_json_cannot_hold_is_told(tmp_path):
    table = datasets.Dataset.from_dict({"problem": ["a"], "image": [b"\x00"]})
    table.save_to_disk(tmp_path / "saved")
    with pytest.raises(SchemaError, match=r"row 0, column 'image': .*nothing that JSON can hold: convert or drop it"):
        load_problems(tmp_path / "saved")
