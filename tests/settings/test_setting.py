"""Settings read from their declarations: bounds, values from text and YAML, messages."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from typing_extensions import Doc

from trl_weighted_dpo.settings.setting import (
    FromFile,
    NoneAs,
    Shape,
    SpeedOnly,
    check,
    plain,
    read_settings,
    setting_of,
    settings_of,
)


@dataclass(frozen=True)
class Inner:
    power: Annotated[float, Ge(0), Doc("Exponent.")] = 1.0
    function: Annotated[str, Doc("Name.")] = "product"

    def __post_init__(self):
        check(self, "inner.")


@dataclass(frozen=True)
class Example:
    share: Annotated[float, Interval(gt=0, le=1), Doc("Share of all. More text.")] = 0.5
    count: Annotated[int, Ge(2), Doc("Things.")] = 3
    below: Annotated[int, Lt(5), Doc("Below.")] = 3
    most: Annotated[float, Le(1.5), Doc("At most.")] = 1.0
    above: Annotated[float, Gt(0), Doc("Above.")] = 1.0
    length: Annotated[int | None, Ge(2), NoneAs(0), Doc("Tokens; 0 is no limit.")] = 1024
    limit: Annotated[int | None, Ge(1), Doc("`n` at most.")] = None
    mode: Annotated[Literal["keep", "drop"], Doc("NLL mode.")] = "keep"
    shared: Annotated[Literal["auto"] | bool, Doc("Shared.")] = "auto"
    stop: Annotated[Sequence[str], Shape("TEXT"), Doc("Ends.")] = ()
    is_on: Annotated[bool, Doc("On.")] = False
    name_: Annotated[str, Doc("Name.")] = "x"
    path: Annotated[Path | None, Doc("File.")] = None
    shots: Annotated[Sequence[tuple[str, str]], FromFile(), Doc("Examples.")] = ()
    tolerated: Annotated[Mapping[str, float], Doc("Shares.")] = field(default_factory=dict)
    inner: Annotated[Inner, Doc("Parts.")] = field(default_factory=Inner)
    workers: Annotated[int, Ge(1), SpeedOnly(), Doc("Processes.")] = 1

    def __post_init__(self):
        check(self)


def test_a_setting_is_read_from_its_field():
    settings = {setting.name: setting for setting in settings_of(Example)}
    assert list(settings) == list(Example.__dataclass_fields__)
    assert settings["share"].help == "Share of all. More text."
    assert (settings["name_"].key, settings["name_"].flag) == ("name", "--name")
    assert (settings["length"].flag, settings["length"].none_as) == ("--length", 0)
    assert (settings["mode"].kind, settings["mode"].choices) == (str, ("keep", "drop"))
    assert settings["shared"].choices == ("auto", True, False)
    assert [name for name, setting in settings.items() if setting.is_optional] == ["length", "limit", "path"]
    assert [name for name, setting in settings.items() if setting.is_list] == ["stop"]
    assert [name for name, setting in settings.items() if setting.is_nested] == ["inner"]
    assert [name for name, setting in settings.items() if setting.is_speed_only] == ["workers"]
    assert [name for name, setting in settings.items() if setting.is_from_file] == ["shots"]
    assert settings["inner"].default == Inner()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("share", "a number in (0, 1]"),
        ("count", "a whole number of at least 2"),
        ("below", "a whole number below 5"),
        ("most", "a number of at most 1.5"),
        ("above", "a number above 0"),
        ("length", "a whole number of at least 2, or 0"),
        ("limit", "a whole number of at least 1, or null"),
        ("mode", "keep or drop"),
        ("shared", "auto, true or false"),
        ("stop", "a list of TEXT"),
        ("is_on", "true or false"),
        ("name_", "a text"),
        ("path", "the path of a file, or null"),
        ("tolerated", "a mapping or its JSON"),
        ("inner", "names among power, function with values"),
    ],
)
def test_what_a_setting_takes_in_words(name, expected):
    assert setting_of(Example, name).expected == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 0}, "share is 0. Give a number in (0, 1]: share of all. More text."),
        ({"share": 1.01}, "share is 1.01."),
        ({"share": float("nan")}, "share is nan."),
        ({"above": float("inf")}, "above is inf. Give a number above 0: above."),
        ({"above": 0.0}, "above is 0.0."),
        ({"below": 5}, "below is 5. Give a whole number below 5: below."),
        ({"most": 1.6}, "most is 1.6. Give a number of at most 1.5"),
        ({"count": 1}, "count is 1. Give a whole number of at least 2: things."),
        ({"count": 2.0}, "count is 2.0."),
        ({"count": True}, "count is True."),
        ({"count": None}, "count is None."),
        ({"count": "3"}, "count is '3'."),
        ({"length": 1}, "length is 1. Give a whole number of at least 2, or 0: tokens; 0 is no limit."),
        ({"mode": "other"}, "mode is 'other'. Give keep or drop: NLL mode."),
        ({"shared": 1}, "shared is 1. Give auto, true or false"),
        ({"stop": "abc"}, "stop is 'abc'. Give a list of TEXT: ends."),
        ({"stop": ["a", ""]}, "stop is ['a', '']."),
        ({"is_on": 1}, "is_on is 1. Give true or false"),
        ({"name_": 3}, "name is 3. Give a text"),
        ({"limit": 0}, "limit is 0. Give a whole number of at least 1, or null: `n` at most."),
        ({"inner": {}}, "inner is {}."),
    ],
)
def test_a_value_out_of_bounds_is_named_with_a_way_out(values, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole message is compared)
        Example(**values)
    assert str(error.value).startswith(message)


def test_values_within_bounds_are_taken():
    given = {"share": 1, "count": 2, "below": 4, "most": 1.5, "length": None, "shared": False, "stop": ["a"]}
    assert vars(Example(**given)) == vars(Example()) | given
    with pytest.raises(ValueError, match=r"^inner\.power is -1\. Give a number of at least 0: exponent\."):
        Inner(power=-1)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("share", "0.25", 0.25), ("share", 1, 1.0), ("count", "7", 7), ("length", 0, None), ("length", "0", None),
        ("length", None, None), ("limit", None, None), ("mode", "drop", "drop"), ("shared", "true", True),
        ("shared", False, False), ("is_on", "true", True), ("is_on", False, False), ("stop", ["\n", 1], ("\n", "1")),
        ("stop", "a", ("a",)), ("stop", {"a": 1}, ("a=1",)), ("name_", 7, "7"), ("path", "a/b", Path("a/b")),
        ("shots", "x.jsonl", Path("x.jsonl")), ("inner", {"power": "2"}, Inner(2.0)),
        ("tolerated", '{"a": 0.5}', {"a": 0.5}), ("tolerated", {"a": 1}, {"a": 1}),
        ("inner", ["power=2", "function=f"], Inner(2.0, "f")), ("inner", Inner(3.0), Inner(3.0)),
    ],
)  # fmt: skip
def test_yaml_and_text_become_values(name, value, read):
    found = setting_of(Example, name).read(value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", "hot", r"Give a number in \(0, 1\]\."),
        ("share", [1], "Give one value"),
        ("share", 2, r"Give a number in \(0, 1\]"),
        ("count", 2.5, "Give a whole number"),
        ("count", True, "Give a whole number"),
        ("is_on", 1, "Give true or false"),
        ("is_on", "yes", "Give true or false"),
        ("mode", "x", "Give keep or drop"),
        ("tolerated", "a=1", "Give a mapping or its JSON"),
        ("tolerated", "[1]", "Give a mapping or its JSON"),
        ("inner", "power", "Give NAME=VALUE, with a name among power, function"),
        ("inner", {"powr": 1}, "There is no setting 'powr'. Give NAME=VALUE, with a name among power, function"),
        ("inner", {"power": -1}, "power is -1. Give a number of at least 0"),
    ],
)
def test_what_is_no_value_says_what_to_give(name, value, message):
    with pytest.raises(ValueError, match=message):
        setting_of(Example, name).read(value)


def test_a_dataclass_is_read_by_keys_and_is_plain():
    config = read_settings(Example, {"name": "y", "length": 0, "inner": {"power": 2}, "path": "f"})
    assert config == Example(name_="y", length=None, inner=Inner(2.0), path=Path("f"))
    assert plain(config)["inner"] == {"power": 2.0, "function": "product"}
    assert (plain(config)["path"], plain(config)["stop"]) == ("f", [])


def test_a_field_without_a_meaning_is_no_setting():
    @dataclass
    class Silent:
        value: Annotated[int, Ge(1)] = 1

    with pytest.raises(TypeError, match=r"Silent\.value has no Doc"):
        settings_of(Silent)


def test_declarations_are_light():
    code = (
        "import sys, json, trl_weighted_dpo.settings, trl_weighted_dpo.cli\n"
        "heavy = ('torch', 'trl', 'transformers', 'datasets', 'sympy', 'numpy', 'pyarrow', 'pydantic')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
