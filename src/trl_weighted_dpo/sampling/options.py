"""The options of a backend, from names and values that may be text."""

from collections.abc import Mapping
from typing import Any, TypeVar

from trl_weighted_dpo.settings.setting import settings_of

T = TypeVar("T")


def read_options(kind: type[T], options: Mapping[str, Any], backend: str) -> T:
    """The options of a backend as its dataclass. Text becomes the field's type: `"2"` a whole number where one stands.

    Args:
        kind (`type`): A dataclass of settings: see [`~settings.setting`].
        options (`Mapping[str, Any]`): Values by name.
        backend (`str`): Its name, for messages.

    Raises:
        `ValueError`: If there is no such option, or a value is of another type or out of its range.
    """
    known = {setting.name: setting for setting in settings_of(kind)}
    values = {}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"The backend {backend!r} has no option {name!r}; it has: {', '.join(known) or 'none'}.")
        try:
            values[name] = known[name].read(value)
        except ValueError as error:
            raise ValueError(f"The option {name!r} of the backend {backend!r} is {value!r}. {error}") from error
    return kind(**values)
