"""Rows of any source: the same rows from every format, with flat memory, and what is wrong by row and column."""

import csv
import gzip
import json

import datasets
import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import RowFile, write_rows

ROWS = [{"id": f"p{index}", "text": f'a "{index}",\n[{{é}}]', "weight": index / 2} for index in range(1000)]


def written(folder, name):
    """ROWS in the format that a name says."""
    plain = folder / name.removesuffix(".gz")
    if plain.suffix == ".parquet":
        write_rows(plain, ROWS)
    elif plain.suffix in (".csv", ".tsv"):
        with plain.open("w", newline="") as file:
            out = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if plain.suffix == ".tsv" else ",")
            out.writeheader()
            out.writerows(ROWS)
    elif plain.suffix == ".json":
        plain.write_text(json.dumps(ROWS, indent=2, ensure_ascii=False))
    elif plain.stem == "array":
        plain.write_text("\ufeff\n" + json.dumps(ROWS))
    else:
        plain.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    if name.endswith(".gz"):
        (folder / name).write_bytes(gzip.compress(plain.read_bytes()))
    return folder / name


FORMATS = ["rows.jsonl", "rows.json", "array.jsonl", "rows.parquet", "rows.csv", "rows.tsv"]


@pytest.mark.parametrize("name", [*FORMATS, *(f"{name}.gz" for name in FORMATS)])
def test_every_format_has_the_same_rows(tmp_path, name):
    rows = RowFile(written(tmp_path, name))
    assert list(rows) == list(rows) == ROWS
    assert len(rows) == 1000
    assert list(RowFile(rows.path, 3)) == ROWS[:3]
    assert len(RowFile(rows.path, 3)) == 3
    [first] = RowFile(rows.path, 1, {"prompt": "text", "text": "id"})
    assert first == {"prompt": ROWS[0]["text"], "text": "p0", "weight": 0.0}


def test_folders_are_read_file_by_file_or_as_they_were_saved(tmp_path):
    (tmp_path / "files").mkdir()
    for part in ("train-0.jsonl", "train-1.jsonl", "test.jsonl"):
        (tmp_path / "files" / part).write_text("".join(json.dumps({**row, "part": part}) + "\n" for row in ROWS[:2]))
    found = [(row["part"], row["id"]) for row in RowFile(tmp_path / "files", split="train")]
    assert found == [(f"train-{part}.jsonl", f"p{row}") for part in (0, 1) for row in (0, 1)]
    with pytest.raises(ValueError, match=r"files: it has the splits train, test. Name one \(--split\)"):
        list(RowFile(tmp_path / "files"))
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    assert list(RowFile(tmp_path / "saved")) == ROWS
    (tmp_path / "files" / "train-1.jsonl").write_text("{}\n[1]\n")
    with pytest.raises(SchemaError, match=r"train-1.jsonl: row 1, column '\(whole row\)'"):
        list(RowFile(tmp_path / "files", split="train"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '[{"a": 1},\n {"a": }]', r"a.json: row 1, column '\(whole row\)': got '{\"a\": }\]'. This part of"),
        ("a.json", '[{"a": 1}, {"a": 2}', "a.json: row 2, .*This part of the array is no valid JSON"),
        ("a.json", '[{"a": 1}, 7]', "a.json: row 1, .*got 7. A row is a JSON object"),
        ("a.json", '{\n"a": 1}', "a.json: row 0, .*This line is not valid JSON"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv: row 1, .*more or fewer fields"),
        ("a.parquet", "{}", "a.parquet: this is no Parquet file"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path, name, text, message):
    for path, content in ((tmp_path / name, text.encode()), (tmp_path / f"{name}.gz", gzip.compress(text.encode()))):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match=message.replace(name, path.name)):
            list(RowFile(path))


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path, "rows.jsonl")
    with pytest.raises(SchemaError, match=r"no column 'question' to be 'problem'; there are: id, text, weight"):
        list(RowFile(path, columns={"problem": "question"}))


def test_long_fields_and_long_rows_are_read(tmp_path):
    long = {"id": "x", "text": "y" * 300_000}
    (tmp_path / "a.json").write_text(json.dumps([long, long]))
    (tmp_path / "a.csv").write_text(f"id,text\nx,{long['text']}\n")
    assert list(RowFile(tmp_path / "a.json")) == [long, long]
    assert list(RowFile(tmp_path / "a.csv")) == [long]
