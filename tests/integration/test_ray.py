"""The recipe for Ray Data, on a local Ray with two workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_pool
from trl_weighted_dpo import PairingConfig, mine_pairs
from trl_weighted_dpo.core.files import RowFile, write_rows

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ray_mining.py"


@pytest.mark.long
def test_ray_mines_the_pairs_that_one_process_mines(tmp_path):
    pool = tiny_pool(40)
    for part in range(4):
        write_rows(tmp_path / "pools" / f"{part}.parquet", pool[part * 10 : part * 10 + 10])
    command = [
        sys.executable,
        str(RECIPE),
        str(tmp_path / "pools"),
        str(tmp_path / "pairs"),
        "--pairs-per-problem",
        "2",
    ]
    environment = {**os.environ, "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [pair for path in (tmp_path / "pairs").glob("*.parquet") for pair in RowFile(path)]
    expected, _ = mine_pairs(pool, config=PairingConfig(pairs_per_problem=2), progress=False)
    assert len(expected) == 60
    by_texts = {(pair["problem_id"], pair["chosen"], pair["rejected"]): pair for pair in found}
    assert len(by_texts) == len(found)
    for pair in expected:
        same = by_texts.pop((pair["problem_id"], pair["chosen"], pair["rejected"]))
        assert {name: same[name] for name in pair} == pair
        assert same["ref_digest"] is None
    assert not by_texts
