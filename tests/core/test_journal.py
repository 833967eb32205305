"""A journal gives back what an earlier run finished, and nothing that no longer fits."""

import json

import pytest

from trl_weighted_dpo.core.journal import Journal


def written(path, rows, key="k"):
    """Rows that had to be worked out anew."""
    new = []
    with Journal(path, key) as journal:
        for row in rows:
            if journal.next_entry({"row": row}) is None:
                new.append(row)
                journal.write({"row": row, "result": row * 2})
        journal.finish()
    return new


@pytest.mark.parametrize(
    ("rows", "key", "new"),
    [
        ("abc", "k", ""),
        ("abcd", "k", "d"),
        ("ab", "k", ""),
        ("axc", "k", "xc"),
        ("abc", "other", "abc"),
    ],
    ids=["same", "more rows", "fewer rows", "another row", "another key"],
)
def test_what_still_fits_is_resumed(tmp_path, rows, key, new):
    assert written(tmp_path / "j", "abc") == list("abc")
    assert written(tmp_path / "j", rows, key) == list(new)
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert lines == [{"key": key}, *({"row": row, "result": row * 2} for row in rows)]


@pytest.mark.parametrize("rest", [b'{"row": "c"', b"[1]\n", b"\xff\n", b"null\n", b'{"row": "x"}\n{"row": "c"}\n'])
def test_what_is_no_entry_is_worked_out_anew(tmp_path, rest):
    written(tmp_path / "j", "ab")
    with (tmp_path / "j").open("ab") as file:
        file.write(rest)
    assert written(tmp_path / "j", "abc") == ["c"]
    assert len((tmp_path / "j").read_text().splitlines()) == 4


@pytest.mark.parametrize("before", ["", "ab"])
def test_an_error_leaves_no_journal_without_rows(tmp_path, before):
    path = tmp_path / "j"
    if before:
        written(path, before)
    with pytest.raises(OSError, match="no space"), Journal(path, "k"):
        raise OSError("no space")
    assert path.exists() == bool(before)
    assert written(path, "abc") == list("abc"[len(before) :])


def test_a_journal_that_is_being_written_is_locked(tmp_path):
    path = tmp_path / "j"
    with Journal(path, "k") as journal:
        journal.write({"row": "a", "result": "aa"})
        with pytest.raises(ValueError, match=r"j: another process is writing this journal\. Wait until it ends"):
            Journal(path, "other")
    assert written(path, "ab") == ["b"]
