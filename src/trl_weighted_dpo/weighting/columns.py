"""The columns that weights come from, read and checked a whole column at a time."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.settings.weighting import SCHEMES, WeightingConfig

Column = Sequence[Any] | NDArray[Any]
"""Numbers and nulls, shape (n,); an array of Arrow will do."""
Array = NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""Largest weight: batches carry weights as float32."""
_LEAST = float(np.finfo(np.float32).tiny)
"""What counts as > 0 there."""

COLUMNS = (schema.WEIGHT, *schema.SIGNALS, schema.REWARD_MARGIN)
SCORES = (schema.SCORE_CHOSEN, schema.SCORE_REJECTED)
"""Columns that only the scheme `score_margin` reads: others may have anything under these names."""
RANGES = {
    schema.REJECTED_NLL: (0.0, LARGEST),
    schema.WEIGHT: (0.0, LARGEST),
    schema.REWARD_MARGIN: (-LARGEST, LARGEST),
    schema.SCORE_CHOSEN: (-LARGEST / 2, LARGEST / 2),
    schema.SCORE_REJECTED: (-LARGEST / 2, LARGEST / 2),
    schema.DPO_MARGIN: (-LARGEST, LARGEST),
    schema.DPO_BETA: (_LEAST, LARGEST),
    **dict.fromkeys(set(schema.SIGNALS) - {schema.REJECTED_NLL}, (0.0, 1.0)),
}
"""Least and greatest value of the package's columns."""
_KINDS = {
    (0.0, 1.0): "a number in [0, 1]",
    (0.0, LARGEST): "a finite number >= 0",
    (-LARGEST, LARGEST): "a finite number",
    (-LARGEST / 2, LARGEST / 2): "a finite number",
    (_LEAST, LARGEST): "a finite number > 0",
}
_WAYS_OUT = {
    schema.WEIGHT: "mend the row, or drop the column to have weights computed from the signals",
    schema.DPO_MARGIN: "mend the row (0 is no offset), or drop the column",
    schema.DPO_BETA: "mend the row (give it the configured beta), or drop the column",
}
"""The columns that are never null, and what to do about a value that is none."""
_PLAIN = frozenset((float, int, type(None)))
_NUMERIC = ("int", "uint", "float", "double", "halffloat")


def weight_columns(config: WeightingConfig, types: Mapping[str, Any]) -> list[str]:
    """The columns of a dataset that the weights come from, or are checked with.

    Args:
        config ([`WeightingConfig`]): A plugin's formula may read any column of numbers.
        types (`Mapping[str, Any]`): Type of each column: Arrow's, or a feature of `datasets`.
    """
    if not takes_any(config):
        return [name for name in own_columns(config) if name in types]
    return [name for name, kind in types.items() if name in COLUMNS or (is_number(kind) and name != schema.PAIR_WEIGHT)]


def own_columns(config: WeightingConfig) -> tuple[str, ...]:
    """The columns of the package that weights come from under these settings."""
    return (*COLUMNS, *SCORES) if config.formula(config.scheme) == "score_margin" else COLUMNS


def takes_any(config: WeightingConfig) -> bool:
    """Whether the formula is a plugin's, which may read any column of numbers."""
    return config.formula(config.scheme) not in SCHEMES


def is_number(kind: Any) -> bool:
    """Whether a column's type, Arrow's or a feature of `datasets`, is one of numbers."""
    return str(getattr(kind, "dtype", kind)).startswith(_NUMERIC)


def check_weights(values: Column, source: str = "dataset") -> Array:
    """Check ready weights and return them as an array of shape (n,).

    Args:
        values (`Sequence[float | None]`): The `weight` column, shape (n,).
        source (`str`, *optional*): Name of the dataset or file, for the message.

    Raises:
        [`~core.checks.SchemaError`]: If a weight is missing, not a number, not finite or negative; names the row and
            value.
    """
    return read_column(values, schema.WEIGHT, source)


def check_signals(columns: Mapping[str, Column], source: str = "dataset") -> None:
    """Check the signal columns that are there, and the reward margins.

    Raises:
        [`~core.checks.SchemaError`]: If a value is neither null nor a number in its range; names the row and value.
    """
    for name in (*schema.SIGNALS, schema.REWARD_MARGIN):
        if name in columns:
            read_column(columns[name], name, source)


