"""Files of rows, JSONL or Parquet: read in order with flat memory, and written whole or not at all."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo import schema

SUFFIXES = (".jsonl", ".parquet")
_BATCH_ROWS = 512


class RowFile:
    """The rows of a file, which can be read again and again.

    Args:
        path (`str` or `Path`): A `.parquet` file; any other is read as JSONL.

    Iterating raises [`~schema.SchemaError`] at what is no row; `FileNotFoundError` if there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return _parquet_rows(self.path) if self.path.suffix == ".parquet" else schema.read_jsonl(self.path)

    def __len__(self) -> int:
        if self.path.suffix == ".parquet":
            return int(_parquet_file(self.path).metadata.num_rows)
        with self.path.open("rb") as lines:
            return sum(1 for line in lines if line.strip())

    def __str__(self) -> str:
        return str(self.path)


def _parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise schema.SchemaError(f"{path}: this is no Parquet file ({error}). Name JSONL files .jsonl.") from error


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in _parquet_file(path).iter_batches(batch_size=_BATCH_ROWS):
        yield from batch.to_pylist()


def check_suffix(path: Path) -> None:
    """Check that a file to be written has a suffix that says how.

    Raises:
        `ValueError`: If it is neither `.jsonl` nor `.parquet`.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: name the output *{SUFFIXES[0]} or *{SUFFIXES[1]}, which says how it is written.")


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as the suffix says, replacing the file only when all of them were written.

    Args:
        path (`str` or `Path`): A `.jsonl` or `.parquet` file; its folder is made if need be.
        rows (`Iterable[Mapping[str, Any]]`):
            For Parquet it is read twice, first for the types: not an iterator, but such as a list or a [`RowFile`].

    Raises:
        `ValueError`: If the suffix is another one.
        [`~schema.SchemaError`]: If Parquet cannot hold a column, whose values are of several types.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".jsonl":
        schema.write_jsonl(path, rows)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = pa.schema([])
    for first, batch in _batches(rows):
        try:
            # Not from_pylist, which knows the columns of the first row only.
            names = dict.fromkeys(name for row in batch for name in row)
            found = pa.table({name: [row.get(name) for row in batch] for name in names}).schema
            types = pa.unify_schemas([types, found], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise schema.SchemaError(
                f"{path}: rows {first} to {first + len(batch) - 1}: a column holds values of several types, which "
                f"Parquet cannot ({error}). Write JSONL, or mend the column."
            ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with pq.ParquetWriter(partial, types, compression="zstd") as file:
        for _, batch in _batches(rows):
            file.write_table(pa.Table.from_pylist(batch, schema=types))
    partial.replace(path)


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    remaining = iter(rows)
    first = 0
    while batch := [_arrow(row) for row in itertools.islice(remaining, _BATCH_ROWS)]:
        yield first, batch
        first += len(batch)


def _arrow(value: Any) -> Any:
    """The value with what Arrow or Parquet refuses: lone surrogates escaped, objects without any key as null."""
    if isinstance(value, str):
        return value if schema.is_encodable(value) else value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {name: _arrow(item) for name, item in value.items()} or None
    return [_arrow(item) for item in value] if isinstance(value, list | tuple) else value
