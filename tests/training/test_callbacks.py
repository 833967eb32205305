"""The health callback over histories of logs: what it says, writes and stops, resumed and in several processes."""

import json
import logging
import math
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from tests.training.test_health import SICK, history
from trl_weighted_dpo.training.callbacks import PreferenceHealthCallback
from trl_weighted_dpo.training.health import STOPPING
from trl_weighted_dpo.training.objective import Objective


def drive(callback, logs, folder, before=(), is_first=True):
    """Run the callback over logs, as the Trainer does; the control it ends with."""
    args = SimpleNamespace(
        train_batch_size=8, gradient_accumulation_steps=1, world_size=1, fp16=False, output_dir=str(folder)
    )
    state, control = TrainerState(log_history=list(before), is_world_process_zero=is_first), TrainerControl()
    callback.on_train_begin(args, state, control)
    for log in logs:
        state.global_step = log["step"]
        state.log_history.append(log)
        callback.on_log(args, state, control, logs={name: value for name, value in log.items() if name != "step"})
        if control.should_training_stop:
            break
    callback.on_train_end(args, state, control)
    return control, state


def test_each_sign_is_said_once_and_written(tmp_path, caplog):
    logs = history(**SICK["displacement"][0], weights__ess_run=0.1)
    every = [entry for log in logs for entry in (log, {"eval_loss": math.nan, "step": log["step"]})]
    with caplog.at_level(logging.WARNING):
        control, _ = drive(PreferenceHealthCallback(Objective()), every, tmp_path)
    assert [record.getMessage().split(":")[0][:40] for record in caplog.records] == [
        "At step 10, the effective sample size of",
        "At step 100, the loss has fallen from 0.",
    ]
    content = json.loads((tmp_path / "health.json").read_text())
    assert [finding["signature"] for finding in content["findings"]] == ["ess_collapse", "displacement"]
    assert all(finding[part] for finding in content["findings"] for part in ("seen", "why", "change"))
    assert (content["step"], content["logs"], content["stopped_early"]) == (200, 20, False)
    assert not control.should_training_stop


@pytest.mark.parametrize("place", range(20))
def test_a_resumed_run_finds_the_same_and_says_nothing_twice(tmp_path, caplog, place):
    logs = history(**SICK["displacement"][0])
    whole = PreferenceHealthCallback(Objective())
    drive(whole, logs, tmp_path / "whole")
    caplog.clear()
    parts = PreferenceHealthCallback(Objective())
    with caplog.at_level(logging.WARNING):
        drive(parts, logs[place:], tmp_path / "parts", before=logs[:place])
    assert parts.findings == whole.findings
    assert len(caplog.records) == (1 if place < 10 else 0)
    contents = [json.loads((tmp_path / name / "health.json").read_text()) for name in ("whole", "parts")]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("signature", [*SICK, "saturated_start"])
def test_early_stop_is_for_what_makes_the_model_worse(tmp_path, caplog, signature):
    changes = SICK[signature][0] if signature in SICK else {"rewards__accuracies": 1.0, "rewards__margins": 0.5}
    with caplog.at_level(logging.WARNING):
        control, state = drive(PreferenceHealthCallback(Objective(), early_stop=True), history(**changes), tmp_path)
    assert control.should_training_stop == (signature in STOPPING)
    assert ("Training stops here (health_early_stop)." in caplog.text) == (signature in STOPPING)
    assert (state.global_step < 200) == (signature in STOPPING)
    assert json.loads((tmp_path / "health.json").read_text())["stopped_early"] == (signature in STOPPING)


def test_every_process_stops_and_only_the_first_speaks_and_writes(tmp_path, caplog):
    callback = PreferenceHealthCallback(Objective(), early_stop=True)
    with caplog.at_level(logging.WARNING):
        control, _ = drive(callback, history(**SICK["displacement"][0]), tmp_path, is_first=False)
    assert control.should_training_stop
    assert not caplog.records
    assert not list(tmp_path.iterdir())
