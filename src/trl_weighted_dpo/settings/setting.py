"""What a setting is: a field of a frozen dataclass whose annotation has its type, bounds and meaning.

    top_p: Annotated[float, Interval(gt=0, le=1), Doc("Sample from the smallest set of …")] = 1.0

Everything else that knows a setting (checks, CLI options, the Axolotl block, fields of the training config, recipe
keys, tables of the documentation) reads it from there, by [`settings_of`].
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, Lt
from typing_extensions import Doc


@dataclass(frozen=True)
class NoneAs:
    """Marks a number that may be `None`: a command line and a YAML write `None` as `value`."""

    value: int


@dataclass(frozen=True)
class SpeedOnly:
    """Marks a setting that decides how fast a result is there, and the result at most by rounding."""


@dataclass(frozen=True)
class FromFile:
    """Marks a setting that a command line and a YAML give as the path of a file."""


@dataclass(frozen=True)
class Shape:
    """What an item of a list of texts looks like, such as `"KEY=VALUE"`."""

    text: str


_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Setting:
    """One setting, as its field declares it.

    Args:
        owner (`type`): The dataclass.
        name (`str`): Name of the field.
        hint (`Any`): Its annotation without `Annotated`.
        kind (`type`): `bool`, `int`, `float`, `str`, `Path`, `Mapping`, or a dataclass of settings; of a list, that of
            its items.
        choices (`tuple`): The values that it takes; empty if it takes any of its kind.
        is_optional, is_list (`bool`): Whether it may be `None`; whether it is a list of texts.
        bounds (`tuple`): Of `annotated_types`: `Ge`, `Gt`, `Le`, `Lt`.
        help (`str`): What it is, as one or more sentences.
        none_as (`int`, *optional*): See [`NoneAs`].
        is_speed_only, is_from_file (`bool`): See [`SpeedOnly`] and [`FromFile`].
        shape (`str`): See [`Shape`].
    """

    owner: type
    name: str
    hint: Any
    kind: Any
    choices: tuple[Any, ...]
    is_optional: bool
    is_list: bool
    bounds: tuple[BaseMetadata, ...]
    help: str
    none_as: int | None
    is_speed_only: bool
    is_from_file: bool
    shape: str

    @property
    def key(self) -> str:
        """Its name where it is no Python: `lambda`, not `lambda_`."""
        return self.name.rstrip("_")

    @property
    def flag(self) -> str:
        """Its option on a command line, such as `--clip-min`."""
        return "--" + self.key.replace("_", "-")

    @property
    def is_nested(self) -> bool:
        """Whether it is a dataclass of settings itself."""
        return is_dataclass(self.kind)

    @property
    def default(self) -> Any:
        """The field's default, as it is now."""
        field = self.owner.__dataclass_fields__[self.name]  # type: ignore[attr-defined]
        return field.default_factory() if field.default is MISSING else field.default

    @property
    def expected(self) -> str:
        """What it takes, in words that follow "Give"."""
        if self.choices:
            names = [
                "true" if choice is True else "false" if choice is False else str(choice) for choice in self.choices
            ]
            words = " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        elif self.is_nested:
            words = f"names among {', '.join(setting.key for setting in settings_of(self.kind))} with values"
        elif self.is_list:
            words = f"a list of {self.shape or 'texts that are not empty'}"
        elif self.kind is bool:
            words = "true or false"
        elif self.kind in (int, float):
            words = ("a whole number" if self.kind is int else "a number") + self._range
        else:
            words = {Path: "the path of a file", Mapping: "a mapping or its JSON"}.get(self.kind, "a text")
        return words + (f", or {'null' if self.none_as is None else self.none_as}" if self.is_optional else "")

    @property
    def _range(self) -> str:
        low, high = _end(self.bounds, Ge, Gt), _end(self.bounds, Le, Lt)
        if low and high:
            return f" in {'[' if low[1] else '('}{low[0]:g}, {high[0]:.10g}{']' if high[1] else ')'}"
        if low:
            return f" {'of at least' if low[1] else 'above'} {low[0]:g}"
        return f" {'of at most' if high[1] else 'below'} {high[0]:g}" if high else ""

    def accepts(self, value: Any) -> bool:
        """Whether a value, as Python has it, is of the setting's type and within its bounds."""
        if value is None:
            return self.is_optional
        if self.choices:
            return any(value == choice and isinstance(value, type(choice)) for choice in self.choices)
        if self.is_from_file or self.is_list:
            is_list = isinstance(value, Sequence) and not isinstance(value, str)
            return is_list and (self.is_from_file or all(isinstance(item, str) and item for item in value))
        if self.kind in (int, float):
            is_number = isinstance(value, Integral if self.kind is int else Real) and not isinstance(value, bool)
            return is_number and math.isfinite(value) and all(_holds(bound, value) for bound in self.bounds)
        return isinstance(value, str | Path if self.kind is Path else self.kind)

    def complaint(self, value: Any) -> str:
        """What to say of a value that it does not accept: the setting, the value, what to give, and what it is."""
        meaning = self.help.rstrip(".")
        meaning = meaning[:1].lower() + meaning[1:] if meaning[1:2].islower() else meaning
        return f"{self.key} is {value!r}. Give {self.expected}: {meaning}."

    def read(self, value: Any) -> Any:
        """A value of a YAML or a command line as the setting's type, checked. Text stands for a number, too.

        Raises:
            `ValueError`: If it is not what the setting takes; says what to give.
        """
        read = self._read(value)
        if not (self.is_from_file or self.accepts(read)):
            raise ValueError(f"Give {self.expected}.")
        return read

    def _read(self, value: Any) -> Any:
        if value is None or str(value) == str(self.none_as):
            return None
        if self.is_nested:
            return value if isinstance(value, self.kind) else read_settings(self.kind, self._named(value))
        if self.is_list:
            return tuple(map(str, items_of(value)))
        if self.kind is Mapping:
            return _from_json(value) if isinstance(value, str) else value
        if isinstance(value, list | dict):
            raise ValueError("Give one value.")
        if self.choices:
            return next((choice for choice in self.choices if str(choice).lower() == str(value).lower()), value)
        if self.kind is bool:
            return _TRUTH.get(value.lower(), value) if isinstance(value, str) else value
        if isinstance(value, bool):
            return value
        if self.kind in (str, Path):
            return self.kind(str(value))
        if self.kind is float or isinstance(value, str):
            try:
                return self.kind(value)
            except (ValueError, TypeError, OverflowError):
                raise ValueError(f"Give {self.expected}.") from None
        return value

    def _named(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        named = {}
        for text in items_of(value):
            name, sign, item = str(text).partition("=")
            if not sign:
                raise ValueError(f"Give NAME=VALUE, with a name among {', '.join(_keys(self.kind))}.")
            named[name] = item
        return named


def settings_of(config: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in the order of its fields."""
    hints = _hints(config)
    return tuple(_setting(config, item.name, hints[item.name]) for item in fields(config))


def setting_of(config: type, name: str) -> Setting:
    """One of the settings, by the name of its field."""
    return _setting(config, name, _hints(config)[name])


def check(config: Any, within: str = "") -> None:
    """Check each value of a dataclass of settings; called by its `__post_init__`.

    Args:
        config (`Any`): An instance.
        within (`str`, *optional*): What comes before the names in messages, such as `"hardness."`.

    Raises:
        `ValueError`: If a value is not of its type or out of its bounds; names it, what to give, and what it is.
    """
    for setting in settings_of(type(config)):
        value = getattr(config, setting.name)
        if not setting.accepts(value):
            raise ValueError(within + setting.complaint(value))


def read_settings(config: type, given: Mapping[str, Any]) -> Any:
    """A dataclass of settings from values of a YAML or texts, by their keys; the others keep their defaults.

    Raises:
        `ValueError`: If a key is unknown or a value is not what the setting takes.
    """
    known = {setting.key: setting for setting in settings_of(config)}
    values = {}
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"There is no setting {key!r}. Give NAME=VALUE, with a name among {', '.join(known)}.")
        try:
            values[known[key].name] = known[key].read(value)
        except ValueError as error:
            raise ValueError(f"{key} is {value!r}. {error}") from error
    return config(**values)


def plain(value: Any) -> Any:
    """A value in types of JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def items_of(value: Any) -> list[Any]:
    """The items of a list in a YAML: of a mapping `NAME=VALUE`, of one value that one."""
    if isinstance(value, Mapping):
        return [f"{name}={item}" for name, item in value.items()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _keys(config: type) -> Iterator[str]:
    return (setting.key for setting in settings_of(config))


@cache
def _hints(config: type) -> dict[str, Any]:
    return get_type_hints(config, include_extras=True)


def _setting(owner: type, name: str, annotation: Any) -> Setting:
    hint, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    marks = {type(mark): mark for mark in metadata}
    if Doc not in marks:
        raise TypeError(f"{owner.__name__}.{name} has no Doc that says what it is.")
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [part for part in parts if part is not type(None)]
    choices: tuple[Any, ...] = ()
    for kind in kinds:
        if get_origin(kind) is Literal:
            choices += get_args(kind) if bool not in kinds else (*get_args(kind), True, False)
    kind = kinds[0]
    is_list = get_origin(kind) is Sequence and FromFile not in marks
    if get_origin(kind) is Literal:
        kind = str
    elif get_origin(kind) is Mapping:
        kind = Mapping
    elif get_origin(kind) is Sequence:
        (kind,) = get_args(kind)
    return Setting(
        owner=owner,
        name=name,
        hint=hint,
        kind=Path if FromFile in marks else kind,
        choices=choices,
        is_optional=type(None) in parts,
        is_list=is_list,
        bounds=tuple(_bounds(metadata)),
        help=marks[Doc].documentation,
        none_as=marks[NoneAs].value if NoneAs in marks else None,
        is_speed_only=SpeedOnly in marks,
        is_from_file=FromFile in marks,
        shape=marks[Shape].text if Shape in marks else "",
    )


def _bounds(metadata: Sequence[Any]) -> Iterator[BaseMetadata]:
    for mark in metadata:
        if isinstance(mark, GroupedMetadata):
            yield from _bounds(list(mark))
        elif isinstance(mark, Ge | Gt | Le | Lt):
            yield mark


def _end(bounds: Sequence[BaseMetadata], closed: type, opened: type) -> tuple[Any, bool] | None:
    for bound in bounds:
        if isinstance(bound, closed | opened):
            return _value(bound), isinstance(bound, closed)
    return None


def _value(bound: BaseMetadata) -> Any:
    return next(getattr(bound, name) for name in ("ge", "gt", "le", "lt") if hasattr(bound, name))


def _holds(bound: BaseMetadata, value: Any) -> bool:
    limit = _value(bound)
    if isinstance(bound, Ge):
        return bool(value >= limit)
    if isinstance(bound, Gt):
        return bool(value > limit)
    return bool(value <= limit) if isinstance(bound, Le) else bool(value < limit)
