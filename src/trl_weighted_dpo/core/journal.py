"""Work that can be stopped: each row's result is on disk before the next is begun, and a later run takes it up."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


def digest(values: Any) -> str:
    """Identity of what decides a row's result: SHA-256 of plain JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits; a file of any size, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Journal:
    """A JSONL file: a line with what decides all results, then one line for each row, in order.

    Rows are asked for with [`resumed`] until it gives none; from there on each is worked out and given to [`write`].
    As a context, it removes its file if an error ends it before there is a row.

    Args:
        path (`Path`):
            File that is made, or taken up.
        key (`str`):
            What decides the results besides the rows: settings and versions. A journal with another key is begun anew.
    """

    def __init__(self, path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b")
        self._is_resuming = True
        if self.resumed({"key": key}) is None:
            self.write({"key": key})
        self._path, self._first_row = path, self._file.tell()

    def resumed(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Returns the next entry of an earlier run if it is whole and has these fields.

        If not, because the row, what decides it or the line is another, or because a kill cut it short, everything
        from there on is cut off.
        """
        if not self._is_resuming:
            return None
        position = self._file.tell()
        line = self._file.readline()
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            entry = None
        if isinstance(entry, dict) and all(entry.get(name) == value for name, value in fields.items()):
            return entry
        self._is_resuming = False
        self._file.seek(position)
        self._file.truncate()
        return None

    def write(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry; a kill afterwards does not lose it."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()

    def finish(self) -> None:
        """Cuts off what an earlier run with more rows left behind."""
        self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_empty = self._file.seek(0, io.SEEK_END) == self._first_row
        self._file.close()
        if kind is not None and is_empty:
            self._path.unlink(missing_ok=True)
