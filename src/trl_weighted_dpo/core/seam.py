"""Private and unstable names of TRL, transformers, accelerate, datasets and PEFT, under names of our own.

A release of those libraries may rename them without notice. Only this module and `training/trl_seam.py`, which holds
what a trainer is made of, use them. `tests/test_seams.py` checks every one against the installed releases, and that
nothing else in the package uses such a name. Importing this module is light: each function imports what it needs.
"""

import functools
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from packaging.version import Version

OLDEST_TRL, NEWEST_TRL = "1.9.0", "1.16.0"
"""The oldest and the newest trl that the tests run with."""


def trl_requirement() -> str:
    """The requirement for pip: from the oldest trl tested up to the first minor release that is not."""
    oldest, newest = Version(OLDEST_TRL), Version(NEWEST_TRL)
    return f"trl>={oldest.major}.{oldest.minor},<{newest.major}.{newest.minor + 1}"


def untested_trl(version: str) -> str | None:
    """One sentence about a trl outside the tested range, with the way out, or `None`."""
    found, oldest, newest = (Version(text).release[:2] for text in (version, OLDEST_TRL, NEWEST_TRL))
    if oldest <= found <= newest:
        return None
    return (
        f"trl {version} is installed, but trl-weighted-dpo is tested with trl {OLDEST_TRL} to {NEWEST_TRL} only: run "
        f"pip install '{trl_requirement()}'."
    )


@functools.cache
def completion_begins_where_tokens_differ() -> bool:
    """Whether the installed TRL begins a completion where the tokens with it leave those of the prompt alone; older
    ones begin it after the prompt's number of tokens. The two differ where tokens merge across the boundary."""
    from trl import data_utils

    return hasattr(data_utils, "common_prefix_length")


def resolve_accelerate_config(arguments: list[str]) -> list[str]:
    """Arguments of `trl dpo` with `--accelerate_config NAME` replaced by accelerate's `--config_file PATH`."""
    from trl.cli.accelerate_config import resolve_accelerate_config_argument

    resolved: list[str] = resolve_accelerate_config_argument(arguments)
    return resolved


def launch_parser() -> Any:
    """The `argparse.ArgumentParser` of `accelerate launch`."""
    from accelerate.commands.launch import launch_command_parser

    return launch_command_parser()


def launch(settings: Any) -> None:
    """Run what `accelerate launch` runs for settings that its parser has parsed."""
    from accelerate.commands.launch import launch_command

    launch_command(settings)


def is_launched_with_fsdp() -> bool:
    """Whether `accelerate launch` has switched FSDP on, which it tells its processes by the environment."""
    from accelerate.utils.environment import parse_flag_from_env

    return bool(parse_flag_from_env("ACCELERATE_USE_FSDP"))


def last_checkpoint(folder: str | Path) -> str | None:
    """Folder of the last checkpoint that transformers' Trainer left in an output folder, or `None`."""
    from transformers.trainer_utils import get_last_checkpoint

    checkpoint: str | None = get_last_checkpoint(folder)
    return checkpoint


def set_fingerprint(dataset: Any, content: Any) -> None:
    """Replace the fingerprint of a `datasets.Dataset`, under which results are cached, by a hash of `content`."""
    from datasets.fingerprint import Hasher

    dataset._fingerprint = Hasher.hash(content)


def commit_hash(config: Any) -> str | None:
    """The hub commit that a model's configuration was loaded from, or `None`."""
    return getattr(config, "_commit_hash", None)


def model_source(config: Any) -> str | None:
    """The folder or hub name that a model's configuration was loaded from, or `None`."""
    return getattr(config, "_name_or_path", None) or None


def attention_implementation(config: Any) -> str | None:
    """The attention implementation that a model with this text configuration runs with."""
    name: str | None = config._attn_implementation
    return name


def set_attention_implementation(config: Any, name: str) -> None:
    """Let a model with this configuration run with another attention implementation, without a check."""
    config._attn_implementation = name


def is_stateful(model: Any) -> bool:
    """Whether transformers marks a model as one that carries a state over the sequence, as Mamba does."""
    return bool(getattr(model, "_is_stateful", False))


def is_tensor_parallel(model: Any) -> bool:
    """Whether transformers has split a model's layers over devices."""
    return bool(getattr(model, "tp_size", None) or getattr(model, "_tp_size", None))


def repeat_key_values(states: Any, groups: int) -> Any:
    """Keys or values (B, heads, S, H), once for each of the query heads, `groups` for each head."""
    from transformers.integrations.sdpa_attention import repeat_kv

    return repeat_kv(states, groups)


def active_adapters(model: Any) -> list[str] | None:
    """The adapters at work in a model that transformers or PEFT has put them into; `None` if there are none."""
    if hasattr(model, "get_base_model"):
        return list(model.active_adapters)
    if not getattr(model, "_hf_peft_config_loaded", False):
        return None
    from peft.tuners.tuners_utils import BaseTunerLayer

    # `model.active_adapters()` of transformers 5.24 raises with the newest PEFT, 0.21, asking for 0.22.
    return next(list(layer.active_adapters) for layer in model.modules() if isinstance(layer, BaseTunerLayer))


def gathered(parameters: Iterable[Any]) -> AbstractContextManager[Any]:
    """A context in which each process has the whole of parameters that DeepSpeed ZeRO-3 has split."""
    from peft.utils.integrations import gather_params_ctx

    context: AbstractContextManager[Any] = gather_params_ctx(list(parameters))
    return context
