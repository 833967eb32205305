"""Memory of one GPU, by what takes it and when in a training step."""

from collections.abc import Iterator
from dataclasses import dataclass

from trl_weighted_dpo.planning.config import RunConfig
from trl_weighted_dpo.planning.model import ModelSummary, ParameterGroup, dtype_bytes
from trl_weighted_dpo.planning.optimizers import OptimizerKind, optimizer_kind, state_bytes
from trl_weighted_dpo.planning.rehearsal import Rehearsal

GIB = 2**30
MOMENTS = ("layers", "head", "end of backward", "optimizer step")
CUDA_CONTEXT = round(0.8 * GIB)
NCCL = round(0.5 * GIB)
FRAGMENTATION = 0.1
"""Ours: what CUDA, cuBLAS's workspace and kernels take of a GPU (0.5 to 0.8 GiB on recent ones), what NCCL's channels
take with several GPUs, and the share of activations that the caching allocator loses to gaps."""


@dataclass(frozen=True)
class Component:
    """What takes memory.

    Args:
        name (`str`): What it is.
        bytes (`dict[str, int]`): How much, for each of `MOMENTS`.
        note (`str`): What it is made of.
    """

    name: str
    bytes: dict[str, int]
    note: str = ""


@dataclass(frozen=True)
class MemoryPlan:
    """Memory of one GPU.

    Args:
        components (`tuple[Component, ...]`): By what takes it.
        host (`int`): Bytes of the host's memory for what was offloaded or can be paged out, for each GPU.
    """

    components: tuple[Component, ...]
    host: int

    def at(self, moment: str) -> int:
        """Bytes at a moment."""
        return sum(component.bytes[moment] for component in self.components)

    @property
    def moment(self) -> str:
        """When most is used."""
        return max(MOMENTS, key=self.at)

    @property
    def total(self) -> int:
        """Most bytes at once."""
        return self.at(self.moment)

    def named(self, name: str) -> Component:
        """A component by its name."""
        return next(component for component in self.components if component.name == name)


def plan_memory(
    summary: ModelSummary, settings: RunConfig, rehearsal: Rehearsal, gpus: int, second_model: ModelSummary | None
) -> MemoryPlan:
    """Add up what one GPU holds.

    Args:
        summary ([`~planning.model.ModelSummary`]): The model as it is trained.
        settings ([`~planning.config.RunConfig`]): The run.
        rehearsal ([`~planning.rehearsal.Rehearsal`]): Its activations.
        gpus (`int`): How many share the work.
        second_model ([`~planning.model.ModelSummary`] or `None`): A reference model beside it.
    """
    return MemoryPlan(*_Parts(summary, settings, rehearsal, gpus, second_model).add_up())


