"""Seconds of a training step, taken in turns, and which part of it takes them."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from benchmarks.training_speed.contestants import Racer, examples_of
from torch import nn

AGREEMENT = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""How far, relatively, the first loss of those that train without weights may differ."""


@dataclass
class Times:
    """Seconds by round.

    Args:
        step: Forward and backward, wall clock.
        processor: The same, of all threads together.
        update: Optimizer step.
    """

    step: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)

    @property
    def whole(self) -> list[float]:
        return [step + update for step, update in zip(self.step, self.update, strict=True)]


def now() -> float:
    """Seconds, once the GPU, if it is used, has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def warm_up(racer: Racer, batches: int) -> float:
    """Run a step of the first micro-batches, with the optimizer; the first loss."""
    losses = []
    for batch in racer.batches[:batches]:
        losses.append(racer.step(batch).item())
        racer.update()
    return losses[0]


def check_agreement(losses: Mapping[str, float], tolerance: float) -> None:
    """Refuse to compare what does not compute the same.

    Raises:
        `ValueError`: Names the losses.
    """
    least, most = min(losses.values()), max(losses.values())
    if most - least > tolerance * abs(least):
        found = ", ".join(f"{name}: {loss:.6f}" for name, loss in losses.items())
        raise ValueError(f"The first losses differ by more than {tolerance:g}, relatively: {found}")


def race(racers: Mapping[str, Racer], rounds: int, progress: Callable[[str], None]) -> dict[str, Times]:
    """Time a step of each in turns, `rounds` times; every round has one micro-batch, the same for all."""
    times = {name: Times() for name in racers}
    for number in range(rounds):
        for name, racer in racers.items():
            batch = racer.batches[number % len(racer.batches)]
            started, worked = now(), time.process_time()
            racer.step(batch)
            stepped, rested = now(), time.process_time()
            racer.update()
            updated = now()
            times[name].step.append(stepped - started)
            times[name].processor.append(rested - worked)
            times[name].update.append(updated - stepped)
        done = ", ".join(f"{mine.step[-1]:.3g}" for mine in times.values())
        progress(f"round {number + 1} of {rounds}: {done} s")
    return times


PARTS = ("collate", "backbone, policy", "backbone, reference", "rest of forward", "backward", "optimizer", "log")


def parts(racer: Racer, pairs: int, rounds: int) -> dict[str, float]:
    """Median seconds of the parts of a step; `log` is what a step that logs takes on top."""
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    trainer = racer.trainer
    examples = examples_of(trainer, pairs)
    for number in range(rounds):
        started = now()
        batch = trainer.data_collator(examples[number % len(examples)])
        found["collate"].append(now() - started)
        trainer.model.train()
        with _Stopwatch(racer) as watch:
            started = now()
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))
            forward = now()
            trainer.accelerator.backward(loss)
            backward = now()
        racer.update()
        updated = now()
        trainer.log({})
        for part in ("backbone, policy", "backbone, reference"):
            found[part].append(watch.seconds[part])
        found["rest of forward"].append(forward - started - sum(watch.seconds.values()))
        found["backward"].append(backward - forward)
        found["optimizer"].append(updated - backward)
        found["log"].append(now() - updated)
    return {part: statistics.median(seconds) for part, seconds in found.items()}


class _Stopwatch:
    """Seconds that the forward of the backbones takes, by hooks."""

    def __init__(self, racer: Racer) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._models = {"backbone, policy": racer.trainer.model, "backbone, reference": racer.trainer.ref_model}
        self._hooks: list[Any] = []
        self._started = 0.0

    def __enter__(self) -> "_Stopwatch":
        for part, model in self._models.items():
            if model is not None:
                self._hooks.append(model.base_model.register_forward_pre_hook(self._start))
                self._hooks.append(model.base_model.register_forward_hook(self._stopper(part)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _start(self, *_: object) -> None:
        self._started = now()

    def _stopper(self, part: str) -> Callable[[nn.Module, Any, Any], None]:
        def stop(*_: object) -> None:
            self.seconds[part] += now() - self._started

        return stop
