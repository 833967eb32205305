"""An Axolotl YAML, or a YAML or JSON of `WeightedDPOConfig` fields → [`RunConfig`]."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo.planning.config import DTYPE_BYTES, Lora, RunConfig, Sharding
from trl_weighted_dpo.settings import TrainingConfig

_MODE = "weighted_dpo"


def read_recipe(path: Path) -> RunConfig:
    """Read the settings of a run.

    Args:
        path (`Path`):
            An Axolotl YAML with `rl: weighted_dpo` (told by its `base_model`), or a YAML or JSON of fields of
            `WeightedDPOConfig` and TRL's `ModelConfig`, as `weighted-dpo train` takes it (told by its
            `model_name_or_path`). A DeepSpeed file in it is sought as it stands, then beside the recipe.

    Raises:
        `ValueError`: If it is neither, or a value cannot be planned; names the file, the key and what to do.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: this is no YAML or JSON: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: there are no keys in it. Give an Axolotl YAML or one of WeightedDPOConfig fields.")
    try:
        return run_settings(content, path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def run_settings(content: dict[str, Any], folder: Path) -> RunConfig:
    """The settings of a run from the content of such a file, which lies in `folder`.

    Raises:
        `ValueError`: As [`read_recipe`], without the file's name.
    """
    if "base_model" in content:
        return _axolotl(content, folder)
    if "model_name_or_path" in content:
        return _trl(content, folder)
    raise ValueError(
        "there is neither `base_model`, as in an Axolotl YAML, nor `model_name_or_path`, as in a file for "
        "`weighted-dpo train`. Which model is trained?"
    )


def _axolotl(cfg: dict[str, Any], folder: Path) -> RunConfig:
    if cfg.get("rl") != _MODE:
        raise ValueError(f"`rl` is {cfg.get('rl')!r}, but plans are for `rl: {_MODE}`.")
    _refuse(cfg, "load_in_8bit", "8-bit weights are not planned; use `load_in_4bit: true` with `adapter: qlora`")
    for name in ("tensor_parallel_size", "context_parallel_size", "dp_replicate_size", "expert_parallel_size"):
        if (cfg.get(name) or 1) > 1:
            raise ValueError(f"`{name}: {cfg[name]}` is not planned: plans are for data parallelism.")
    adapter = cfg.get("adapter")
    if adapter not in (None, "lora", "qlora"):
        raise ValueError(f"`adapter: {adapter}` is not planned; lora and qlora are.")
    # Axolotl's `resolve_dtype`; `auto` is taken for what a GPU with bfloat16 makes of it.
    mixed = cfg.get("bf16", "auto") or cfg.get("bfloat16")
    dtype = "bfloat16" if mixed else "float16" if cfg.get("fp16") or cfg.get("float16") else "float32"
    sharding = _sharding(cfg, folder)
    load_in_4bit = bool(cfg.get("load_in_4bit"))
    lora = None
    if adapter is not None:
        targets: Any = cfg.get("lora_target_modules") or ()
        if cfg.get("lora_target_linear"):
            # Axolotl adds the names of all linear layers but the head, which is what PEFT means by this.
            targets = "all-linear"
        elif not isinstance(targets, str):
            targets = tuple(targets)
        upcast = cfg.get("peft_autocast_adapter_dtype", True)
        lora = Lora(
            _positive(cfg, "lora_r"),
            targets or None,
            tuple(cfg.get("lora_modules_to_save") or ()),
            bool(cfg.get("peft_use_dora")),
            "float32" if upcast or upcast is None else dtype,
        )
    attention = cfg.get("attn_implementation") or (
        "flash_attention_2" if cfg.get("flash_attention") else "eager" if cfg.get("eager_attention") else "sdpa"
    )
    # What `_configure_embedding_dtypes` of its model loader leaves in float32.
    engine = sharding.engine
    full = adapter is None and engine == "ddp" and attention in ("sdpa", "eager")
    block = cfg.get(_MODE) or {}
    return RunConfig(
        model=cfg["base_model"],
        dtype=dtype,
        autocast=None if dtype == "float32" or engine == "deepspeed" else dtype,
        load_in_4bit=load_in_4bit,
        double_quant=(cfg.get("bnb_config_kwargs") or {}).get("bnb_4bit_use_double_quant", True),
        lora=lora,
        micro_batch=_positive(cfg, "micro_batch_size", 1),
        accumulation=_positive(cfg, "gradient_accumulation_steps", 1),
        max_length=_positive(cfg, "sequence_len", 512),
        checkpointing=bool(cfg.get("gradient_checkpointing"))
        or bool((cfg.get("fsdp_config") or {}).get("activation_checkpointing")),
        optimizer=str(cfg.get("optimizer") or "adamw_torch_fused"),
        attention=str(attention),
        share_prompt=block.get("share_prompt", TrainingConfig.share_prompt) not in (False, "false"),
        reference=_reference(block.get("ref_logps", TrainingConfig.ref_logps), cfg.get("precompute_ref_log_probs")),
        epochs=float(cfg.get("num_epochs") or 1.0),
        max_steps=cfg.get("max_steps") or None,
        sharding=sharding,
        upcast_embeddings_and_norms=full,
        upcast_rest=load_in_4bit and engine == "ddp",
    )


def _trl(fields: dict[str, Any], folder: Path) -> RunConfig:
    _refuse(fields, "load_in_8bit", "8-bit weights are not planned; use `load_in_4bit: true`")
    init = fields.get("model_init_kwargs") or {}
    dtype = str(fields.get("dtype") or init.get("dtype") or "float32").removeprefix("torch.")
    if dtype not in DTYPE_BYTES:
        raise ValueError(f"`dtype: {dtype}` is not planned: name one of {', '.join(DTYPE_BYTES)}.")
    sharding = _sharding(fields, folder)
    fp16 = bool(fields.get("fp16"))
    bf16 = fields.get("bf16")
    mixed = "float16" if fp16 else "bfloat16" if bf16 or bf16 is None else None
    if sharding.engine == "deepspeed":
        # DeepSpeed converts the model, and there is no autocast.
        dtype, mixed = mixed or dtype, None
    load_in_4bit = bool(fields.get("load_in_4bit"))
    lora = None
    if fields.get("use_peft"):
        targets = fields.get("lora_target_modules")
        if isinstance(targets, list):
            # TRL unpacks a list of one.
            targets = targets[0] if targets == ["all-linear"] else tuple(targets)
        elif targets is not None and targets != "all-linear":
            targets = (str(targets),)
        lora = Lora(
            _positive(fields, "lora_r", 16),
            targets,
            tuple(fields.get("lora_modules_to_save") or ()),
            bool(fields.get("use_dora")),
            # TRL, after the QLoRA paper; else PEFT's default.
            "bfloat16" if load_in_4bit else "float32",
        )
    elif load_in_4bit:
        raise ValueError(
            "`load_in_4bit: true` needs an adapter, since 4-bit weights cannot be trained: set `use_peft`."
        )
    return RunConfig(
        model=fields["model_name_or_path"],
        dtype=dtype,
        autocast=mixed if mixed else None,
        load_in_4bit=load_in_4bit,
        double_quant=bool(fields.get("use_bnb_nested_quant")),
        lora=lora,
        micro_batch=_positive(fields, "per_device_train_batch_size", 8),
        accumulation=_positive(fields, "gradient_accumulation_steps", 1),
        max_length=fields.get("max_length", 1024),
        checkpointing=bool(fields.get("gradient_checkpointing", True)),
        optimizer=str(fields.get("optim") or "adamw_torch_fused"),
        attention=str(fields.get("attn_implementation") or init.get("attn_implementation") or "sdpa"),
        share_prompt=str(fields.get("share_prompt", TrainingConfig.share_prompt)).lower() != "false",
        reference=_reference(fields.get("ref_logps", TrainingConfig.ref_logps), fields.get("precompute_ref_log_probs")),
        epochs=float(fields.get("num_train_epochs") or 3.0),
        max_steps=_above_zero(fields.get("max_steps")),
        sharding=sharding,
    )


def _reference(mode: Any, precompute: Any) -> str:
    if mode not in ("auto", "columns", "model"):
        raise ValueError(f"`ref_logps: {mode}` is none of auto, columns and model.")
    return "computed" if mode != "columns" and precompute else str(mode)


def _sharding(content: Mapping[str, Any], folder: Path) -> Sharding:
    if content.get("deepspeed"):
        return _deepspeed(content["deepspeed"], folder)
    if not (content.get("fsdp") or content.get("fsdp_config")):
        return Sharding()
    config = {str(key).removeprefix("fsdp_"): value for key, value in (content.get("fsdp_config") or {}).items()}
    version = int(content.get("fsdp_version") or config.get("version") or 1)
    gathered = config.get("reshard_after_forward") in (False, "false") or "SHARD_GRAD_OP" in (
        str(config.get("sharding_strategy", "")),
        str(config.get("reshard_after_forward", "")),
    )
    if "HYBRID" in str(config.get("sharding_strategy", "")) or "hybrid" in str(content.get("fsdp", "")):
        raise ValueError("FSDP's hybrid sharding is not planned: plan one group of GPUs, with full sharding.")
    axolotl = "base_model" in content
    # FSDP1 keeps in float32 what it trains. For FSDP2, accelerate 1.15 does so (1.13 means to, and does not); the
    # function that Axolotl 0.19 puts in its place does not.
    return Sharding(
        "fsdp",
        2 if gathered else 3,
        offload_optimizer=bool(config.get("offload_params")),
        offload_parameters=bool(config.get("offload_params")),
        upcast=version == 1 or not axolotl,
    )


def _deepspeed(config: Any, folder: Path) -> Sharding:
    if isinstance(config, str):
        paths = [Path(config), folder / config, folder.parent / config]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise ValueError(f"`deepspeed: {config}`: there is no such file, here or beside the recipe.")
        config = json.loads(found.read_text())
    zero = config.get("zero_optimization") or {}
    stage = zero.get("stage", 0)
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"`deepspeed`: `zero_optimization.stage` is {stage!r}, and not 0, 1, 2 or 3.")

    def elements(name: str, default: int) -> int | None:
        value = zero.get(name, default)
        return None if value == "auto" else int(float(value))

    def is_off(name: str) -> bool:
        return bool((zero.get(name) or {}).get("device", "none") != "none")

    # The defaults are DeepSpeed's (`runtime/zero/config.py`).
    return Sharding(
        "deepspeed",
        stage,
        is_off("offload_optimizer"),
        is_off("offload_param"),
        elements("reduce_bucket_size", 500_000_000),
        elements("stage3_prefetch_bucket_size", 50_000_000),
        bool(zero.get("overlap_comm", stage == 3)),
    )


def _positive(content: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = content.get(key)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{key}` is {value!r}. Give a whole number of at least 1.")
    return value


def _above_zero(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _refuse(content: Mapping[str, Any], key: str, reason: str) -> None:
    if content.get(key):
        raise ValueError(f"`{key}: {content[key]}`: {reason}.")
