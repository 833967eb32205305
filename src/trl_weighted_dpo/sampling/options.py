"""The options of a backend, from names and values that may be text."""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")

_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def read_options(kind: type[T], options: Mapping[str, Any], backend: str) -> T:
    """The options of a backend as its dataclass. Text becomes the field's type: `"2"` a whole number where one stands.

    Args:
        kind (`type`): A dataclass whose fields are texts, numbers or truth values, some of them optional.
        options (`Mapping[str, Any]`): Values by name.
        backend (`str`): Its name, for messages.

    Raises:
        `ValueError`: If there is no such option, or a value is of another type.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            raise ValueError(f"The backend {backend!r} has no option {name!r}; it has: {', '.join(known) or 'none'}.")
    return kind(**{name: _value(value, hints[name], name, backend) for name, value in options.items()})


def _value(value: Any, hint: Any, name: str, backend: str) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] if isinstance(hint, UnionType) else [hint]
    if value is None or not isinstance(value, str) or str in kinds:
        return value
    for kind in kinds:
        try:
            return _TRUTH[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            continue
    wanted = " or ".join({bool: "true or false", int: "a whole number", float: "a number"}[kind] for kind in kinds)
    raise ValueError(f"The option {name!r} of the backend {backend!r} is {value!r}; give {wanted}.")
