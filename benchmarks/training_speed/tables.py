"""What was measured, as Markdown."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.training_speed.contestants import OURS, Racer
from benchmarks.training_speed.counting import Positions
from benchmarks.training_speed.figures import Spread, ratios
from benchmarks.training_speed.memory import Memory
from benchmarks.training_speed.speed import PARTS, Times
from benchmarks.training_speed.weighting import WeightingCost
from benchmarks.verifying.tables import table


def speed_table(times: Mapping[str, Times], on_gpu: bool) -> list[str]:
    """Seconds and ratios; processor seconds tell, on a CPU, how much of the time the machine gave to others."""
    ours = times[OURS.name]
    header = ["contestant", "step, ms", "× step", "optimizer, ms", "× step and optimizer"]
    rows = []
    for name, mine in times.items():
        row = [
            name,
            Spread.of(mine.step).text(0 if not on_gpu else 1, 1000),
            ratios(mine.step, ours.step).text(2),
            Spread.of(mine.update).text(0 if not on_gpu else 1, 1000),
            ratios(mine.whole, ours.whole).text(2),
        ]
        rows.append(
            row
            if on_gpu
            else [*row, Spread.of(mine.processor).text(0, 1000), ratios(mine.processor, ours.processor).text(2)]
        )
    return table(header if on_gpu else [*header, "step, ms of processor", "× processor"], rows)


def positions_table(counted: Mapping[str, Positions], racers: Mapping[str, Racer]) -> list[str]:
    """Positions of the first micro-batch."""
    batch = next(iter(racers.values())).batches[0]
    padded, real = batch["input_ids"].numel(), int(batch["attention_mask"].sum())
    completions = int(batch["completion_mask"].sum())
    rows = [
        (
            name,
            found.backbone,
            found.backbone_reference or "-",
            found.head,
            found.head_reference or "-",
        )
        for name, found in counted.items()
    ]
    intro = (
        f"Positions of the first micro-batch in the forward. Its sequences, two of each pair, have {real} tokens, "
        f"{padded} with padding; {completions} are of completions."
    )
    header = ("contestant", "backbone, policy", "backbone, reference", "LM head, policy", "LM head, reference")
    return [intro, "", *table(header, rows)]


def parts_table(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Where the time of a step goes."""
    digits = 2 if sum(next(iter(found.values())).values()) < 1 else 1
    rows = [(name, *(f"{seconds[part] * 1000:.{digits}f}" for part in PARTS)) for name, seconds in found.items()]
    return [
        "Parts of a step, ms, measured apart; `log` is what a step that logs takes on top:",
        "",
        *table(("contestant", *PARTS), rows),
    ]


def memory_table(found: Mapping[str, Memory]) -> list[str]:
    """Peaks, and what part ours is of each."""
    ours = found[OURS.name]
    on_gpu = ours.resident is None
    header = ["contestant", "weights", "peak", "above weights", "ours is", "with optimizer", "ours is"]
    if not on_gpu:
        header += ["process, peak", "above weights", "ours is"]
    rows = []
    for name, memory in found.items():
        with_optimizer = memory.weights + memory.update
        row = [
            name,
            mib(memory.weights),
            mib(memory.whole),
            mib(memory.above),
            share(ours.whole, memory.whole),
            mib(with_optimizer),
            share(ours.weights + ours.update, with_optimizer),
        ]
        if not on_gpu:
            row += [
                mib(memory.resident),
                mib(memory.resident_above),
                share(ours.resident, memory.resident),
            ]
        rows.append(row)
    process = " `process`: growth of the resident memory, from before the models were made and from before the step."
    lines = [
        "Peak memory of a step, MiB. `weights`: of the policy, and of the reference if it is in memory. `peak`: "
        "weights, gradients, activations and all temporaries at their highest, as torch's allocator gives them out, "
        "without optimizer state; `above weights`: without the weights. `with optimizer`: peak of a step that ends "
        "with AdamW's, its state included." + ("" if on_gpu else process),
        "",
    ]
    return [*lines, *table(header, rows)]


def weighting_lines(cost: WeightingCost, ours: Sequence[float], uniform: Sequence[float]) -> list[str]:
    """What weighting costs, in a sentence; the seconds are of steps with weights and with uniform ones."""
    part = 100 * cost.total / statistics.median(ours)
    return [
        f"Cost of weighting, timed apart: {cost.total * 1e6:.0f} µs of a step, {part:.3f} % of it (loss "
        f"{cost.loss * 1e6:.0f} µs, collator {cost.collating * 1e6:.0f} µs, weights computed before training "
        f"{cost.weights * 1e6:.0f} µs). A step with weights takes {ratios(ours, uniform).text(3)} times as long as one "
        "with uniform weights.",
        "",
    ]


def mib(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}"


def share(part: int | None, whole: int | None) -> str:
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"