@dataclass(frozen=True)
class _Parts:
    summary: ModelSummary
    settings: RunConfig
    rehearsal: Rehearsal
    gpus: int
    second_model: ModelSummary | None

    def add_up(self) -> tuple[tuple[Component, ...], int]:
        sharding, kind = self.settings.sharding, optimizer_kind(self.settings.optimizer)
        state, master = self._state(kind), self._master()
        on_host = (state if kind.paged or sharding.offload_optimizer else 0) + (
            master if sharding.offload_optimizer else 0
        )
        if sharding.offload_optimizer:
            master = 0
        note = f"{self.settings.optimizer}; paged, on the host if need be" if kind.paged else self.settings.optimizer
        if kind.paged or sharding.offload_optimizer:
            state = 0
        parameters = self._parameters()
        if sharding.offload_parameters:
            on_host, parameters = on_host + parameters, 0
        activations = self._activations()
        reference = 0 if self.second_model is None else self._shard(_bytes(self.second_model.groups), 3)
        buffers, gathered = self._communication()
        components = (
            _always("parameters", parameters, self._types()),
            Component("gradients", self._gradients()),
            _always("optimizer state", state, note),
            _always("master weights", master, "float32 copies" if master else ""),
            _always("reference model", reference),
            Component("activations and work", activations, self._activations_note()),
            Component(
                "communication",
                {moment: buffers + (0 if moment == "optimizer step" else gathered) for moment in MOMENTS},
                sharding.name if self.gpus > 1 else "",
            ),
            _always("CUDA context", CUDA_CONTEXT + (NCCL if self.gpus > 1 else 0), "NCCL" if self.gpus > 1 else ""),
            Component(
                "fragmentation",
                {moment: round(FRAGMENTATION * amount) for moment, amount in activations.items()},
                f"{FRAGMENTATION:.0%} of activations and work",
            ),
        )
        return components, on_host

    # What stays

    def _parameters(self) -> int:
        return self._shard(sum(map(self._stored, self.summary.groups)), 3)

    def _stored(self, group: ParameterGroup) -> int:
        return group.bytes if group.dtype == "nf4" else group.count * dtype_bytes(self._dtype(group))

    def _dtype(self, group: ParameterGroup) -> str:
        sharding = self.settings.sharding
        if sharding.engine == "deepspeed":
            return self.settings.compute_dtype
        upcast = sharding.engine == "fsdp" and sharding.upcast and self.settings.compute_dtype != "float32"
        return "float32" if upcast and group.trainable else group.dtype

    def _types(self) -> str:
        amounts: dict[str, int] = {}
        for group in self.summary.groups:
            dtype = "nf4" if group.dtype == "nf4" else self._dtype(group)
            amounts[dtype] = amounts.get(dtype, 0) + group.count
        return ", ".join(f"{_count(amount)} {dtype}" for dtype, amount in amounts.items())

    def _trained(self) -> Iterator[ParameterGroup]:
        return (group for group in self.summary.groups if group.trainable)

    def _master(self) -> int:
        sharding = self.settings.sharding
        if sharding.engine != "deepspeed" or (sharding.stage == 0 and self.settings.compute_dtype == "float32"):
            return 0
        return self._shard(4 * self.summary.count(trainable=True), 1)

    def _state(self, kind: OptimizerKind) -> int:
        engine = self.settings.sharding.engine
        total = 0
        for group in self._trained():
            total += state_bytes(kind, [group], "float32" if engine == "deepspeed" else self._dtype(group))
        return self._shard(total, 1)

    # What comes and goes

    def _gradient_bytes(self, kind: str | None = None) -> int:
        groups = (group for group in self._trained() if kind in (None, group.kind))
        return self._shard(sum(map(self._stored, groups)), 2)

    def _gradients(self) -> dict[str, int]:
        all_of_them = self._gradient_bytes()
        before = all_of_them if self._gradients_wait() else 0
        # The head's is there first; where it is the embedding too, the rehearsal has it among the work.
        head = 0 if self.summary.tied else self._gradient_bytes("head")
        return dict(zip(MOMENTS, (max(before, head), before, all_of_them, all_of_them), strict=True))

    def _gradients_wait(self) -> bool:
        return self.settings.accumulation > 1 or self.settings.sharding.stage >= 2

    def _activations(self) -> dict[str, int]:
        rehearsal, embedding = self.rehearsal, self.rehearsal.embedding
        if not self._gradients_wait():
            # The embedding's gradient in the making is the one that counts among the gradients.
            embedding -= self._gradient_bytes("embedding")
        end = max(embedding, rehearsal.backward - rehearsal.kept)
        step = self._step_work()
        return dict(zip(MOMENTS, (rehearsal.layers, rehearsal.head, end, step), strict=True))

    def _activations_note(self) -> str:
        how = "with" if self.settings.checkpointing else "without"
        return f"{self.rehearsal.kept / GIB:.2f} GiB kept, {how} checkpointing"

    def _step_work(self) -> int:
        kind = optimizer_kind(self.settings.optimizer)
        sharding = self.settings.sharding
        if sharding.engine == "deepspeed":
            # It hands the optimizer float32 gradients.
            return 0 if sharding.offload_optimizer else self._shard(4 * self.summary.count(trainable=True), 1)
        if not kind.foreach:
            return 0
        return self._shard(sum(map(self._stored, self._trained())), 1)

    def _communication(self) -> tuple[int, int]:
        """Buffers that stay, and parameters and gradients that are whole for a while."""
        if self.gpus == 1:
            return 0, 0
        settings, sharding = self.settings, self.settings.sharding
        size = dtype_bytes(settings.compute_dtype)
        layer = max(self._layer_bytes(trained=False).values(), default=0)
        ends = sum(group.count for group in self.summary.groups if group.layer is None) * size
        if sharding.engine == "ddp":
            return self._gradient_bytes(), 0
        if sharding.engine == "fsdp":
            whole = sum(self._layer_bytes(trained=False).values()) if sharding.stage == 2 else 2 * layer
            reduced = 2 * max(self._layer_bytes(trained=True).values(), default=0)
            return 0, whole + ends + reduced
        square = self.summary.hidden_size**2
        trained = self.summary.count(trainable=True)
        bucket = min(square if sharding.reduce_bucket is None else sharding.reduce_bucket, trained) * size
        if sharding.stage < 3:
            return bucket * (2 if sharding.overlap_comm else 1) if sharding.stage else 0, 0
        prefetched = round(0.9 * square) if sharding.prefetch_bucket is None else sharding.prefetch_bucket
        largest = max([layer, *(self.summary.count(kind) * size for kind in ("embedding", "head"))])
        return bucket, largest + min(prefetched * size, layer)

    def _layer_bytes(self, trained: bool) -> dict[int, int]:
        """Bytes of each layer, or of what is trained in it, in the precision of the computation."""
        size = dtype_bytes(self.settings.compute_dtype)
        layers: dict[int, int] = {}
        for group in self.summary.groups:
            if group.layer is not None and (group.trainable or not trained):
                amount = group.bytes if group.dtype == "nf4" else group.count * size
                layers[group.layer] = layers.get(group.layer, 0) + amount
        return layers

    def _shard(self, amount: int, stage: int) -> int:
        return -(-amount // self.gpus) if self.settings.sharding.stage >= stage else amount


def _always(name: str, amount: int, note: str = "") -> Component:
    return Component(name, dict.fromkeys(MOMENTS, amount), note)


def _bytes(groups: tuple[ParameterGroup, ...]) -> int:
    return sum(group.bytes for group in groups)


def _count(amount: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if amount >= size:
            return f"{amount / size:.3g} {unit}"
    return str(amount)
