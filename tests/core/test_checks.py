"""Rows are checked with file, row, column, value and a way out."""

import bz2
import gzip
import lzma

import pytest

from trl_weighted_dpo.core.checks import (
    SchemaError,
    check_pair_row,
    check_profile_row,
    check_solution_row,
    solution_rows,
)
from trl_weighted_dpo.core.files import read_jsonl, write_jsonl
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier

PROFILE = MathVerifier().verify("What is 6 x 7?", "A: 43", "42").to_dict()


def test_a_written_profile_is_a_profile_row():
    check_profile_row(PROFILE, 0)
    assert ErrorProfile.from_dict(PROFILE).to_dict() == PROFILE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "right"}, "p.jsonl: row 3, column 'verdict': got 'right'. Give one of correct, incorrect"),
        ({"verdict": None}, "column 'verdict': got null. Write profiles with ErrorProfile.to_dict"),
        ({"scores": {"final_answer": 1.5}}, "column 'scores.final_answer': got 1.5. Give a number in"),
        ({"scores": [1]}, "column 'scores': got"),
        ({"first_faulty_step": "2"}, "column 'first_faulty_step': got '2'"),
    ],
)
def test_bad_profiles_are_named(change, message):
    with pytest.raises(SchemaError) as error:
        ErrorProfile.from_dict({**PROFILE, **change}, 3, "p.jsonl")
    assert message in str(error.value)


def test_a_profile_without_a_column_is_named():
    with pytest.raises(SchemaError, match=r"column 'evidence': the column is missing"):
        check_profile_row({name: value for name, value in PROFILE.items() if name != "evidence"}, 0)


def test_the_solutions_of_a_row():
    pool_row = {"id": "x", "problem": "p", "candidates": [{"solution": "s", "steps": 7}, {"solution": "t"}]}
    shared = {"problem": "p", "reference_answer": None, "reference_solution": None}
    assert solution_rows(pool_row) == [{**shared, "solution": "s"}, {**shared, "solution": "t"}]
    assert solution_rows({"problem": "p", "steps": ["s"]}) == [{**shared, "solution": None, "steps": ["s"]}]


def test_pairs_in_any_format():
    message = [{"role": "user", "content": "x"}]
    for row in (
        {"prompt": "p", "chosen": "c", "rejected": "r"},
        {"prompt": message, "chosen": message, "rejected": message},
        {"chosen": message, "rejected": message},
    ):
        check_pair_row(row, 0)


def test_a_broken_surrogate_is_named():
    with pytest.raises(SchemaError, match=r"row 5, column 'chosen': .*broken surrogate"):
        check_pair_row({"prompt": "p", "chosen": "A: \udc80", "rejected": "r"}, 5)


def test_files_are_replaced_only_when_complete(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": "é"}])
    assert list(read_jsonl(path)) == [{"a": "é"}]
    write_jsonl(tmp_path / "lone.jsonl", [{"a": "é\udc80"}])
    assert list(read_jsonl(tmp_path / "lone.jsonl")) == [{"a": "é\udc80"}]

    def broken():
        yield {"a": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, broken())
    assert list(read_jsonl(path)) == [{"a": "é"}]


@pytest.mark.parametrize("row", [{"problem": "p", "steps": []}, {"problem": "p", "steps": [], "solution": None}])
def test_empty_steps_are_named(row):
    with pytest.raises(SchemaError) as error:
        check_solution_row(row, 2, "s.jsonl")
    assert str(error.value) == (
        "s.jsonl: row 2, column 'steps': got []. It is empty: give at least one text, or a text as 'solution'. "
        "(Rows are counted from 0.)"
    )
    check_solution_row({**row, "solution": "A: 7"}, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gzip.compress(b"{}", mtime=0),
            r"p: this is no JSONL file but compressed \(gzip\); unpack it first, as with `gunzip",
        ),
        (bz2.compress(b"{}"), r"compressed \(bzip2\)"),
        (lzma.compress(b"{}"), r"compressed \(xz\)"),
        (b"PAR1\x15\x04", r"Parquet; write it as JSONL first"),
    ],
)
def test_files_of_other_formats_are_named(tmp_path, content, message):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(SchemaError, match=message):
        list(read_jsonl(tmp_path / "p"))


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(SchemaError, match=r"rows\.jsonl: row 1, .*not valid JSON in UTF-8"):
        list(read_jsonl(path))


def test_long_values_are_cut_in_messages():
    with pytest.raises(SchemaError) as error:
        check_pair_row({"prompt": "p", "chosen": "c", "rejected": {"x" * 500: 1}}, 0)
    assert len(str(error.value)) < 250
