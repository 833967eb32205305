"""Rows of any source: files in five formats, folders, and datasets on the hub."""

import csv
import gzip
import io
import json
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, row_error
from trl_weighted_dpo.core.files import jsonl_rows, parquet_file, parquet_rows

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv")
"""What the names of files of rows end in, each also with `.gz`."""
FORMATS = "JSONL, JSON, Parquet or CSV, each also gzipped"
_LIKE_FILES = (*SUFFIXES, ".gz", ".txt")
"""A missing source whose name ends like this is a file, and no name on the hub."""

_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?(?::[\w.-]+)?")
_SAVED = ("state.json", "dataset_dict.json")
"""What `datasets` leaves where it saves to disk."""
_GZIP, _BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
_CHUNK = 1 << 16


def source_rows(source: str | Path, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a source, as they are, one after the other.

    Args:
        source (`str` or `Path`):
            A file; a folder that `save_to_disk` of datasets wrote, or of data files; or a name on the hub, with a
            configuration after a colon where there are several (`"openai/gsm8k:main"`). The content of a file says
            whether it is compressed by gzip, Parquet or a JSON array; a name in `.csv` or `.tsv` (`.gz` may follow)
            makes it CSV. Every other file is JSONL.
        split (`str`, *optional*):
            Which split of a folder or of a set on the hub; `None` goes where there is only one.

    Raises:
        `ValueError`: If there is no such source, it cannot be read, or has several splits and none is named.
        [`~core.checks.SchemaError`]: If a file holds what is no row.
    """
    path = Path(source)
    if path.is_dir():
        return _folder_rows(path, split)
    if path.exists():
        if split is not None:
            raise ValueError(f"{source}: a file has no splits. Leave out split (--split), or name a folder.")
        return _file_rows(path)
    check_source(source)
    return _split_rows(_hub_set(str(source)), str(source), split)


def check_source(source: str | Path) -> None:
    """Check that a source is there, or may be on the hub.

    Raises:
        `ValueError`: If it is a path where nothing is.
    """
    name = str(source)
    if not Path(name).exists() and (name.endswith(_LIKE_FILES) or not _HUB_NAME.fullmatch(name)):
        raise ValueError(f"{name}: there is no such file or folder. Is the path right, as seen from {Path.cwd()}?")


def is_plain(path: Path, suffix: str) -> bool:
    """Whether a file has a suffix and the format that it says: neither compressed nor, for `.jsonl`, an array."""
    if path.suffix != suffix or not path.is_file():
        return False
    with path.open("rb") as file:
        return not file.peek(2).startswith(_GZIP) and (suffix != ".jsonl" or not _is_array(file))


def _file_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        if not file.peek(2).startswith(_GZIP):
            yield from _open_rows(file, path)
            return
        try:
            with gzip.open(file) as unpacked:
                yield from _open_rows(io.BufferedReader(unpacked), path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: this is no whole gzip file ({error}). Get it again, or unpack it.") from error


def _open_rows(file: Any, path: Path) -> Iterator[dict[str, Any]]:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet") or file.peek(4).startswith(b"PAR1"):
        yield from _parquet_rows(file, path)
    elif name.endswith((".csv", ".tsv")):
        yield from _csv_rows(file, path, "\t" if name.endswith(".tsv") else ",")
    elif _is_array(file):
        yield from _array_rows(io.TextIOWrapper(file, encoding="utf-8-sig"), str(path))
    else:
        yield from jsonl_rows(file, str(path))


def _is_array(file: Any) -> bool:
    """Whether an open file begins with a JSON array; nothing of it is read."""
    return bool(file.peek(64).removeprefix(_BOM).lstrip().startswith(b"["))


def _parquet_rows(file: Any, path: Path) -> Iterator[dict[str, Any]]:
    if not path.name.endswith(".gz"):
        yield from parquet_rows(parquet_file(path))
        return
    # Parquet is read from its end, and gzip only from its beginning.
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(file, unpacked)
        yield from parquet_rows(parquet_file(unpacked, str(path)))


def _array_rows(text: IO[str], source: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON array, one after the other, however they are spread over lines."""
    decoder, index = json.JSONDecoder(), 0
    try:
        rest = text.read(_CHUNK).lstrip()[1:]
        while True:
            rest = rest.lstrip()
            if index and rest.startswith(","):
                rest = rest[1:].lstrip()
            elif rest.startswith("]"):
                return
            try:
                row, end = decoder.raw_decode(rest)
            except json.JSONDecodeError as error:
                # Twice as much each time, so that a long row is not parsed again and again.
                more = text.read(max(_CHUNK, len(rest)))
                if not more:
                    raise _bad_object(source, index, rest, error) from error
                rest += more
                continue
            if not isinstance(row, dict):
                raise row_error(source, index, "(whole row)", row, "A row is a JSON object.")
            yield row
            rest, index = rest[end:], index + 1
            if not rest.strip():
                rest += text.read(_CHUNK)
    except (UnicodeDecodeError, RecursionError) as error:
        raise _bad_object(source, index, "", error) from error


def _bad_object(source: str, index: int, rest: str, error: Exception) -> SchemaError:
    reason = getattr(error, "msg", error)
    hint = f"This part of the array is no valid JSON in UTF-8 ({reason}). Fix it, or write one object on each line."
    return row_error(source, index, "(whole row)", rest[:200].strip(), hint)


def _csv_rows(file: Any, path: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    # Texts with long reasoning are longer than the module's default of 128 Ki.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        for index, row in enumerate(csv.DictReader(text, delimiter=delimiter, strict=True)):
            if None in row or None in row.values():
                raise row_error(
                    str(path), index, "(whole row)", [*row.values()],
                    "It has more or fewer fields than the first line, which names the columns. Quote commas.",
                )  # fmt: skip
            # A CSV file has no other way to leave a value out.
            yield {name: _csv_value(name, value) if value else None for name, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: this is no CSV file in UTF-8 ({error}). Fix it, or give JSONL.") from error


def _csv_value(name: str, value: str) -> Any:
    """A field as the type of its column: numbers where a column of ours has numbers, else text."""
    if name not in schema.NUMBERS:
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _folder_rows(path: Path, split: str | None) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        if any((path / name).is_file() for name in _SAVED):
            return _split_rows(datasets.load_from_disk(str(path)), str(path), split)
        # Only where the files are: they are read row by row, with errors that name file and row.
        files = datasets.load_dataset_builder(str(path)).config.data_files
        readable = [*SUFFIXES, *(suffix + ".gz" for suffix in SUFFIXES)]
        if files and all(str(file).endswith(tuple(readable)) for of_split in files.values() for file in of_split):
            name = _split_name(list(files), str(path), split)
            return (row for file in files[name] for row in _file_rows(Path(file)))
        return _split_rows(datasets.load_dataset(str(path)), str(path), split)
    except _SplitError:
        raise
    # The builders and Arrow raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f"{path}: no rows could be read from this folder ({_reason(error)}). Give one that save_to_disk wrote or "
            f"that holds data files, or a file: {FORMATS}."
        ) from error


def _hub_set(source: str) -> Any:
    import datasets

    name, _, configuration = source.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None)
    # The hub's client, the builders and Arrow raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f"{source}: there is no such file or folder, and no such data set could be loaded from the hub "
            f"({_reason(error)}). Without a network, or with HF_HUB_OFFLINE or HF_DATASETS_OFFLINE set, only what is "
            "in the cache is found: load it where there is a network, save it with save_to_disk, and give that "
            "folder. A configuration goes after a colon, as in openai/gsm8k:main."
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"


class _SplitError(ValueError):
    """The split of a set is not named, or is not there."""


def _split_rows(found: Any, source: str, split: str | None) -> Iterator[dict[str, Any]]:
    import datasets

    if isinstance(found, datasets.DatasetDict):
        found = found[_split_name(list(found), source, split)]
    elif split is not None:
        raise _SplitError(f"{source}: it is a single split. Leave out split (--split), which is {split!r}.")
    return iter(found)


def _split_name(names: list[str], source: str, split: str | None) -> str:
    names = list(map(str, names))
    if split is None and len(names) > 1:
        raise _SplitError(f"{source}: it has the splits {', '.join(names)}. Name one (--split).")
    if split is not None and split not in names:
        raise _SplitError(f"{source}: it has no split {split!r}; it has: {', '.join(names)}.")
    return names[0] if split is None else split


def renamed(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], source: str) -> Iterator[dict[str, Any]]:
    """Rows with our column names.

    Args:
        rows (`Iterable[Mapping[str, Any]]`): Rows with any columns.
        columns (`Mapping[str, str]`): Our column → theirs, which is then not there under its own name.
        source (`str`): Where the rows are from, for messages.

    Raises:
        [`~core.checks.SchemaError`]: If the first row lacks one of their columns. A later row that does, lacks ours.
    """
    taken = set(columns.values())
    for index, row in enumerate(rows):
        for ours, theirs in columns.items() if index == 0 else ():
            if theirs not in row:
                there = ", ".join(map(str, row)) or "none"
                raise SchemaError(f"{source}: there is no column {theirs!r} to be {ours!r}; there are: {there}.")
        kept = {name: value for name, value in row.items() if name not in taken}
        yield kept | {ours: row[theirs] for ours, theirs in columns.items() if theirs in row}


