"""A plan of a training run for the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from trl_weighted_dpo.planning.plan import Plan

_GIB = 2**30


def run_table(plan: "Plan") -> Table:
    """The model, how it is trained, and on what."""
    settings, summary, pairs = plan.settings, plan.summary, plan.pairs
    table = Table(title="Run", show_header=False, title_justify="left")
    kinds = [f"{kind} {summary.count(kind):,}" for kind in ("embedding", "head", "layers", "other", "adapter")]
    shown = [kind for kind in kinds if not kind.endswith(" 0")]
    if summary.tied:
        shown.append("head tied to embedding")
    table.add_row("model", Text(settings.model))
    table.add_row("parameters", f"{summary.count():,}: " + ", ".join(shown))
    table.add_row("trained", f"{summary.count(trainable=True):,}")
    table.add_row("processes", f"{plan.machine.gpus} × {plan.machine.memory:g} GiB, {settings.sharding.name}")
    weights = f"nf4, others {settings.dtype}" if settings.load_in_4bit else settings.dtype
    table.add_row("precision", f"weights {weights}, computed in {settings.compute_dtype}")
    mean, longest = pairs.mean, pairs.longest
    for name, pair in (("mean pair", mean), ("longest pair", longest)):
        sizes = f"prompt {pair.prompt:.0f}, chosen {pair.chosen:.0f}, rejected {pair.rejected:.0f} tokens"
        table.add_row(name, sizes)
    shared = "prompt computed once" if settings.share_prompt else "prompt computed twice"
    table.add_row(
        "micro-batch",
        f"{settings.micro_batch} pairs, at most {plan.batch.rows} rows of {plan.batch.tokens} tokens ({shared})",
    )
    table.add_row("reference", plan.reference)
    return table


def memory_table(plan: "Plan") -> Table:
    """Memory of one GPU in GiB, at each moment of a step with the longest pairs."""
    from trl_weighted_dpo.planning.memory import MOMENTS

    memory = plan.memory
    table = Table(title="Memory of one GPU, GiB", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for moment in MOMENTS:
        table.add_column(moment.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("")
    for component in memory.components:
        if any(component.bytes.values()):
            cells = (f"{component.bytes[moment] / _GIB:.2f}" for moment in MOMENTS)
            table.add_row(component.name, *cells, component.note)
    table.add_section()
    totals = (f"{memory.at(moment) / _GIB:.2f}" for moment in MOMENTS)
    verdict = "fits" if plan.fits else "does not fit"
    table.add_row("total", *totals, f"{verdict} in {plan.machine.memory:g} GiB")
    return table


def memory_notes(plan: "Plan") -> Iterator[str]:
    """What else there is to say of memory."""
    memory = plan.memory
    share = memory.total / _GIB / plan.machine.memory
    yield f"Most at once: {memory.total / _GIB:.2f} GiB ({share:.0%} of the GPU), while the {_when(memory.moment)}."
    yield f"With pairs of mean length: {plan.mean_memory.total / _GIB:.2f} GiB."
    yield (
        f"Activations kept for the backward pass: {plan.kept[True] / _GIB:.2f} GiB with gradient checkpointing, "
        f"{plan.kept[False] / _GIB:.2f} GiB without."
    )
    head = (plan.memory.named("activations and work").bytes["head"] - plan.kept[plan.settings.checkpointing]) / _GIB
    yield (
        f"The LM head works on {plan.batch.positions} completion positions, in chunks: {head:.2f} GiB. Whole logits in "
        f"float32, prompt and padding too, are {plan.trl_logits / _GIB:.2f} GiB, and their gradient as much."
    )
    if memory.host:
        yield f"In the host's memory, for each GPU: {memory.host / _GIB:.2f} GiB."
    if plan.reference == "model":
        yield "A second model computes the reference; pairs with reference log-probs as columns need none."
    elif plan.reference == "computed before training":
        yield "The reference's log-probs are computed once, before training; that pass is not in the time below."


def _when(moment: str) -> str:
    return {
        "layers": "layers work",
        "head": "LM head works",
        "end of backward": "backward pass ends",
        "optimizer step": "optimizer steps",
    }[moment]


def time_table(plan: "Plan") -> Table:
    """Work and time."""
    time, machine = plan.time, plan.machine
    table = Table(title="Time", show_header=False, title_justify="left")
    table.add_row("optimizer steps", f"{time.steps:,} of {time.pairs_per_step} pairs")
    table.add_row("tokens of a step", f"{time.tokens_per_step:,.0f}")
    table.add_row("operations of a step", f"{time.flops_per_step:.3g} FLOP")
    if time.step_seconds is None or time.run_seconds is None:
        table.add_row("time", "unknown: name the GPU (--gpu), or give --gpu-tflops")
        return table
    table.add_row(
        "assumed utilisation", f"{machine.utilization:.0%} of {machine.tflops:g} TFLOPS, a third less or half more"
    )
    table.add_row("step", " to ".join(map(_duration, time.step_seconds)))
    table.add_row("run", " to ".join(map(_duration, time.run_seconds)))
    return table


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


def remedy_line(sentence: str, changed: "Plan") -> str:
    """A change and what it comes to."""
    verdict = "fits" if changed.fits else "does not fit yet"
    return f"{sentence} {changed.memory.total / _GIB:.2f} GiB: {verdict}."
