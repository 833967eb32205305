"""Two runs in one folder."""

import os

import pytest

from trl_weighted_dpo.pipeline import processes
from trl_weighted_dpo.pipeline.processes import alone


def test_a_folder_is_locked_as_long_as_anyone_has_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_ENDING_SECONDS", 0.3)
    with alone(tmp_path) as lock:
        # As a child has it, which may outlive the run.
        left_behind = os.dup(lock)
        with (
            pytest.raises(ValueError, match="another `weighted-dpo run`, or a stage that one has left behind"),
            alone(tmp_path),
        ):
            pass
    with pytest.raises(ValueError, match="works in this folder"), alone(tmp_path):
        pass
    os.close(left_behind)
    with alone(tmp_path):
        pass
