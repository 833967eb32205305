"""What commands make of the options that say how rows are read."""

from pathlib import Path
from typing import TYPE_CHECKING

from trl_weighted_dpo.core.sources import named_columns
from trl_weighted_dpo.settings import PoolRowsConfig, RowsConfig

if TYPE_CHECKING:
    from trl_weighted_dpo.core.files import RowFile
    from trl_weighted_dpo.core.pools import PoolFile

PROBLEMS = "File (JSONL, JSON, Parquet, CSV, each also gzipped), folder, or name on the hub (NAME:CONFIG)."
"""Help of an argument that is a set of problems."""
POOL = "Pool: file (JSONL, JSON, Parquet, CSV, each also gzipped), folder, or name on the hub."
"""Help of an argument that is a pool."""
PAIRS = "Pairs: file (JSONL, JSON, Parquet, CSV, each also gzipped), folder, or name on the hub."
"""Help of an argument that is a set of pairs."""


def row_file(source: str | Path, config: RowsConfig) -> "RowFile":
    """The rows of a source, with the columns that the options name."""
    from trl_weighted_dpo.core.files import RowFile

    return RowFile(source, None, named_columns(config.column), config.split)


def pool_file(
    source: str | Path, config: PoolRowsConfig, limit: int | None = None, is_grouped: bool = True
) -> "PoolFile":
    """The pool rows of a source, with the columns and labels that the options name."""
    from trl_weighted_dpo.core.pools import PoolFile

    columns = named_columns(config.column)
    return PoolFile(source, limit, columns, config.split, config.reward_threshold, is_grouped)
