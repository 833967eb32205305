"""Peak memory of a training step: of a process of its own on the CPU, of the allocator on a GPU."""

import ctypes
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.training_speed.contestants import Contestant, Racer, Size, make_racer
from benchmarks.training_speed.figures import peak
from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Memory:
    """Bytes, of forward and backward of one micro-batch.

    Args:
        weights: Of policy and, if it is in memory, reference.
        above: The most that tensors took at a time beyond what was there before the step; gradients included.
        resident: Growth of the process from before the models were made to the highest of the step, `None` on a GPU.
        resident_above: Growth of the process from before the step to its highest, `None` on a GPU.
        update: As `above`, of forward, backward and optimizer step together with AdamW's state.
    """

    weights: int
    above: int
    resident: int | None
    resident_above: int | None
    update: int

    @property
    def whole(self) -> int:
        """What tensors took at the highest: weights, gradients, activations, and the reference if it is in memory."""
        return self.weights + self.above


def process_memory(
    contestant: Contestant, size: Size, tokenizer: Any, pairs: list[dict[str, Any]], threads: int
) -> Memory:
    """Measure in a fresh process, on the CPU; the pairs are one micro-batch."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_in_process, contestant, size, tokenizer, pairs, threads).result()


def _in_process(
    contestant: Contestant, size: Size, tokenizer: Any, pairs: list[dict[str, Any]], threads: int
) -> Memory:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        _touch_libraries()
        before = _settled()
        racer = make_racer(contestant, size, tokenizer, pairs, len(pairs), folder)
        (batch,) = racer.batches
        racer.step(batch)
        racer.forget()
        ready = _settled()
        racer.step(batch)
        highest = _status("VmHWM")
        racer.forget()
        above = highest_allocation(lambda: racer.step(batch))
        gradients = sum(_size(item.grad) for item in racer.trainer.model.parameters() if item.grad is not None)
        # The first makes the state.
        racer.trainer.optimizer.step()
        update = highest_allocation(racer.trainer.optimizer.step)
        update = optimizer_state(racer) + max(above, gradients + update)
    return Memory(weights_of(racer), above, highest - before, highest - ready, update)


def gpu_memory(racer: Racer) -> Memory:
    """Measure the first micro-batch; other contestants may be in memory. After a warm-up."""
    batch = racer.batches[0]
    racer.forget()
    above = gpu_highest_allocation(lambda: racer.step(batch))
    racer.update()
    update = optimizer_state(racer) + gpu_highest_allocation(
        lambda: (racer.step(batch), racer.trainer.optimizer.step())
    )
    racer.forget()
    return Memory(weights_of(racer), above, None, None, update)


def weights_of(racer: Racer) -> int:
    """Bytes of the parameters of the models in memory."""
    models = [model for model in (racer.trainer.model, racer.trainer.ref_model) if model is not None]
    return sum(_size(parameter) for model in models for parameter in model.parameters())


def optimizer_state(racer: Racer) -> int:
    """Bytes of the optimizer's state."""
    states: Iterable[dict[str, Any]] = racer.trainer.optimizer.state.values()
    return sum(_size(value) for state in states for value in state.values() if isinstance(value, torch.Tensor))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def highest_allocation(work: Callable[[], object]) -> int:
    """The most bytes by which what torch's CPU allocator gave out exceeded what it had given out before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return peak([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])


def gpu_highest_allocation(work: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _touch_libraries() -> None:
    """Let the libraries of matrix products take what they keep, and torch its threads."""
    layer = torch.nn.Linear(512, 512)
    layer(torch.randn(512, 512)).sum().backward()


def _settled() -> int:
    """Resident bytes, once the C library has given back what is free; from here on the high-water mark counts anew."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
