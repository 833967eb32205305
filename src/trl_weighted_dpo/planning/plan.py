"""A plan of a run: does it fit, and how long does it take."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from trl_weighted_dpo.core import seam
from trl_weighted_dpo.planning.config import RunConfig
from trl_weighted_dpo.planning.memory import GIB, MOMENTS, MemoryPlan, plan_memory
from trl_weighted_dpo.planning.model import ModelSummary, build_model, dtype_bytes, summarize
from trl_weighted_dpo.planning.pairs import PairLength, Pairs
from trl_weighted_dpo.planning.rehearsal import BatchShape, Rehearsal, batch_shape, rehearse
from trl_weighted_dpo.planning.timing import TimePlan, plan_time
from trl_weighted_dpo.settings.planning import PlanConfig
from trl_weighted_dpo.training.paths import why_not_shared

_MOST_GPUS = 1024
"""Advice ends there."""


@dataclass(frozen=True)
class Machine:
    """What a run has.

    Args:
        gpus (`int`): How many.
        memory (`float`): GiB of each.
        tflops (`float` or `None`): Peak of each, dense bfloat16, in 10¹² operations a second.
        utilization (`float`): Share of the peak that is reached.
    """

    gpus: int = 1
    memory: float = 23.6
    tflops: float | None = None
    utilization: float = PlanConfig.mfu


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Args:
        settings, machine, pairs: What was planned.
        summary ([`~planning.model.ModelSummary`]): Its model.
        batch ([`~planning.rehearsal.BatchShape`]): The largest micro-batch.
        memory ([`~planning.memory.MemoryPlan`]): Memory of a GPU at the largest micro-batch.
        mean_memory ([`~planning.memory.MemoryPlan`]): The same with pairs of mean length.
        kept ([`dict[bool, int]`]): Activations kept, in bytes, without and with checkpointing.
        trl_logits (`int`): Bytes of the logits in float32 that a trainer without chunks would make for this
        micro-batch.
        reference (`str`): Where the reference's log-probs come from.
        time ([`~planning.timing.TimePlan`]): Work and time.
    """

    settings: RunConfig
    machine: Machine
    pairs: Pairs
    summary: ModelSummary
    batch: BatchShape
    memory: MemoryPlan
    mean_memory: MemoryPlan
    kept: dict[bool, int]
    trl_logits: int
    reference: str
    time: TimePlan

    @property
    def fits(self) -> bool:
        """Whether the largest micro-batch fits."""
        return self.memory.total <= self.machine.memory * GIB

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; memory in bytes."""
        kinds = ("embedding", "head", "layers", "other", "adapter")
        return {
            "settings": asdict(self.settings),
            "machine": asdict(self.machine),
            "pairs": asdict(self.pairs),
            "parameters": {
                **{kind: self.summary.count(kind) for kind in kinds},
                "total": self.summary.count(),
                "trainable": self.summary.count(trainable=True),
                "tied": self.summary.tied,
            },
            "batch": asdict(self.batch),
            "memory": {
                **_memory(self.memory),
                "mean_pairs": _memory(self.mean_memory),
                "activations_kept": {"without_checkpointing": self.kept[False], "with_checkpointing": self.kept[True]},
                "trl_logits": self.trl_logits,
                "fits": self.fits,
            },
            "reference": self.reference,
            "time": asdict(self.time),
        }


def _memory(plan: MemoryPlan) -> dict[str, Any]:
    return {
        "components": {component.name: component.bytes for component in plan.components},
        "totals": {moment: plan.at(moment) for moment in MOMENTS},
        "moment": plan.moment,
        "total": plan.total,
        "host": plan.host,
    }


class Planner:
    """Makes plans of a model. What depends on few settings (counts, activations) is computed once for them.

    Args:
        config (`PretrainedConfig`): The model's.
        pairs ([`~planning.pairs.Pairs`]): What is trained on.
        device (`str`, *optional*, defaults to `"cuda"`): What it is trained on.
    """

    def __init__(self, config: Any, pairs: Pairs, device: str = "cuda") -> None:
        self._config = config
        self._pairs = pairs
        self._device = device
        self._summaries: dict[Any, ModelSummary] = {}
        self._rehearsals: dict[Any, Rehearsal] = {}

    def plan(self, settings: RunConfig, machine: Machine) -> Plan:
        """Plan a run.

        Raises:
            `ValueError`: If it cannot be planned; says why.
        """
        settings = replace(settings, share_prompt=settings.share_prompt and self._can_share(settings))
        summary = self._summary(settings)
        source, second_model = self._reference(settings)
        largest, mean = self._pairs.longest, self._pairs.mean
        kept = {flag: self._rehearsal(replace(settings, checkpointing=flag), largest).kept for flag in (False, True)}
        memory, mean_memory = (
            plan_memory(summary, settings, self._rehearsal(settings, pair), machine.gpus, second_model)
            for pair in (largest, mean)
        )
        time = plan_time(
            summary,
            settings,
            self._pairs,
            machine.gpus,
            source in ("model", "adapter off"),
            machine.tflops,
            machine.utilization,
        )
        rows = largest.rows(shared=False)
        shape = batch_shape(largest, settings.micro_batch, settings.share_prompt, self._device)
        logits = round(2 * settings.micro_batch * max(rows) * summary.vocabulary * dtype_bytes("float32"))
        return Plan(
            settings, machine, self._pairs, summary, shape, memory, mean_memory, kept, logits, source, time
        )  # fmt: skip

    def _reference(self, settings: RunConfig) -> tuple[str, ModelSummary | None]:
        """Where the reference's log-probs come from, and the model that is needed for them."""
        if settings.sharding.engine == "fsdp":
            if settings.reference == "columns":
                raise ValueError(
                    "`ref_logps: columns` does not go with FSDP, which has the model in place too late to check them. "
                    "Set `ref_logps` to auto or model."
                )
        elif settings.reference == "columns" or (settings.reference == "auto" and self._pairs.have_reference):
            return "columns", None
        if settings.reference == "computed":
            return "computed before training", None
        if settings.lora is not None:
            return "adapter off", None
        return "model", self._summary(settings)

    def _summary(self, settings: RunConfig) -> ModelSummary:
        key = _model_key(settings)
        if key not in self._summaries:
            self._summaries[key] = summarize(build_model(self._config, settings))
        return self._summaries[key]

    def _can_share(self, settings: RunConfig) -> bool:
        model = build_model(self._config, replace(settings, lora=None, load_in_4bit=False))
        seam.set_attention_implementation(model.config.get_text_config(), settings.attention)
        return why_not_shared(model, settings.max_length) is None

    def _rehearsal(self, settings: RunConfig, pair: PairLength) -> Rehearsal:
        key = (
            *_model_key(settings),
            settings.micro_batch,
            settings.autocast,
            settings.checkpointing,
            settings.attention,
            settings.share_prompt,
            settings.sharding.engine != "ddp",
            pair,
        )
        if key not in self._rehearsals:
            self._rehearsals[key] = rehearse(self._config, settings, self._summary(settings), pair, self._device)
        return self._rehearsals[key]