def names_of(names: Collection[str], columns: Mapping[str, str], source: str) -> dict[str, str]:
    """Their column → ours, of those of theirs that are there, where several sets may have other columns.

    Raises:
        [`~core.checks.SchemaError`]: If neither their nor our column is there.
    """
    for ours, theirs in columns.items():
        if theirs not in names and ours not in names:
            there = ", ".join(map(str, names))
            raise SchemaError(f"{source}: there is no column {theirs!r} to be {ours!r}; there are: {there}.")
    return {theirs: ours for ours, theirs in columns.items() if theirs in names}


def named_columns(given: Any) -> dict[str, str]:
    """Our column → theirs, from `OURS=THEIRS` texts, one or several, or a mapping.

    Raises:
        `ValueError`: If a text names no two columns, or one of ours is there twice.
    """
    if isinstance(given, Mapping):
        return {str(ours): str(theirs) for ours, theirs in given.items()}
    found: dict[str, str] = {}
    for text in [given] if isinstance(given, str) else given or ():
        ours, _, theirs = str(text).partition("=")
        if not (ours and theirs):
            raise ValueError(f"--column {text}: give a name and a value, as in --column problem=question.")
        if ours in found:
            raise ValueError(f"--column {ours} is given twice: {found[ours]!r} and {theirs!r}.")
        found[ours] = theirs
    return found


def rename(dataset: Any, names: Collection[str], renaming: Mapping[str, str]) -> Any:
    """A dataset of `datasets` with our column names in place of theirs; a column that has one of ours already is left
    out."""
    if not renaming:
        return dataset
    replaced = [ours for ours in renaming.values() if ours in names and ours not in renaming]
    return dataset.remove_columns(replaced).rename_columns(dict(renaming))
