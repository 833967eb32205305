"""Says which options on rendering a tokenizer does not use."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import typer

from trl_weighted_dpo.settings import DEFAULT_PROMPT_TEMPLATE


class Rendered(Protocol):
    """Settings that say how problems are rendered."""

    @property
    def prompt_template(self) -> str: ...
    @property
    def system_prompt(self) -> str | None: ...
    @property
    def chat_template_kwargs(self) -> Mapping[str, Any] | None: ...


def tell_what_is_not_used(has_chat_template: bool, settings: Rendered) -> None:
    """Tells of an option that the tokenizer has no use for."""
    if has_chat_template and settings.prompt_template != DEFAULT_PROMPT_TEMPLATE:
        typer.echo("--prompt-template is not used: the tokenizer has a chat template.", err=True)
    if not has_chat_template and settings.system_prompt is not None:
        typer.echo("--system-prompt is not used: the tokenizer has no chat template.", err=True)
    if not has_chat_template and settings.chat_template_kwargs:
        typer.echo("--chat-template-kwargs is not used: the tokenizer has no chat template.", err=True)


def named(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    """`KEY=VALUE` as a dictionary."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text}: give a name and a value, as in {option} {example}.")
        if name in found:
            raise ValueError(f"{option} {name} is given twice: {found[name]!r} and {value!r}.")
        found[name] = value
    return found
