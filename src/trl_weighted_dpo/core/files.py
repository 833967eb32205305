"""Files of rows: read in order with flat memory, and written whole or not at all, as JSONL or Parquet."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.checks import SchemaError, is_encodable, row_error

SUFFIXES = (".jsonl", ".parquet")
_BATCH_ROWS = 512


_NOT_LINES = {
    b"\x1f\x8b": "compressed (gzip); unpack it first, as with `gunzip -k`",
    b"BZh": "compressed (bzip2); unpack it first",
    b"\xfd7zXZ": "compressed (xz); unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it first",
    b"PK\x03\x04": "compressed (zip); unpack it first",
    b"PAR1": "Parquet; write it as JSONL first, as with `datasets.Dataset.to_json`",
}
"""What files of other formats begin with."""


class RowFile:
    """The rows of a source, which can be read again and again.

    Args:
        path (`str` or `Path`):
            A file (JSONL, JSON array, Parquet or CSV, each also gzipped), a folder, or a name on the hub: see
            [`~core.sources.source_rows`].
        limit (`int`, *optional*): How many rows are read, the first ones; all by default.
        columns (`Mapping[str, str]`, *optional*): Our column → theirs, such as `{"problem": "question"}`.
        split (`str`, *optional*): Which split of a folder or of a set on the hub, where there are several.

    Iterating raises [`~core.checks.SchemaError`] at what is no row; `ValueError` if there is no such source.
    """

    def __init__(
        self,
        path: str | Path,
        limit: int | None = None,
        columns: Mapping[str, str] | None = None,
        split: str | None = None,
    ) -> None:
        self.path, self.limit, self.columns, self.split = Path(path), limit, dict(columns or {}), split

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from trl_weighted_dpo.core.sources import renamed, source_rows

        rows: Iterable[dict[str, Any]] = source_rows(self.path, self.split)
        if self.columns:
            rows = renamed(rows, self.columns, str(self))
        return itertools.islice(rows, self.limit)

    def __len__(self) -> int:
        from trl_weighted_dpo.core.sources import is_plain

        if is_plain(self.path, ".parquet"):
            there = int(parquet_file(self.path).metadata.num_rows)
            return there if self.limit is None else min(there, self.limit)
        if is_plain(self.path, ".jsonl"):
            with self.path.open("rb") as lines:
                return sum(1 for _ in itertools.islice(filter(bytes.strip, lines), self.limit))
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return str(self.path)


def parquet_file(file: Any, name: str | None = None) -> Any:
    """A Parquet file, by its path or as an open file with a name for messages.

    Raises:
        [`~core.checks.SchemaError`]: If it is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{name or file}: this is no Parquet file ({error}). Name JSONL files .jsonl.") from error


