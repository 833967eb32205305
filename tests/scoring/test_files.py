"""Scoring is taken up where it stopped, anew where something changed, and is the same shared among processes."""

import pytest

from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import Scorer, ScoringConfig
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.scoring import scoring
from trl_weighted_dpo.scoring.files import ScoredRows, journal_paths, remove_journals, score_into

POOL = tiny_pool(24)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW_CHARACTERS", 800)


@pytest.fixture(scope="module")
def scorer():
    return Scorer(tiny_model(3), tiny_tokenizer())


@pytest.fixture
def scored(monkeypatch):
    """Ids of the rows that were really scored."""
    ids, kept = [], Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda self, rows, *given: (ids.extend(row["id"] for row in rows), kept(self, rows, *given))[1]
    )
    return ids


def ids_of(rows):
    return [row["id"] for row in rows]


def begin_of_window(position):
    """Where the window of a row begins."""
    return max(first for first, _ in scoring.windows(POOL, "pool") if first <= position)


def test_a_journal_holds_what_scoring_in_memory_gives(tmp_path, scorer):
    score_into(tmp_path / "j", POOL, scorer)
    rows = ScoredRows(POOL, [tmp_path / "j"], scorer.fingerprint)
    assert [*rows] == [*rows] == [row for _, window in scoring.windows(POOL, "pool") for row in scorer(window)]


@pytest.mark.parametrize("cut", [0, 1, 400])
def test_a_cut_journal_is_resumed(tmp_path, scorer, scored, cut):
    path = tmp_path / "j"
    score_into(path, POOL, scorer)
    assert scored == ids_of(POOL)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:cut])
    scored.clear()
    score_into(path, POOL, scorer)
    first, _ = [*scoring.windows(POOL, "pool")][3]
    assert scored == ids_of(POOL[first:])
    assert 0 < first < len(POOL)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"max_length": 50},
        {"prompt_template": "{problem}\n\n"},
        {"system_prompt": "s"},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_other_settings_begin_anew(tmp_path, scorer, scored, changes):
    score_into(tmp_path / "j", POOL, scorer)
    scored.clear()
    score_into(tmp_path / "j", POOL, Scorer(tiny_model(3), tiny_tokenizer(), ScoringConfig(**changes)))
    assert scored == ids_of(POOL)


def test_another_model_begins_anew_and_the_same_one_goes_on(tmp_path, scored):
    for seed, folder in ((0, "one"), (1, "other")):
        tiny_model(seed).save_pretrained(tmp_path / folder)

    def scorer_of(folder):
        return Scorer(type(tiny_model()).from_pretrained(tmp_path / folder), tiny_tokenizer())

    score_into(tmp_path / "j", POOL, scorer_of("one"))
    scored.clear()
    score_into(tmp_path / "j", POOL, scorer_of("one"))
    assert scored == []
    score_into(tmp_path / "j", POOL, scorer_of("other"))
    assert scored == ids_of(POOL)


def test_smaller_batches_go_on(tmp_path, scorer, scored):
    score_into(tmp_path / "j", POOL, scorer)
    scored.clear()
    score_into(tmp_path / "j", POOL, Scorer(tiny_model(3), tiny_tokenizer(), ScoringConfig(batch_tokens=100)))
    assert scored == []


@pytest.mark.parametrize("change", [{"reference_answer": "-5"}, {"candidates": [{"solution": "A: 1"}]}])
def test_a_changed_row_is_scored_anew_with_its_window_and_what_follows(tmp_path, scorer, scored, change):
    score_into(tmp_path / "j", POOL, scorer)
    changed = [*POOL[:10], {**POOL[10], **change}, *POOL[11:]]
    scored.clear()
    score_into(tmp_path / "j", changed, scorer)
    assert scored == ids_of(POOL[begin_of_window(10) :])
    rows = [*ScoredRows(changed, [tmp_path / "j"], scorer.fingerprint)]
    assert ids_of(rows) == ids_of(POOL)


