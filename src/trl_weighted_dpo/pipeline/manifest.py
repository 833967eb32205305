"""What a stage was run with, kept beside its output; it decides whether the stage has to be run again.

What counts, and what does not, is the policy of [`~core.identity`]: a folder that was moved or copied is up to date.
"""

import importlib.metadata
import json
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.core.files import SUFFIXES, RowFile, write_whole

_PACKAGES = ("trl", "transformers", "torch", "axolotl")


@dataclass(frozen=True)
class Manifest:
    """What a finished stage was run with.

    Args:
        stage (`str`): Its name, such as `"round-1/score"`.
        command (`str`): The command line, quoted for a shell.
        settings (`dict`): What it was told, but for paths and what decides speed only.
        inputs (`dict[str, str]`): Identity of the content of each input, by what it is to the stage.
        output (`str`): Identity of the content of the output.
        rows (`int` or `None`): Rows of the output, if it is a file of rows.
        versions (`dict[str, str]`): Of Python, this package and what it stands on.
        started, ended (`str`): Times in UTC, ISO 8601.
        seconds (`float`): Between them.
        result_versions (`dict[str, str]`): Versions that decide the output, of the package's stages and of plugins.
    """

    stage: str
    command: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    output: str
    rows: int | None
    versions: dict[str, str]
    started: str
    ended: str
    seconds: float
    result_versions: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        write_whole(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """The manifest in a file; `None` if there is none that can be read."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def reasons_to_run(
    manifest: Manifest | None,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    output: str | None,
    result_versions: Mapping[str, str],
) -> list[str]:
    """Why a stage is not up to date, in words; empty if it is.

    Args:
        manifest ([`Manifest`] or `None`): Of the run before.
        settings (`Mapping[str, Any]`), inputs (`Mapping[str, str]`), output (`str` or `None`), result_versions
        (`Mapping[str, str]`):
            What they are now; an output of `None` is not there.
    """
    if manifest is None:
        return ["not done yet"]
    # As JSON has them: a tuple is a list.
    now = json.loads(json.dumps(dict(settings)))
    reasons = [f"settings changed: {change}" for change in changes(manifest.settings, now)]
    reasons += [f"version changed: {change}" for change in changes(manifest.result_versions, result_versions)]
    reasons += [
        f"{name} changed" if name in manifest.inputs and name in inputs else f"{name} is new or gone"
        for name in sorted({*manifest.inputs, *inputs})
        if manifest.inputs.get(name) != inputs.get(name)
    ]
    if output != manifest.output:
        reasons.append("the output is gone" if output is None else "the output was changed")
    return reasons


def changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """What differs between settings: `"temperature 0.8 -> 1.0"`."""
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from changes(old, new, f"{prefix}{name}.")
        elif old != new:
            shown = ["unset" if value is None else f"{value}" for value in (old, new)]
            yield f"{prefix}{name} {shown[0]} -> {shown[1]}"


def versions() -> dict[str, str]:
    """Versions of Python, this package and what it stands on, without importing any."""
    found = {"python": platform.python_version(), "trl-weighted-dpo": __version__}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def row_count(path: Path) -> int | None:
    """Rows of a file of rows; `None` of anything else."""
    return len(RowFile(path)) if path.is_file() and path.suffix in SUFFIXES else None


def shell_line(command: Sequence[str], to: Path | None = None) -> str:
    """A command line as a person would type it; `to` is the file that its standard output goes to."""
    return shlex.join(command) + ("" if to is None else f" > {shlex.quote(str(to))}")
