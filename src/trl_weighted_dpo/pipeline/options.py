"""Options of our commands, read from the commands themselves, as recipe keys and command-line words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

SPEED = ("workers", "batch_tokens")
"""Options that decide how fast a command is, and nothing of what it writes but by rounding."""


class Options:
    """The long options of one of our commands, by their names with underscores: `top_p` is `--top-p`.

    Args:
        command (`str`): Name of the command, such as `"score"`.
        filled_in (`frozenset[str]`): Options that the pipeline fills in; they are no keys of a recipe.
    """

    def __init__(self, command: str, filled_in: frozenset[str]) -> None:
        from trl_weighted_dpo.cli import app

        group: Any = typer.main.get_command(app)
        found = group.commands[command]
        self.command, self.filled_in = command, filled_in
        self._context = found.context_class(found, info_name=command)
        self._types = get_type_hints(found.callback)
        self._parameters: dict[str, Any] = {}
        for parameter in found.params:
            names = [name for name in parameter.opts if name.startswith("--")]
            if names and names[0] != "--help":
                self._parameters[names[0].removeprefix("--").replace("-", "_")] = parameter

    @property
    def names(self) -> list[str]:
        """The keys that a recipe may have."""
        return [name for name in self._parameters if name not in self.filled_in]

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def check(self, name: str, value: Any) -> None:
        """Check a value as the command will.

        Raises:
            `ValueError`: If it is not what the option takes; says what that is.
        """
        parameter = self._parameters[name]
        if parameter.is_flag and not parameter.secondary_opts:
            if not isinstance(value, bool):
                raise ValueError("Give true or false.")
            return
        if isinstance(value, list | dict) and not parameter.multiple:
            raise ValueError("Give one value.")
        for item in _items(value):
            if isinstance(item, list | dict) or (isinstance(item, bool) and not parameter.is_flag):
                raise ValueError("Give a number or a text.")
            try:
                given = [str(item)] if parameter.multiple else str(item)
                parameter.process_value(self._context, given)
            except typer.BadParameter as error:
                raise ValueError(error.message) from error

    def is_file(self, name: str) -> bool:
        """Whether the value is the path of a file that the command reads."""
        kind = self._types[self._parameters[name].name]
        return kind is Path or Path in get_args(kind)

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The options as words of a command line, in the order of the command's own help."""
        words: list[str] = []
        for name, parameter in self._parameters.items():
            value = values.get(name)
            if value is None:
                continue
            flag = "--" + name.replace("_", "-")
            if parameter.is_flag:
                words += [flag] if value else list(parameter.secondary_opts[:1])
            else:
                words += [word for item in _items(value) for word in (flag, str(item))]
        return words


def _items(value: Any) -> list[Any]:
    """The values that an option is given with: of a list each one, of a mapping `NAME=VALUE`."""
    if isinstance(value, Mapping):
        return [f"{name}={item}" for name, item in value.items()]
    return list(value) if isinstance(value, list) else [value]


def existing_file(value: Any) -> Path | None:
    """The file or folder that a setting names, if it is there."""
    if not isinstance(value, str) or not value or "\n" in value or len(value) > 1000:
        return None
    return Path(value) if Path(value).exists() else None
