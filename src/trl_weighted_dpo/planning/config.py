"""What a plan needs to know of a training run, and of the processes that it runs in."""

from dataclasses import dataclass, field

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Lora:
    """A LoRA adapter (arXiv 2106.09685).

    Args:
        r (`int`): Rank.
        target_modules (`tuple[str, ...]`, `str` or `None`):
            Names of modules, `"all-linear"`, or `None` for PEFT's choice for the model.
        modules_to_save (`tuple[str, ...]`): Modules that are trained in full beside it, as copies.
        use_dora (`bool`): Whether magnitudes are trained too (DoRA).
        dtype (`str`): Precision of its weights.
    """

    r: int
    target_modules: tuple[str, ...] | str | None = None
    modules_to_save: tuple[str, ...] = ()
    use_dora: bool = False
    dtype: str = "float32"


@dataclass(frozen=True)
class Sharding:
    """How the data-parallel processes share what is trained.

    Args:
        engine (`str`): `"ddp"`, `"deepspeed"` or `"fsdp"`.
        stage (`int`):
            What is spread over the processes, in ZeRO's terms (arXiv 1910.02054, section 5): 0 nothing, 1 optimizer
            state, 2 and gradients, 3 and parameters. FSDP is stage 3, or 2 if parameters stay gathered after the
            forward.
        offload_optimizer, offload_parameters (`bool`): Whether they lie in the host's memory.
        reduce_bucket, prefetch_bucket (`int` or `None`):
            Elements that DeepSpeed reduces or fetches at a time; `None` is what transformers makes of `auto`.
        overlap_comm (`bool`): Whether DeepSpeed reduces one bucket while it fills another.
        upcast (`bool`): Whether FSDP keeps what is trained in float32.
    """

    engine: str = "ddp"
    stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False
    reduce_bucket: int | None = None
    prefetch_bucket: int | None = None
    overlap_comm: bool = False
    upcast: bool = False

    @property
    def name(self) -> str:
        """As people call it."""
        return {"ddp": "DDP", "deepspeed": f"DeepSpeed ZeRO-{self.stage}", "fsdp": f"FSDP (as ZeRO-{self.stage})"}[
            self.engine
        ]


@dataclass(frozen=True)
class RunConfig:
    """A training run, whatever file described it.

    Args:
        model (`str`): Folder, or name on the hub.
        dtype (`str`): Precision in which the weights are loaded.
        autocast (`str` or `None`): Precision of the computation where it is another than the weights'.
        load_in_4bit, double_quant (`bool`): NF4, and whether its constants are quantised too (arXiv 2305.14314).
        lora ([`Lora`] or `None`): The adapter; `None` is full fine-tuning.
        micro_batch (`int`): Pairs that one GPU computes at a time.
        accumulation (`int`): Micro-batches of an optimizer step.
        max_length (`int` or `None`): Tokens of prompt and completion at most.
        checkpointing (`bool`): Whether activations are computed again in the backward pass.
        optimizer (`str`): Its name, as Transformers and Axolotl have it.
        attention (`str`): Attention implementation.
        share_prompt (`bool`): Whether the prompt of a pair is computed once, where the model allows it.
        reference (`str`): `"columns"`, `"computed"` (before training), `"model"`, or `"auto"`.
        epochs (`float`), max_steps (`int` or `None`): How long it trains; `max_steps` overrides.
        sharding ([`Sharding`]): How processes share.
        upcast_embeddings_and_norms (`bool`): Whether these are in float32 whatever `dtype` is.
        upcast_rest (`bool`): Whether all else that is not quantised is, which for NF4 models is their biases.
    """

    model: str
    dtype: str
    autocast: str | None = None
    load_in_4bit: bool = False
    double_quant: bool = False
    lora: Lora | None = None
    micro_batch: int = 1
    accumulation: int = 1
    max_length: int | None = 1024
    checkpointing: bool = True
    optimizer: str = "adamw_torch_fused"
    attention: str = "sdpa"
    share_prompt: bool = True
    reference: str = "auto"
    epochs: float = 1.0
    max_steps: int | None = None
    sharding: Sharding = field(default_factory=Sharding)
    upcast_embeddings_and_norms: bool = False
    upcast_rest: bool = False

    @property
    def compute_dtype(self) -> str:
        """Precision of matrix products and of what is kept of them."""
        return self.autocast or self.dtype
