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


def expected(logs):
    """What a tracker has to show, by the name that trackers use and the step."""
    first, second, gsm8k, hard, _ = logs
    assert [step for step, _ in (first, second, gsm8k, hard)] == [1, 2, 2, 2]
    values = {(f"train/{name}", step): entry[name] for step, entry in (first, second) for name in TRAINING}
    for dataset, (step, entry) in (("gsm8k", gsm8k), ("hard", hard)):
        values |= {(f"eval/{dataset}_{name}", step): entry[f"eval_{dataset}_{name}"] for name in TRAINING}
    return values


def test_tensorboard(tmp_path):
    from transformers.integrations import TensorBoardCallback

    values = expected(trained(tmp_path, TensorBoardCallback))
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    tags = events.Tags()["scalars"]
    found = {(tag, event.step): event.value for tag in tags for event in events.Scalars(tag)}
    assert {key: found[key] for key in values} == {key: pytest.approx(value, rel=1e-6) for key, value in values.items()}
    assert values["train/weights/ess", 1] < 1
    # Without the set's name, one set would overwrite the other.
    assert not {f"eval/{name}" for name in TRAINING} & set(tags)


def test_wandb(tmp_path, monkeypatch):
    import wandb
    from transformers.integrations import WandbCallback

    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    values = expected(trained(tmp_path / "out", WandbCallback))
    # Of a run that is on no server, the last value of each metric can be read.
    last = {name: value for (name, step), value in values.items() if step == 2}
    found = dict(wandb.run.summary)
    wandb.finish()
    assert {name: found[name] for name in last} == pytest.approx(last, rel=1e-6)