def parquet_rows(file: Any) -> Iterator[dict[str, Any]]:
    """The rows of an open Parquet file."""
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        yield from batch.to_pylist()


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all, and its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def check_suffix(path: Path) -> None:
    """Check that a file to be written has a suffix that says how.

    Raises:
        `ValueError`: If it is neither `.jsonl` nor `.parquet`.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: name the output *{SUFFIXES[0]} or *{SUFFIXES[1]}, which says how it is written.")


def check_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Check that rows can be written to a file, without writing it: what Parquet cannot hold is found before any work.

    Arguments and errors are those of [`write_rows`].
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".parquet":
        types = row_types(path, rows)
        for _ in _tables(path, rows, types):
            pass


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as the suffix says, replacing the file only when all of them were written.

    Args:
        path (`str` or `Path`): A `.jsonl` or `.parquet` file; its folder is made if need be.
        rows (`Iterable[Mapping[str, Any]]`):
            For Parquet it is read twice, first for the types: not an iterator, but such as a list or a [`RowFile`].

    Raises:
        `ValueError`: If the suffix is another one.
        [`~core.checks.SchemaError`]: If Parquet cannot hold a column: its values are of several types, are numbers
            beyond 64 bits, or have broken names.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".jsonl":
        write_jsonl(path, rows)
        return
    import pyarrow.parquet as pq

    types = row_types(path, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with pq.ParquetWriter(partial, types, compression="zstd") as file:
            for table in _tables(path, rows, types):
                file.write_table(table)
    except SchemaError:
        partial.unlink()
        raise
    partial.replace(path)


def row_types(path: Path, rows: Iterable[Mapping[str, Any]]) -> Any:
    """The Arrow schema that holds all rows. An object that has no key in any row is null, which Parquet can hold.

    Arguments and errors are those of [`write_rows`].
    """
    import pyarrow as pa

    types = pa.schema([])
    for first, batch in _batches(rows):
        with _explained(path, first, batch):
            plain = [_arrow(row) for row in batch]
            # Not from_pylist, which knows the columns of the first row only.
            names = dict.fromkeys(name for row in plain for name in row)
            found = pa.table({name: [row.get(name) for row in plain] for name in names}).schema
            types = pa.unify_schemas([types, found], promote_options="permissive")
    return pa.schema([(field.name, _without_empty_structs(field.type)) for field in types])


def _tables(path: Path, rows: Iterable[Mapping[str, Any]], types: Any) -> Iterator[Any]:
    import pyarrow as pa

    for first, batch in _batches(rows):
        with _explained(path, first, batch):
            columns = [pa.array([_arrow(row.get(f.name), f.type) for row in batch], f.type) for f in types]
            table = pa.table(columns, schema=types)
        yield table


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    remaining = iter(rows)
    first = 0
    while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
        yield first, batch
        first += len(batch)


@contextmanager
def _explained(path: Path, first: int, batch: list[Mapping[str, Any]]) -> Iterator[None]:
    """Errors of Arrow as those of the rows."""
    import pyarrow as pa

    where = f"{path}: rows {first} to {first + len(batch) - 1}"
    try:
        yield
    except OverflowError as error:
        raise SchemaError(
            f"{where}: a column holds a whole number beyond 64 bits, which Parquet cannot. Write JSONL, or mend the "
            "column."
        ) from error
    except UnicodeEncodeError as error:
        raise SchemaError(
            f"{where}: the name of a column or key, {error.object!r:.80}, is no valid Unicode, which Parquet cannot "
            "hold. Write JSONL, or rename it."
        ) from error
    except pa.ArrowException as error:
        raise SchemaError(
            f"{where}: a column holds values of several types, which Parquet cannot ({error}). Write JSONL, or mend "
            "the column."
        ) from error


def _arrow(value: Any, kind: Any = None) -> Any:
    """The value with lone surrogates escaped, which Arrow refuses; of the type `kind` if it is known, which has null
    for an object without any key."""
    if isinstance(value, str):
        return value if is_encodable(value) else value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        if kind is None:
            return {name: _arrow(item) for name, item in value.items()}
        return None if not kind.num_fields else {f.name: _arrow(value.get(f.name), f.type) for f in kind}
    if isinstance(value, list | tuple):
        return [_arrow(item, None if kind is None else kind.value_type) for item in value]
    return value


def _without_empty_structs(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return pa.list_(_without_empty_structs(kind.value_type))
    if pa.types.is_struct(kind):
        fields = [pa.field(field.name, _without_empty_structs(field.type)) for field in kind]
        return pa.struct(fields) if fields else pa.null()
    return kind


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file; empty lines are passed over.

    Raises:
        [`SchemaError`]: If a line is not a JSON object, or the file is compressed. Rows are counted from 0, as
            elsewhere.
        `FileNotFoundError`: If there is no such file.
    """
    with Path(path).open("rb") as file:
        yield from jsonl_rows(file, str(path))


def jsonl_rows(lines: Iterable[bytes], source: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSONL text, such as that of an open file; `source` names it in messages.

    Raises:
        [`SchemaError`]: As [`read_jsonl`].
    """
    for index, line in enumerate(line for line in lines if line.strip()):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            kind = next((kind for start, kind in _NOT_LINES.items() if index == 0 and line.startswith(start)), None)
            if kind is not None:
                raise SchemaError(f"{source}: this is no JSONL file but {kind}.") from error
            hint = f"This line is not valid JSON in UTF-8 ({error}). Mend or remove it."
            raise row_error(source, index, "(whole row)", line.strip().decode(errors="replace"), hint) from error
        if not isinstance(row, dict):
            raise row_error(source, index, "(whole row)", row, "A row is a JSON object, one on each line.")
        yield row


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSONL, replacing the file only when all of them were written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    # A lone surrogate is written as its JSON escape.
    with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial.replace(path)
