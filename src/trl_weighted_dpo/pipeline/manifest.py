"""What a stage was run with, kept beside its output; it decides whether the stage has to be run again.

Inputs and outputs count by their content, never by where they lie or when they were written, so that a folder that was
moved or copied is up to date.
"""

import hashlib
import importlib.metadata
import json
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.core.files import SUFFIXES, RowFile, write_whole
from trl_weighted_dpo.core.fingerprint import weight_files
from trl_weighted_dpo.core.journal import file_digest

_PACKAGES = ("trl", "transformers", "torch", "axolotl")
_MODEL_FILES = (
    "config.json", "generation_config.json", "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin",
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
"""Files that decide what a model does, besides its weights."""
_VOLATILE = ("_name_or_path", "name_or_path", "transformers_version", "base_model_name_or_path")
"""What model files say of where and by what they were written."""


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
    manifest: Manifest | None, settings: Mapping[str, Any], inputs: Mapping[str, str], output: str | None
) -> list[str]:
    """Why a stage is not up to date, in words; empty if it is.

    Args:
        manifest ([`Manifest`] or `None`): Of the run before.
        settings (`Mapping[str, Any]`), inputs (`Mapping[str, str]`), output (`str` or `None`):
            What they are now; an output of `None` is not there.
    """
    if manifest is None:
        return ["not done yet"]
    # As JSON has them: a tuple is a list.
    now = json.loads(json.dumps(dict(settings)))
    reasons = [f"settings changed: {change}" for change in changes(manifest.settings, now)]
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


class Contents:
    """Identities of files and folders by their content.

    Files are read once: what they had is remembered with size and time of change, here and in a file for later runs.

    Args:
        memory (`Path`): Where that is remembered. It may be lost: then files are read again.
        is_kept (`bool`, *optional*, defaults to `True`): Whether what is found is written there.
    """

    def __init__(self, memory: Path, is_kept: bool = True) -> None:
        self._memory, self._is_kept = memory, is_kept
        try:
            self._known: dict[str, list[Any]] = dict(json.loads(memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def identity(self, place: str | Path) -> str | None:
        """Identity of a file, of a model's folder, or of a folder with all that is in it; `None` if there is nothing.

        What looks like a name on the hub counts by that name.
        """
        path = Path(place)
        if path.is_file():
            return f"file:{self._file(path)}"
        if path.is_dir():
            is_model = any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
            parts = self._model(path) if is_model else self._folder(path)
            digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
            return f"{'model' if is_model else 'folder'}:{digest}"
        return None

    def _model(self, folder: Path) -> Iterator[str]:
        for path in weight_files(folder):
            yield f"{path.name} {self._file(path)}"
        for name in _MODEL_FILES:
            if (folder / name).is_file():
                yield f"{name} {self._without_volatile(folder / name)}"

    def _folder(self, folder: Path) -> Iterator[str]:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield f"{path.relative_to(folder).as_posix()} {self._file(path)}"

    def _without_volatile(self, path: Path) -> str:
        if path.name not in ("config.json", "generation_config.json", "adapter_config.json", "tokenizer_config.json"):
            return self._file(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in content.items() if key not in _VOLATILE}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def _file(self, path: Path) -> str:
        state = path.stat()
        key = str(path.resolve())
        known = self._known.get(key)
        if known is None or known[:2] != [state.st_size, state.st_mtime_ns]:
            known = [state.st_size, state.st_mtime_ns, file_digest(path)]
            self._known[key] = known
            if self._is_kept:
                write_whole(self._memory, json.dumps(self._known))
        return str(known[2])
