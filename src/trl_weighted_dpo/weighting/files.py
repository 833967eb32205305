"""The columns of a file of pairs that weights come from, read without the texts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile
from trl_weighted_dpo.core.pairs import checked_pair, layout_of
from trl_weighted_dpo.core.sources import is_plain
from trl_weighted_dpo.settings.weighting import WeightingConfig
from trl_weighted_dpo.weighting.columns import OtherNumbers, own_columns, read_column, takes_any, weight_columns

_BATCH_ROWS = 8192


def file_columns(pairs: RowFile, configs: Sequence[WeightingConfig]) -> tuple[dict[str, Any], int]:
    """The columns that these settings read, as arrays of Arrow, and the number of pairs.

    Memory: eight bytes for each number. Of Parquet, only these columns are read.

    Args:
        pairs ([`~core.files.RowFile`]): Pairs.
        configs (`Sequence[WeightingConfig]`): Settings to be compared.

    Raises:
        [`~core.checks.SchemaError`]: If a row is no pair or a value no number in its range; names the row and value.
        `ValueError`: If there are no pairs.
    """
    if _is_parquet(pairs):
        columns, size = _parquet_columns(pairs.path, configs)
    else:
        columns, size = _row_columns(pairs, configs)
    if not size:
        raise ValueError(f"{pairs}: there are no pairs in it.")
    return columns, size


def _is_parquet(pairs: RowFile) -> bool:
    """Whether single columns can be read."""
    return is_plain(pairs.path, ".parquet") and not pairs.columns


def _parquet_columns(path: Path, configs: Sequence[WeightingConfig]) -> tuple[dict[str, Any], int]:
    size = len(RowFile(path))
    with pq.ParquetFile(path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        layout_of(types, str(path))
        wanted = {name for config in configs for name in weight_columns(config, types)}
        table = file.read(columns=[name for name in types if name in wanted])
    return {name: table.column(name) for name in table.column_names}, size


def _row_columns(pairs: RowFile, configs: Sequence[WeightingConfig]) -> tuple[dict[str, Any], int]:
    others = OtherNumbers() if any(map(takes_any, configs)) else None
    own = dict.fromkeys(name for config in configs for name in own_columns(config))
    chunks: dict[str, list[Any]] = {}
    size = 0
    for batch in _batches(pairs):
        names = {name for row in batch for name in row}
        for name in own:
            if name in chunks or name in names:
                numbers = read_column([row.get(name) for row in batch], name, str(pairs), size)
                # Not a number is not known: `read_column` refuses any that the file itself holds.
                chunk = pa.array(numbers, from_pandas=True)
                chunks.setdefault(name, [pa.nulls(size, pa.float64())]).append(chunk)
        if others is not None:
            others.add(batch)
        size += len(batch)
    columns = {name: pa.chunked_array(parts) for name, parts in chunks.items()}
    return columns if others is None else columns | others.columns(), size


def _batches(pairs: RowFile) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    layout = None
    for index, row in enumerate(pairs):
        if layout is None:
            layout = layout_of(row, str(pairs))
        if not (layout.chosen in row and layout.rejected in row):
            checked_pair(row, layout, index, str(pairs))
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def heaviest_and_lightest(weights: np.ndarray[Any, Any], count: int) -> tuple[list[int], list[int]]:
    """Rows of the `count` heaviest pairs, heaviest first, and of the lightest, lightest first; of equals the first."""
    lightest = np.argsort(weights, kind="stable")[:count]
    heaviest = np.argsort(-weights, kind="stable")[:count]
    return heaviest.tolist(), lightest.tolist()


def values_at(pairs: RowFile, column: str, rows: Collection[int]) -> dict[int, Any]:
    """The values of one column in these rows, by row; `None` where there is none."""
    wanted = set(rows)
    if not wanted:
        return {}
    found: dict[int, Any] = dict.fromkeys(sorted(wanted))
    last = max(wanted)
    for row, value in enumerate(_column(pairs, column)):
        if row in wanted:
            found[row] = value
        if row == last:
            break
    return found


def _column(pairs: RowFile, column: str) -> Iterator[Any]:
    if not _is_parquet(pairs):
        yield from (row.get(column) for row in pairs)
        return
    with pq.ParquetFile(pairs.path) as file:
        if column in file.schema_arrow.names:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
                yield from batch.column(0).to_pylist()


class WeighedRows:
    """The rows of a file of pairs with their weights in the column `weight`, which can be read again and again.

    Args:
        pairs ([`~core.files.RowFile`]): Pairs.
        weights (`Array`): Shape (n,), one for each row.
    """

    def __init__(self, pairs: RowFile, weights: np.ndarray[Any, Any]) -> None:
        self.pairs, self.weights = pairs, weights

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row, weight in zip(self.pairs, self.weights, strict=True):
            yield {**row, schema.WEIGHT: float(weight)}