def _model_key(settings: RunConfig) -> tuple[Any, ...]:
    return (
        settings.dtype,
        settings.load_in_4bit,
        settings.double_quant,
        settings.lora,
        settings.upcast_embeddings_and_norms,
        settings.upcast_rest,
    )


def remedies(planner: Planner, plan: Plan) -> Iterator[tuple[str, Plan]]:
    """What to change in a run that does not fit: changes that each make it fit, or else all that help, one upon
    another.

    Args:
        planner ([`Planner`]): That made the plan.
        plan ([`Plan`]): It.

    Yields:
        A sentence, and the plan with the change.
    """
    alone = [
        (sentence, planner.plan(*change)) for sentence, change in _changes(plan.settings, plan.machine, plan.reference)
    ]
    fitting = [(sentence, changed) for sentence, changed in alone if changed.fits]
    if fitting:
        yield from fitting
        return
    current = plan
    tried: set[str] = set()
    while not current.fits:
        changes = _changes(current.settings, current.machine, current.reference)
        following = next(((kind, change) for kind, change in changes if kind not in tried), None)
        if following is None:
            return
        sentence, change = following
        tried.add(sentence)
        changed = planner.plan(*change)
        if changed.memory.total < current.memory.total:
            yield sentence, changed
            current = changed


def _changes(settings: RunConfig, machine: Machine, reference: str) -> Iterator[tuple[str, tuple[RunConfig, Machine]]]:
    sharding = settings.sharding
    if not settings.checkpointing:
        yield "Set `gradient_checkpointing: true`.", (replace(settings, checkpointing=True), machine)
    if reference == "model" and sharding.engine != "fsdp":
        yield (
            "Bring reference log-probs as columns (`weighted-dpo score` before mining; `ref_logps: columns`), so that "
            "no second model is loaded.",
            (replace(settings, reference="columns"), machine),
        )
    if settings.micro_batch > 1:
        half = settings.micro_batch // 2
        yield (
            f"Halve the micro-batch to {half}, and double accumulation to {2 * settings.accumulation}.",
            (replace(settings, micro_batch=half, accumulation=2 * settings.accumulation), machine),
        )
    if settings.lora is not None and not settings.load_in_4bit and sharding.engine == "ddp":
        yield (
            "Load the frozen weights in 4 bits (`adapter: qlora`, `load_in_4bit: true`).",
            (replace(settings, load_in_4bit=True, double_quant=True), machine),
        )
    if settings.lora is None and sharding.engine == "ddp" and "8bit" not in settings.optimizer:
        yield "Use `optimizer: paged_adamw_8bit`.", (replace(settings, optimizer="paged_adamw_8bit"), machine)
    if sharding.engine == "deepspeed" and sharding.stage < 3 and machine.gpus > 1:
        higher = max(sharding.stage + 1, 2)
        yield (
            f"Use ZeRO-{higher} (`deepspeed: recipes/deepspeed/zero{higher}.json`).",
            (replace(settings, sharding=replace(sharding, stage=higher)), machine),
        )
    elif sharding.engine == "ddp" and machine.gpus > 1 and settings.lora is None:
        zero3 = replace(sharding, engine="deepspeed", stage=3)
        yield (
            "Spread the model over the GPUs by ZeRO-3 (`deepspeed: recipes/deepspeed/zero3.json`).",
            (replace(settings, sharding=zero3, autocast=None, dtype=settings.compute_dtype), machine),
        )
    if sharding.stage >= 1 and machine.gpus < _MOST_GPUS:
        yield f"Use {2 * machine.gpus} GPUs.", (settings, replace(machine, gpus=2 * machine.gpus))
