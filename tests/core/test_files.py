"""Files of rows: what is written is read back, from JSONL and Parquet."""

import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import RowFile, check_rows, write_rows

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


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_first_rows_only_can_be_read(tmp_path, suffix):
    write_rows(tmp_path / f"rows{suffix}", ROWS)
    for limit, rows in ((1, ROWS[:1]), (5, ROWS)):
        file = RowFile(tmp_path / f"rows{suffix}", limit)
        assert list(file) == list(file) == rows
        assert len(file) == len(rows)


def test_parquet_takes_types_from_all_rows_not_the_first_ones(tmp_path):
    rows = [{"late": None, "grows": 1}] * 600 + [{"late": {"x": [1]}, "grows": 1.5, "new": "y"}]
    write_rows(tmp_path / "rows.parquet", rows)
    read = list(RowFile(tmp_path / "rows.parquet"))
    assert read[0] == {"late": None, "grows": 1.0, "new": None}
    assert read[600] == {"late": {"x": [1]}, "grows": 1.5, "new": "y"}


def test_parquet_holds_broken_surrogates_escaped_and_objects_without_any_key_as_null(tmp_path):
    write_rows(tmp_path / "rows.parquet", [{"text": "a\udc80", "meta": {}, "list": [{}], "in": {"it": {}}}])
    read = {"text": "a\\udc80", "meta": None, "list": [None], "in": {"it": None}}
    assert list(RowFile(tmp_path / "rows.parquet")) == [read]


def test_parquet_holds_an_empty_object_beside_others_as_one_of_nulls(tmp_path):
    rows = [{"scores": {}, "list": [{}, {"a": 1}]}] * 600 + [{"scores": {"x": 0.5}, "list": []}, {"scores": None}]
    write_rows(tmp_path / "rows.parquet", rows)
    read = list(RowFile(tmp_path / "rows.parquet"))
    assert read[0] == {"scores": {"x": None}, "list": [{"a": None}, {"a": 1}]}
    assert read[600:] == [{"scores": {"x": 0.5}, "list": []}, {"scores": None, "list": None}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**63, "a column holds a whole number beyond 64 bits, which Parquet cannot. Write JSONL, or mend"),
        ({"\udc80": 1}, r"the name of a column or key, '\\udc80', is no valid Unicode"),
        ("text", "a column holds values of several types"),
    ],
)
def test_what_parquet_cannot_hold_is_named_with_its_rows_and_can_be_asked_before(tmp_path, value, message):
    rows = [{"a": {"b": 1}}] * 600 + [{"a": {"b": value}}]
    for function in (check_rows, write_rows):
        with pytest.raises(SchemaError, match=r"rows\.parquet: rows 512 to 600: " + message):
            function(tmp_path / "rows.parquet", rows)
    check_rows(tmp_path / "rows.jsonl", rows)
    assert not list(tmp_path.iterdir())


def test_a_whole_number_that_no_column_of_fractions_holds_leaves_no_file(tmp_path):
    rows = [{"a": 2**53 + 1}] * 512 + [{"a": 0.5}]
    for function in (check_rows, write_rows):
        with pytest.raises(SchemaError, match=r"rows 0 to 511: .*outside of the range exactly representable"):
            function(tmp_path / "rows.parquet", rows)
    assert not list(tmp_path.iterdir())


def test_bad_files_are_named(tmp_path):
    with pytest.raises(SchemaError, match=r"rows\.parquet: rows 0 to 1: .*several types"):
        write_rows(tmp_path / "rows.parquet", [{"a": 1}, {"a": "x"}])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"rows\.csv: name the output \*\.jsonl or \*\.parquet"):
        write_rows(tmp_path / "rows.csv", ROWS)
    (tmp_path / "text.parquet").write_text("{}\n")
    with pytest.raises(SchemaError, match=r"text\.parquet: this is no Parquet file"):
        list(RowFile(tmp_path / "text.parquet"))
