"""Settings → options of commands.

A command takes settings by a parameter of the type `Callable[..., SomeConfig]`. [`with_settings`] puts an option for
each of them in its place, and hands the command a maker: `config()` has the values of the command line,
`config(completions=1)` other ones for some. A parameter of the command with the name of a setting replaces its option.
"""

import collections.abc
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from trl_weighted_dpo.settings.setting import Setting, settings_of


def with_settings(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of the settings that its parameters name, without those of these names."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        signature = inspect.signature(command)
        configs = {name: config for name, hint in hints.items() if (config := _config(hint)) is not None}
        own = set(signature.parameters) - set(configs)
        offered = {
            name: [setting for setting in settings_of(config) if setting.name not in (*own, *without)]
            for name, config in configs.items()
        }
        parameters: dict[str, inspect.Parameter] = {}
        for name, parameter in signature.parameters.items():
            if name in configs:
                for setting in offered[name]:
                    parameters.setdefault(setting.name, _parameter(setting))
            else:
                parameters[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)

        @functools.wraps(command)
        def expanded(**given: Any) -> None:
            makers = {name: functools.partial(_make, config, offered[name], given) for name, config in configs.items()}
            command(**{name: given[name] for name in own}, **makers)

        # Typer asks for both.
        expanded.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        expanded.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
        return expanded

    return decorate


def settings_of_command(command: Callable[..., None]) -> Iterator[type]:
    """The dataclasses of settings that a command takes."""
    hints = get_type_hints(inspect.unwrap(command), include_extras=True)
    return (config for hint in hints.values() if (config := _config(hint)) is not None)


def _config(hint: Any) -> type | None:
    made = get_args(hint)[1] if get_origin(hint) is collections.abc.Callable else None
    return made if is_dataclass(made) and isinstance(made, type) else None


def _make(config: Any, offered: Sequence[Setting], given: Mapping[str, Any], **changes: Any) -> Any:
    """The settings by the values of options, and others that go before them."""
    values = {}
    for setting in offered:
        value = given[setting.name]
        if setting.name in changes or ((setting.is_list or setting.is_nested) and not value):
            continue
        try:
            values[setting.name] = setting.read(value)
        except ValueError as error:
            raise ValueError(f"{setting.flag} {_shown(value)}: {str(error)[:1].lower()}{str(error)[1:]}") from error
    return config(**values, **changes)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _parameter(setting: Setting) -> inspect.Parameter:
    default = setting.none_as if setting.default is None and setting.none_as is not None else setting.default
    option = typer.Option(setting.flag, help=setting.help)
    hint: Any = setting.kind
    if setting.is_nested or setting.is_list:
        hint, default = list[str], None
        if setting.is_nested:
            option.help = f"{setting.help} Names: {', '.join(own.key for own in settings_of(setting.kind))}."
        option.metavar = setting.shape or ("NAME=VALUE" if setting.is_nested else None)
    elif setting.kind is Mapping:
        hint, option.metavar = str, "JSON"
    elif setting.choices:
        hint = Literal[setting.choices]
    elif setting.kind in (int, float) and setting.none_as is None:
        # Ends that are not within the range are checked with the rest, when the settings are made.
        option.min = next((bound.ge for bound in setting.bounds if hasattr(bound, "ge")), None)
        option.max = next((bound.le for bound in setting.bounds if hasattr(bound, "le")), None)
    elif isinstance(default, str) and "\n" in default:
        option.show_default = repr(default)[1:-1]
    if setting.is_optional or default is None:
        hint = hint | None
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, option]
    )