def check_loss_columns(columns: Mapping[str, Column], source: str = "dataset") -> None:
    """Check the columns that change the loss of single pairs, `dpo_margin` and `dpo_beta`, where they are there.

    Raises:
        [`~core.checks.SchemaError`]: If a value is missing or not a finite number, or a β not > 0; names the row and
            value.
    """
    for name in schema.LOSS_COLUMNS:
        if name in columns:
            read_column(columns[name], name, source)


def read_column(values: Column, name: str, source: str, first_row: int = 0) -> Array:
    """A column as float64, shape (n,), NaN for null (not known).

    Args:
        values (`Column`): Shape (n,).
        name (`str`): Its name: those of the package have a range, and a weight, a dpo_margin and a dpo_beta are never
            null.
        source (`str`): Name of the dataset or file, for messages.
        first_row (`int`, *optional*, defaults to `0`): Row of the first value, for messages.

    Raises:
        [`~core.checks.SchemaError`]: If a value is neither null nor a number in its range; names the row and value.
    """
    array = _arrow(values)
    if array is None:
        result, bad = _one_by_one(values, name)
    else:
        result = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        bad = _first_bad(array, result, name)
    if bad is not None:
        raise row_error(source, first_row + bad, name, _plain(values[bad]), _hint(name))
    return result


class OtherNumbers:
    """Collects the columns of numbers that are none of the package's own, batch by batch, for formulas of plugins.

    A column with a value that is neither a number nor null is left out.
    """

    def __init__(self) -> None:
        self._chunks: dict[str, list[Any]] = {}
        self._refused = {*COLUMNS, schema.PAIR_WEIGHT}
        self._size = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes the values of some more rows; a column that one of them lacks is null there."""
        for name in dict.fromkeys([*self._chunks, *(name for row in rows for name in row)]):
            if name in self._refused:
                continue
            chunk = _numbers([row.get(name) for row in rows])
            if chunk is None:
                self._refused.add(name)
                self._chunks.pop(name, None)
            else:
                self._chunks.setdefault(name, [pa.nulls(self._size, pa.float64())]).append(chunk)
        self._size += len(rows)

    def columns(self) -> dict[str, Any]:
        """The columns as arrays of Arrow, one value for each row."""
        return {name: pa.chunked_array(chunks) for name, chunks in self._chunks.items()}


def _numbers(values: list[Any]) -> Any:
    """The values as an array of float64, or `None` if one is neither a number nor null."""
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
    return array.cast(pa.float64(), safe=False) if is_number(array.type) or pa.types.is_null(array.type) else None


def _first_bad(array: Any, values: Array, name: str) -> int | None:
    if name not in RANGES:
        return None
    low, high = RANGES[name]
    good = (values >= low) & (values <= high)
    if name not in _WAYS_OUT:
        good |= pc.is_null(array).to_numpy(zero_copy_only=False)
    return None if good.all() else int(np.argmin(good))


def _arrow(values: Any) -> Any:
    """The values as an Arrow array of numbers, or `None` where they are to be looked at one by one."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    elif not isinstance(values, pa.Array | np.ndarray):
        # Arrow would take true for 1.
        if not _PLAIN.issuperset(map(type, values)):
            return None
        try:
            values = pa.array(values, pa.float64())
        except (pa.ArrowInvalid, OverflowError):
            return None
    elif isinstance(values, np.ndarray):
        if values.dtype.kind not in "fiu":
            return None
        values = pa.array(values)
    kind = values.type
    return values if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) else None


def _one_by_one(values: Column, name: str) -> tuple[Array, int | None]:
    low, high = RANGES.get(name, (-LARGEST, LARGEST))
    result = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        plain = _plain(value)
        if plain is None and name not in _WAYS_OUT:
            continue
        if isinstance(plain, bool) or not isinstance(plain, numbers.Real) or not low <= plain <= high:  # type: ignore[operator]
            return result, row
        result[row] = plain
    return result, None


def _plain(value: Any) -> Any:
    if isinstance(value, pa.Scalar):
        return value.as_py()
    return value.item() if isinstance(value, np.generic) else value


def kind_of(name: str) -> str:
    """What the values of a column are, in words."""
    return _KINDS[RANGES.get(name, (-LARGEST, LARGEST))]


def _hint(name: str) -> str:
    kind = kind_of(name)
    if name in _WAYS_OUT:
        return f"A {name} is {kind}; {_WAYS_OUT[name]}."
    return f"This signal is {kind}, or null where it is not known."
