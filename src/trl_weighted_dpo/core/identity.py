"""Whether something is still the same: files, model folders, data folders, settings and functions.

Every journal, manifest and cache of the package decides by these identities, and by one policy. A result is current as
long as three things are: the content it was made of, the resolved settings, and the result versions of the stages that
made it (`SAMPLING_VERSION`, `VERIFIER_VERSION`, `SCORING_VERSION`, `MINING_VERSION`, `FORMULA_VERSION`, and those of
plugins in use). A result version changes whenever the same content and settings may give another result. Versions of
this package, of Python and of other libraries are recorded but never compared; nor are names of folders and times.
"""

import contextlib
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import write_whole

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    "chat_template.json", "additional_chat_templates/*.jinja",
)  # fmt: skip
"""Files of a model's folder that decide how text becomes tokens."""
WEIGHT_FILES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
"""Files that hold or name the weights, in the order in which transformers prefers them: only the first one counts."""
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
MODEL_FILES = ("config.json", "*.py")
"""Files that decide, with the weights, what log-probs a model gives."""
_MARKS = ("config.json", "adapter_config.json", "tokenizer_config.json", "tokenizer.json")
"""Any of these makes a folder a model's."""
_SETTINGS = ("config.json", "generation_config.json", "adapter_config.json", "tokenizer_config.json")
_VOLATILE = ("_name_or_path", "name_or_path", "base_model_name_or_path", "transformers_version")
"""Keys of a model's settings that say where the model was and what wrote it."""
_THREADS = 8
_PROCESS = uuid.uuid4().hex


def canonical(values: Any) -> str:
    """JSON text that equal values share: keys sorted, tuples and sorted sets as lists, dataclasses as objects, paths as
    text.

    Any other value that is not of a JSON type is written by its `repr`. If that holds an address, the text is another
    one in each process, so that nothing counts as the same by mistake.
    """
    return json.dumps(values, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return str(value) if isinstance(value, Path) else _shown(value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return f"{shown} in process {_PROCESS}" if " at 0x" in shown else shown


def digest(values: Any) -> str:
    """Identity of settings, rows or any other plain values: SHA-256 of their [`canonical`] text, in hexadecimal."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()


def function_identity(function: Callable[..., Any]) -> str:
    """`"module:name"` of a function or class that another process can import.

    Any other callable is identified by its class and `repr`: a dataclass by its fields, a lambda or closure as one that
    no other process has.
    """
    if (isfunction(function) or isclass(function)) and "<" not in function.__qualname__:
        return f"{function.__module__}:{function.__qualname__}"
    return f"{type(function).__module__}:{_shown(function)}"


def weight_files(folder: Path) -> list[Path]:
    """The files with weights that transformers would load from a folder."""
    for name in WEIGHT_FILES:
        path = folder / name
        if path.is_file():
            if not name.endswith(".json"):
                return [path]
            return [folder / shard for shard in sorted(set(json.loads(path.read_bytes())["weight_map"].values()))]
    return []


class Contents:
    """Identities of files and folders by their content.

    Each file is read once as long as its size and time of change stay the same.

    Args:
        memory (`Path`, *optional*):
            A JSON file that remembers digests for later runs. It may be lost: files are then read again.
        is_kept (`bool`, *optional*, defaults to `True`):
            Whether new digests are written to `memory`.
    """

    def __init__(self, memory: Path | None = None, is_kept: bool = True) -> None:
        self._memory = memory if is_kept else None
        self._lock = threading.Lock()
        self._known: dict[str, list[Any]] = {}
        if memory is not None:
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._known = dict(json.loads(memory.read_text(encoding="utf-8")))

    def identity(self, place: str | Path) -> str | None:
        """Identity of a file, of a model's folder, or of a folder with all files in it; `None` if nothing is there."""
        path = Path(place)
        if path.is_file():
            return f"file:{self.file(path)}"
        if path.is_dir():
            return self.model(path) if any((path / name).is_file() for name in _MARKS) else self.folder(path)
        return None

    def named(self, place: str | Path) -> str:
        """As [`identity`]; `"name:"` and the name if nothing is there, as for a model on the hub."""
        return self.identity(place) or f"name:{place}"

    def file(self, path: Path) -> str:
        """SHA-256 of a file's content, in hexadecimal digits. Reading takes a buffer of 256 KiB."""
        state, key = path.stat(), str(path.resolve())
        known = self._known.get(key)
        if known is None or known[:2] != [state.st_size, state.st_mtime_ns]:
            with path.open("rb") as file:
                known = [state.st_size, state.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
            with self._lock:
                self._known[key] = known
                if self._memory is not None:
                    write_whole(self._memory, json.dumps(self._known))
        return str(known[2])

    def model(self, folder: Path) -> str:
        """What decides what a model does: weights, configuration, code, adapter, generation settings and tokenizer.

        An adapter counts without its base model, and nothing else in the folder counts, such as checkpoints.
        """
        files = [*weight_files(folder), *_there(folder, (*MODEL_FILES, *ADAPTER_FILES))]
        return f"model:{self._of(folder, [*files, *_there(folder, ('generation_config.json', *TOKENIZER_FILES))])}"

    def weights(self, folder: Path) -> str | None:
        """What decides the log-probs of given tokens: weights, configuration and code; `None` without weights."""
        files = weight_files(folder)
        return f"weights:{self._of(folder, [*files, *_there(folder, MODEL_FILES)])}" if files else None

    def tokenizer(self, folder: Path) -> str | None:
        """How text becomes tokens: the tokenizer's files and chat templates; `None` if there are none."""
        files = list(_there(folder, TOKENIZER_FILES))
        return f"tokenizer:{self._of(folder, files)}" if files else None

    def adapter(self, folder: Path) -> str | None:
        """Settings and weights of an adapter, without its base model; `None` if either is missing."""
        files = list(_there(folder, ADAPTER_FILES))
        return f"adapter:{self._of(folder, files)}" if len(files) > 1 and files[0].name == ADAPTER_FILES[0] else None

    def folder(self, folder: Path, apart: Iterable[Path] = ()) -> str:
        """All files below a folder, by relative name and content, except hidden ones and those below `apart`."""
        outside = [path.resolve() for path in apart]
        files = [
            file
            for file in sorted(folder.rglob("*"))
            if file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(folder).parts)
            and not any(file.resolve().is_relative_to(path) for path in outside)
        ]
        return f"folder:{digest([[file.relative_to(folder).as_posix(), self.file(file)] for file in files])}"

    def _of(self, folder: Path, files: list[Path]) -> str:
        with ThreadPoolExecutor(_THREADS) as threads:
            contents = threads.map(self._without_volatile, files)
            return digest([[file.relative_to(folder).as_posix(), of] for file, of in zip(files, contents, strict=True)])

    def _without_volatile(self, path: Path) -> str:
        if path.name in _SETTINGS:
            try:
                settings = json.loads(path.read_bytes())
            except ValueError:
                settings = None
            if isinstance(settings, dict):
                return digest({key: value for key, value in settings.items() if key not in _VOLATILE})
        return self.file(path)


def _there(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


CONTENTS = Contents()
"""What this process has read."""
