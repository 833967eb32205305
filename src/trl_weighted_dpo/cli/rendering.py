"""What commands say of options on how problems are rendered."""

from collections.abc import Sequence

import typer


def tell_what_is_not_used(
    has_chat_template: bool,
    prompt_template: str | None,
    system_prompt: str | None,
    chat_template_kwargs: str | None = None,
) -> None:
    """Tells of an option that the tokenizer has no use for."""
    if has_chat_template and prompt_template is not None:
        typer.echo("--prompt-template is not used: the tokenizer has a chat template.", err=True)
    if not has_chat_template and system_prompt is not None:
        typer.echo("--system-prompt is not used: the tokenizer has no chat template.", err=True)
    if not has_chat_template and chat_template_kwargs is not None:
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
