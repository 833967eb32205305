"""Metrics reach trackers through the Trainer: TensorBoard and wandb as files on disk, and any other by `on_log`."""

import pytest
from datasets import Dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback

from tests.arena import make, weighted

TRAINING = ("loss", "loss/unweighted", "weights/ess", "weights/mean", "rewards/margins", "logps/chosen", "entropy")


class Recorder(TrainerCallback):
    """What a tracker is given: every log with its step."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append((state.global_step, dict(logs)))


def trained(folder, tracker):
    sets = {"gsm8k": Dataset.from_list(weighted([1.0, 2.0])), "hard": Dataset.from_list(weighted([0.5, 1.5]))}
    trainer = make(
        folder, eval_dataset=sets, max_steps=2, logging_steps=1, eval_strategy="steps", eval_steps=2,
        save_strategy="no", learning_rate=1e-3,
    )  # fmt: skip
    recorder = Recorder()
    trainer.add_callback(recorder)
    trainer.add_callback(tracker)
    trainer.train()
    return recorder.logs


def assert_all_there(logs, found):
    """Every number that was logged is in `found`, by the name that trackers use and its step."""
    first, second, gsm8k, hard, _ = logs
    for step, entry in (first, second):
        for name in TRAINING:
            assert found[f"train/{name}", step] == pytest.approx(entry[name], rel=1e-6)
    for name, (step, entry) in (("gsm8k", gsm8k), ("hard", hard)):
        for value in TRAINING:
            assert found[f"eval/{name}_{value}", step] == pytest.approx(entry[f"eval_{name}_{value}"], rel=1e-6)
    assert first[1]["weights/ess"] < 1
    assert ("eval/loss", 2) not in found


def test_tensorboard(tmp_path):
    from transformers.integrations import TensorBoardCallback

    logs = trained(tmp_path, TensorBoardCallback)
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    found = {
        (tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)
    }  # fmt: skip
    assert_all_there(logs, found)


def test_wandb(tmp_path, monkeypatch):
    import wandb
    from transformers.integrations import WandbCallback

    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    logs = trained(tmp_path / "out", WandbCallback)
    summary = dict(wandb.run.summary)
    wandb.finish()
    # Of a run that is not on a server, the last value of each metric can be read.
    last = {(name, 1): entry for name, entry in logs[0][1].items()}
    found = {(name, 2): value for name, value in summary.items()}
    found |= {(f"train/{name}", 1): value for (name, _), value in last.items()}
    assert_all_there(logs, found)
