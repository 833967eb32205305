"""What the commands that sample, `sample` and `evaluate`, make of their settings."""

from typing import Any

from trl_weighted_dpo.cli.rendering import named
from trl_weighted_dpo.core.sources import named_columns
from trl_weighted_dpo.settings import BackendConfig, SourceConfig


def backend_options(config: BackendConfig) -> dict[str, Any]:
    """The options that a backend is given: those that have a value, and what `--option KEY=VALUE` says."""
    values = {name: getattr(config, name) for name in ("base_url", "adapter", "tokenizer", "dtype")}
    values["load_in_4bit"] = config.load_in_4bit or None
    given = {name: value for name, value in values.items() if value is not None}
    return given | named(config.option, "--option", "concurrency=32")


def problem_source(config: SourceConfig) -> dict[str, Any]:
    """How problems are loaded: arguments of [`~problems.load_problems`]."""
    return {
        "preset": config.preset,
        "columns": named_columns(config.column),
        "split": config.split,
        "limit": config.limit,
    }