def test_other_columns_may_change(tmp_path, scorer, scored):
    score_into(tmp_path / "j", POOL, scorer)
    verified = [
        {**row, "candidates": [{**candidate, "profile": {"verdict": "correct"}} for candidate in row["candidates"]]}
        for row in POOL
    ]
    scored.clear()
    score_into(tmp_path / "j", verified, scorer)
    assert scored == []
    rows = [*ScoredRows(verified, [tmp_path / "j"], scorer.fingerprint)]
    assert all(c["profile"] == {"verdict": "correct"} and c["score"]["tokens"] for r in rows for c in r["candidates"])


def test_a_bad_row_keeps_what_came_before(tmp_path, scorer, scored):
    with pytest.raises(SchemaError, match="pool: row 14, column 'problem'"):
        score_into(tmp_path / "j", [*POOL[:14], {"problem": "", "candidates": []}, *POOL[14:]], scorer)
    assert scored == ids_of(POOL[: begin_of_window(14)])
    scored.clear()
    score_into(tmp_path / "j", POOL, scorer)
    assert scored == ids_of(POOL[begin_of_window(14) :])


@pytest.mark.parametrize("processes", [2, 3, 40])
def test_shares_together_are_the_whole(tmp_path, scorer, scored, processes):
    score_into(tmp_path / "whole", POOL, scorer)
    whole = ScoredRows(POOL, [tmp_path / "whole"], scorer.fingerprint)
    scored.clear()
    journals = journal_paths(tmp_path / "out.jsonl", processes)
    for process, journal in enumerate(journals):
        score_into(journal, POOL, scorer, "pool", process, processes)
    assert sorted(scored) == sorted(ids_of(POOL))
    shares = ScoredRows(POOL, journals, scorer.fingerprint)
    assert [*shares] == [*whole]
    assert shares.report() == whole.report()
    remove_journals(tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_journals_of_another_number_of_processes_are_not_mixed_in(tmp_path, scorer, scored):
    journals = journal_paths(tmp_path / "out.jsonl", 2)
    for process, journal in enumerate(journals):
        score_into(journal, POOL, scorer, "pool", process, 2)
    scored.clear()
    score_into(journals[0], POOL, scorer)
    assert scored == ids_of(POOL)


def test_only_journals_are_removed(tmp_path):
    names = ["out.jsonl.journal", "out.jsonl.journal-1", "out.jsonl.journal-old", "out.jsonl", "xout.jsonl.journal"]
    for name in names:
        (tmp_path / name).touch()
    remove_journals(tmp_path / "out.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:]}


@pytest.mark.parametrize("rows", [POOL[:-1], [*POOL, POOL[0]], [*POOL[:3], POOL[0], *POOL[4:]]])
def test_rows_that_changed_while_they_were_scored_are_refused(tmp_path, scorer, rows):
    score_into(tmp_path / "j", POOL, scorer)
    with pytest.raises(ValueError, match="the rows have changed while they were scored"):
        list(ScoredRows(rows, [tmp_path / "j"], scorer.fingerprint))


def test_a_report_counts_what_was_scored(tmp_path):
    rows = [
        {**POOL[0], "candidates": [*POOL[0]["candidates"], {"solution": "\udc80"}]},
        {**POOL[1], "problem": POOL[1]["problem"] * 9, "reference_solution": None},
    ]
    scorer = Scorer(tiny_model(3), tiny_tokenizer(), ScoringConfig(max_length=60))
    score_into(tmp_path / "j", rows, scorer)
    scores = [c["score"] for row in scorer(rows) for c in row["candidates"]]
    report = ScoredRows(rows, [tmp_path / "j"], scorer.fingerprint).report()
    assert (report.problems, report.candidates, report.references) == (2, 9, 1)
    assert (report.unreadable, report.without_tokens) == (1, 4)
    assert report.truncated == sum(score["truncated"] for score in scores if score)
    assert report.tokens == sum(score["tokens"] for score in scores if score)
    assert list(report.confidence) == [score["confidence"] for score in scores if score and score["tokens"]]
    assert len(report.perplexity) == 4
