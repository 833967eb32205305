"""Axolotl options that do not go with weighted DPO, each with what to do instead."""

from collections.abc import Mapping
from typing import Any

LORA_KERNELS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")
_REFUSED_OPTIONS = {
    **dict.fromkeys(LORA_KERNELS, "Axolotl's fused LoRA kernels need Triton and are not tested with it"),
    "dpo_use_liger_kernel": "Liger's fused DPO loss returns one number for a batch, which no weight can act on",
    "dpo_padding_free": "TRL itself has switched padding-free DPO off",
    "processor_type": "vision-language models are not supported",
}
_REFUSED_PLUGINS = {
    "liger": "Liger replaces the model's forward and loss",
    "cut_cross_entropy": "Cut Cross-Entropy replaces the model's loss, and the per-token log-probs are lost with it",
}
_SPLITS_A_COMPLETION = ("context_parallel_size", "sequence_parallel_degree")


def check_config(cfg: Mapping[str, Any]) -> None:
    """Refuse options that cannot work, or are not known to.

    Raises:
        `ValueError`: Names the option, the reason and what to do instead.
    """
    for option, reason in _REFUSED_OPTIONS.items():
        if cfg.get(option):
            raise ValueError(f"`{option}` does not go with `rl: weighted_dpo`: {reason}. Remove it from the YAML.")
    for plugin in cfg.get("plugins") or ():
        for name, reason in _REFUSED_PLUGINS.items():
            if name in str(plugin).lower():
                raise ValueError(
                    f"The plugin `{plugin}` does not go with `rl: weighted_dpo`: {reason}. Remove it from `plugins`."
                )
    for option in _SPLITS_A_COMPLETION:
        if (cfg.get(option) or 1) > 1:
            raise ValueError(
                f"`{option}: {cfg[option]}` does not go with `rl: weighted_dpo`: it splits a completion over "
                "processes, while a pair's loss needs all of its log-prob. Use data parallelism (DDP, DeepSpeed, FSDP)."
            )
