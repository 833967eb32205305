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
from trl_weighted_dpo.mining import journal as module
from trl_weighted_dpo.mining.journal import mine_into, mined_rows
from trl_weighted_dpo.schema import SchemaError

POOL = tiny_pool(12)


@pytest.fixture
def mined(monkeypatch):
    """Ids of the problems that were really mined."""
    ids, kept = [], module.mine_problem
    monkeypatch.setattr(module, "mine_problem", lambda row, *given: (ids.append(row["id"]), kept(row, *given))[1])
    return ids


def pairs_of(path):
    return [pair for row in mined_rows(path) for pair in row["pairs"]]


def test_a_journal_holds_what_mining_in_memory_gives(tmp_path):
    report = mine_into(tmp_path / "j", POOL, config=PairingConfig(pairs_per_problem=2))
    pairs, expected = mine_pairs(POOL, config=PairingConfig(pairs_per_problem=2), progress=False)
    assert pairs_of(tmp_path / "j") == pairs
    assert report.to_dict() == expected.to_dict()


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_cut_journal_is_taken_up(tmp_path, mined, cut):
    path = tmp_path / "j"
    report = mine_into(path, POOL)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:cut])
    mined.clear()
    assert mine_into(path, POOL).to_dict() == report.to_dict()
    assert mined == [row["id"] for row in POOL[5:]]
    assert path.read_bytes() == whole


def test_other_settings_begin_anew(tmp_path, mined):
    mine_into(tmp_path / "j", POOL)
    mined.clear()
    mine_into(tmp_path / "j", POOL, config=PairingConfig(seed=7))
    assert len(mined) == 12


def test_a_changed_row_is_mined_anew_from_there_on(tmp_path, mined):
    mine_into(tmp_path / "j", POOL)
    changed = [*POOL[:8], {**POOL[8], "reference_answer": "-5"}, *POOL[9:11]]
    mined.clear()
    report = mine_into(tmp_path / "j", changed)
    assert mined == [row["id"] for row in POOL[8:11]]
    assert report.problems == 11
    assert pairs_of(tmp_path / "j") == mine_pairs(changed, progress=False)[0]


def test_a_bad_row_keeps_what_came_before(tmp_path, mined):
    with pytest.raises(SchemaError, match="row 7"):
        mine_into(tmp_path / "j", [*POOL[:7], {"problem": ""}, *POOL[7:]])
    mined.clear()
    mine_into(tmp_path / "j", POOL)
    assert mined == [row["id"] for row in POOL[7:]]


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
