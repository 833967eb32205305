"""Rows of problems from files, folders and datasets on the hub."""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.core.files import RowFile, jsonl_rows

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv")
_LIKE_FILES = (*SUFFIXES, ".json", ".gz", ".txt", ".tsv")
"""A missing source whose name ends like this is a file, and no name on the hub."""

_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?(?::[\w.-]+)?")


def source_rows(source: str, split: str | None) -> Iterator[Mapping[str, Any]]:
    """The rows of a source, as they are.

    Args:
        source (`str`):
            A `.jsonl`, `.jsonl.gz`, `.parquet` or `.csv` file (one with another suffix is read as JSONL); a folder that
            `save_to_disk` of datasets wrote, or of data files that `datasets.load_dataset` reads; or a name on the hub,
            with a configuration after a colon where there are several (`"openai/gsm8k:main"`).
        split (`str` or `None`):
            Which split of a folder or of a set on the hub; `None` goes where there is one only.

    Raises:
        `ValueError`: If there is no such source, it cannot be read, or has several splits and none is named.
        [`~core.checks.SchemaError`]: If a file holds what is no row.
    """
    path = Path(source)
    if path.is_file():
        if split is not None:
            raise ValueError(f"{source}: a file has no splits. Leave out split (--split), or name a folder.")
        return _file_rows(path)
    if path.is_dir():
        return _folder_rows(path, split)
    if source.endswith(_LIKE_FILES) or not _HUB_NAME.fullmatch(source):
        raise ValueError(f"{source}: there is no such file or folder. Is the path right, as seen from {Path.cwd()}?")
    name, _, configuration = source.partition(":")
    return _split_rows(_loaded(source, lambda load: load.load_dataset(name, configuration or None)), source, split)


def _file_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.name.endswith(".csv"):
        return _csv_rows(path)
    if path.suffix == ".gz":
        return _gzip_rows(path)
    return iter(RowFile(path))


def _gzip_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with gzip.open(path) as lines:
            yield from jsonl_rows(lines, str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: this is no whole gzip file ({error}). Get it again, or unpack it.") from error


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for index, row in enumerate(csv.DictReader(file, strict=True)):
                if None in row or None in row.values():
                    raise row_error(
                        str(path), index, "(whole row)", [*row.values()],
                        "It has more or fewer fields than the first line, which names the columns. Quote commas.",
                    )  # fmt: skip
                # A CSV file has no other way to leave a value out.
                yield {name: value or None for name, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: this is no CSV file in UTF-8 ({error}). Mend it, or give JSONL.") from error


def _folder_rows(path: Path, split: str | None) -> Iterator[Mapping[str, Any]]:
    is_saved = any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))

    def load(datasets: Any) -> Any:
        return datasets.load_from_disk(str(path)) if is_saved else datasets.load_dataset(str(path))

    return _split_rows(_loaded(str(path), load), str(path), split)


def _loaded(source: str, load: Callable[[Any], Any]) -> Any:
    import datasets

    try:
        return load(datasets)
    # The hub's client, the builders and Arrow raise errors of many kinds.
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
        if Path(source).is_dir():
            raise ValueError(
                f"{source}: no rows could be read from this folder ({reason}). Give one that save_to_disk wrote or "
                f"that holds data files, or a {', '.join(SUFFIXES)} file."
            ) from error
        raise ValueError(
            f"{source}: there is no such file or folder, and no such data set could be loaded from the hub ({reason}). "
            "Without a network, or with HF_HUB_OFFLINE or HF_DATASETS_OFFLINE set, only what is in the cache is found: "
            "load it where there is a network, save it with save_to_disk, and give that folder. A configuration goes "
            "after a colon, as in openai/gsm8k:main."
        ) from error


def _split_rows(found: Any, source: str, split: str | None) -> Iterator[Mapping[str, Any]]:
    import datasets

    if isinstance(found, datasets.DatasetDict):
        if split is None and len(found) > 1:
            raise ValueError(f"{source}: it has the splits {', '.join(found)}. Name one (--split).")
        name = next(iter(found)) if split is None else split
        if name not in found:
            raise ValueError(f"{source}: it has no split {name!r}; it has: {', '.join(found)}.")
        found = found[name]
    elif split is not None:
        raise ValueError(f"{source}: it is a single split. Leave out split (--split), which is {split!r}.")
    return iter(found)
