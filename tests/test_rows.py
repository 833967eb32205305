"""Files of rows: what is written is read back, from JSONL and Parquet."""

import pytest

from trl_weighted_dpo.rows import RowFile, write_rows
from trl_weighted_dpo.schema import SchemaError

ROWS = [
    {"id": "a", "scores": [], "nested": {"value": None, "spans": []}, "number": 1},
    {"id": "b", "scores": [0.5, None], "nested": {"value": "x", "spans": [[1, 2]]}, "number": 2},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_are_read_back_as_often_as_asked(tmp_path, suffix):
    path = tmp_path / "new" / f"rows{suffix}"
    write_rows(path, ROWS)
    file = RowFile(path)
    assert list(file) == ROWS
    assert list(file) == ROWS
    assert len(file) == 2
    assert not list(path.parent.glob("*.partial"))


def test_parquet_takes_types_from_all_rows_not_the_first_ones(tmp_path):
    rows = [{"late": None, "grows": 1}] * 600 + [{"late": {"x": [1]}, "grows": 1.5, "new": "y"}]
    write_rows(tmp_path / "rows.parquet", rows)
    read = list(RowFile(tmp_path / "rows.parquet"))
    assert read[0] == {"late": None, "grows": 1.0, "new": None}
    assert read[600] == {"late": {"x": [1]}, "grows": 1.5, "new": "y"}


def test_parquet_holds_broken_surrogates_escaped_and_empty_objects_as_null(tmp_path):
    write_rows(tmp_path / "rows.parquet", [{"text": "a\udc80", "meta": {}}])
    assert list(RowFile(tmp_path / "rows.parquet")) == [{"text": "a\\udc80", "meta": None}]


def test_bad_files_are_named(tmp_path):
    with pytest.raises(SchemaError, match=r"rows\.parquet: rows 0 to 1: .*several types"):
        write_rows(tmp_path / "rows.parquet", [{"a": 1}, {"a": "x"}])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"rows\.csv: name the output \*\.jsonl or \*\.parquet"):
        write_rows(tmp_path / "rows.csv", ROWS)
    (tmp_path / "text.parquet").write_text("{}\n")
    with pytest.raises(SchemaError, match=r"text\.parquet: this is no Parquet file"):
        list(RowFile(tmp_path / "text.parquet"))
