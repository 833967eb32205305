"""Mining is taken up where it stopped, and anew where something changed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.tiny import tiny_pool
from trl_weighted_dpo import PairingConfig, mine_pairs
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.mining import assessing
from trl_weighted_dpo.mining.journal import MinedPairs, mine_into

POOL = tiny_pool(12)


@pytest.fixture
def assessed(monkeypatch):
    """Ids of the problems whose candidates were really looked at."""
    ids, kept = [], assessing.assess_row
    monkeypatch.setattr(assessing, "assess_row", lambda row, *given: (ids.append(row["id"]), kept(row, *given))[1])
    return ids


@pytest.fixture
def mine(tmp_path):
    def run(rows=POOL, workers=1, **settings):
        report = mine_into(tmp_path / "j", tmp_path / "pairs", rows, config=PairingConfig(**settings), workers=workers)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "pairs"]
        return list(MinedPairs(tmp_path / "pairs")), report.to_dict()

    return run


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("settings", [{"pairs_per_problem": 2}, {"match_lengths": True}, {"strategy": "random"}])
def test_files_hold_what_mining_in_memory_gives(mine, workers, settings):
    pairs, report = mine(workers=workers, **settings)
    expected, in_memory = mine_pairs(POOL, config=PairingConfig(**settings), progress=False)
    assert pairs == expected
    assert report == in_memory.to_dict()


def test_in_memory_several_processes_give_what_one_gives():
    pool = tiny_pool(60)
    assert mine_pairs(pool, workers=2, progress=False)[0] == mine_pairs(pool, progress=False)[0]


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_cut_journal_is_resumed(tmp_path, mine, assessed, cut):
    path = tmp_path / "j"
    before = mine()
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:cut])
    assessed.clear()
    assert mine() == before
    assert assessed == [row["id"] for row in POOL[5:]]
    assert path.read_bytes() == whole


def test_settings_of_the_choice_need_no_new_verification_and_others_do(mine, assessed):
    mine()
    assessed.clear()
    assert len(mine(pairs_per_problem=3, strategy="random")[0]) > len(mine()[0])
    assert assessed == []
    mine(seed=7)
    assert len(assessed) == 12


def test_a_changed_row_is_mined_anew_from_there_on(mine, assessed):
    mine()
    changed = [*POOL[:8], {**POOL[8], "reference_answer": "-5"}, *POOL[9:11]]
    assessed.clear()
    pairs, report = mine(changed)
    assert assessed == [row["id"] for row in POOL[8:11]]
    assert report["problems"] == 11
    assert pairs == mine_pairs(changed, progress=False)[0]


def test_a_profile_or_score_that_changed_counts_as_a_changed_row():
    row = POOL[0]
    profile = {"verdict": "correct", "answer": "1", "answer_is_weak": False, "scores": {}, "first_faulty_step": None}
    profile |= {"wrongness": None, "absurdity": None}
    digests = {
        assessing.row_digest({**row, "candidates": [{"solution": "A: 1", **more}]})
        for more in ({}, {"profile": profile}, {"profile": {**profile, "verdict": "incorrect"}}, {"score": {"logp": 1}})
    }
    assert len(digests) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_row_keeps_what_came_before(tmp_path, mine, assessed, workers):
    with pytest.raises(SchemaError, match="pool: row 7"):
        mine([*POOL[:7], {"problem": ""}, *POOL[7:]], workers)
    assert len((tmp_path / "j").read_text().splitlines()) == 1 + 7
    assessed.clear()
    mine()
    assert assessed == [row["id"] for row in POOL[7:]]


def test_rows_that_change_while_they_are_mined_are_refused(tmp_path):
    class Changing(list):
        def __iter__(self):
            rows = list(super().__iter__())
            self.reverse()
            return iter(rows)

    with pytest.raises(ValueError, match="the rows have changed while they were mined"):
        mine_into(tmp_path / "j", tmp_path / "pairs", Changing(POOL))


def test_killed_and_run_again_writes_the_same_pairs(tmp_path):
    pool, output = tmp_path / "pool.jsonl", tmp_path / "pairs.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(2000)))
    command = [sys.executable, "-c", "from trl_weighted_dpo.cli import main; main()", "mine", str(pool)]
    process = subprocess.Popen([*command, "-o", str(output)], stderr=subprocess.DEVNULL)
    journal = tmp_path / "pairs.jsonl.journal"
    while process.poll() is None and not (journal.is_file() and journal.stat().st_size > 100_000):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert journal.is_file()
    assert not output.exists()
    subprocess.run([*command, "-o", str(output)], check=True, capture_output=True)
    subprocess.run([*command, "-o", str(tmp_path / "whole.jsonl")], check=True, capture_output=True)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not journal.exists()
