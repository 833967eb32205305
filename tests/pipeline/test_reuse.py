"""Candidates of earlier rounds in a later one's pool."""

import pytest

from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.pipeline.reuse import joined_rows, reuse


def rows(word, count=400):
    return [
        {"id": f"p{i}", "problem": f"Problem {i}", "candidates": [{"solution": "same"}, {"solution": f"{word} {i}"}]}
        for i in range(count)
    ]


def test_a_share_of_problems_gets_the_earlier_candidates_behind_its_own():
    joined = list(joined_rows(rows("new"), rows("old"), 0.25, 0))
    assert [row["id"] for row in joined] == [row["id"] for row in rows("new")]
    more = [row for row in joined if len(row["candidates"]) > 2]
    # 0.25 of 400, with a standard deviation of 8.7.
    assert 70 <= len(more) <= 130
    for row in more:
        number = row["id"][1:]
        assert [item["solution"] for item in row["candidates"]] == ["same", f"new {number}", f"old {number}"]
    assert [row for row in joined if len(row["candidates"]) == 2] == [row for row in rows("new") if row in joined]


def test_the_seed_and_the_id_alone_decide_and_a_larger_share_holds_a_smaller_one():
    def chosen(share, seed, pool=None):
        joined = joined_rows(pool or rows("new"), rows("old"), share, seed)
        return {row["id"] for row in joined if len(row["candidates"]) > 2}

    assert chosen(0.25, 0) < chosen(0.5, 0)
    assert chosen(0.25, 0) != chosen(0.25, 1)
    assert chosen(0.25, 0, rows("new")[::-1]) == chosen(0.25, 0)
    assert chosen(0.0, 0) == set()
    assert len(chosen(1.0, 0)) == 400


def test_a_problem_without_an_id_is_told_by_its_text_and_profiles_come_along(tmp_path):
    new = [{"problem": "P", "candidates": [{"solution": "a"}]}]
    old = [{"problem": "P", "candidates": [{"solution": "b", "profile": {"x": 1}}, {"solution": "b", "profile": {}}]}]
    (row,) = joined_rows(new, old, 1.0, 0)
    assert row["candidates"] == [{"solution": "a"}, {"solution": "b", "profile": {"x": 1}}]
    assert new == [{"problem": "P", "candidates": [{"solution": "a"}]}]
    for name, content in (("new", rows("new", 3)), ("old", rows("old", 3))):
        write_rows(tmp_path / f"{name}.jsonl", content)
    reuse(tmp_path / "new.jsonl", tmp_path / "old.jsonl", 1.0, tmp_path / "out.parquet")
    assert [len(row["candidates"]) for row in RowFile(tmp_path / "out.parquet")] == [3, 3, 3]


@pytest.mark.parametrize("name", ["no.jsonl", "pool.txt"])
def test_bad_input_is_one_line(tmp_path, capsys, name):
    import typer

    write_rows(tmp_path / "new.jsonl", rows("new", 3))
    paths = (tmp_path / "no.jsonl", "out.jsonl") if name == "no.jsonl" else (tmp_path / "new.jsonl", name)
    with pytest.raises(typer.Exit):
        reuse(tmp_path / "new.jsonl", paths[0], 1.0, tmp_path / paths[1])
    assert capsys.readouterr().err.startswith("Error: ")
