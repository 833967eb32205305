"""What the commands that sample, `sample` and `evaluate`, make of their options."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo.cli.rendering import named

if TYPE_CHECKING:
    from trl_weighted_dpo.sampling import SamplingConfig


def backend_options(option: Sequence[str] | None, load_in_4bit: bool, **options: str | None) -> dict[str, Any]:
    """The options that a backend is given: those that have a value, and what `--option KEY=VALUE` says."""
    values = {**options, "load_in_4bit": load_in_4bit or None}
    given = {name: value for name, value in values.items() if value is not None}
    return given | named(option or (), "--option", "concurrency=32")


def sampling_config(
    completions: int,
    stop: Sequence[str] | None,
    prompt_template: str | None,
    few_shot: Path | None,
    chat_template_kwargs: str | None,
    **settings: Any,
) -> "SamplingConfig":
    """The settings of sampling; `settings` are those that the options have the values of."""
    from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE, read_chat_template_kwargs
    from trl_weighted_dpo.sampling import SamplingConfig, read_few_shot

    return SamplingConfig(
        completions,
        stop=stop or (),
        prompt_template=prompt_template or DEFAULT_PROMPT_TEMPLATE,
        few_shot=read_few_shot(few_shot) if few_shot else (),
        chat_template_kwargs=read_chat_template_kwargs(chat_template_kwargs),
        **settings,
    )


def problem_source(
    preset: str | None, column: Sequence[str] | None, split: str | None, limit: int | None
) -> dict[str, Any]:
    """How problems are loaded: arguments of [`~problems.load_problems`]."""
    columns = named(column or (), "--column", "problem=question")
    return {"preset": preset, "columns": columns, "split": split, "limit": limit}
