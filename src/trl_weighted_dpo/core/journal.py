"""A journal of results, one line for each row, from which a run that was stopped resumes."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


def _is_locked(file: IO[bytes]) -> bool:
    """Whether the file is this process's alone, as far as the system can tell."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        # Windows, and file systems without locks.
        return True
    return True


class Journal:
    """A JSONL file: a line with what decides all results, then one line for each row, in order.

    Ask for the entries of an earlier run with [`next_entry`] until it returns `None`; from there on compute each result
    and [`write`] it. As a context, the journal removes its file if an error ends it before there is a row.

    Args:
        path (`Path`):
            File to create or resume. It is locked until the journal is closed or its process ends.
        key (`str`):
            What decides the results besides the rows: settings and versions. A journal with another key starts over.

    Raises:
        `ValueError`: If another process is writing the file.
    """

    def __init__(self, path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b")
        if not _is_locked(self._file):
            self._file.close()
            raise ValueError(
                f"{path}: another process is writing this journal. Wait until it ends, stop it, or name another output."
            )
        self._is_resuming = True
        if self.next_entry({"key": key}) is None:
            self.write({"key": key})
        self._path, self._first_row = path, self._file.tell()

    def next_entry(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """The next entry of an earlier run if it is whole and has these fields.

        Otherwise, because the row, what decides it or the line is another, or because a kill cut the line short,
        returns `None` from now on and removes this entry and all after it.
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
