"""Mining as two functions of Arrow tables, for pools larger than one machine: Ray Data, Spark or Dask.

First [`AssessBatch`] over all rows; then the [`~mining.selection.HardnessScale`] of the column `negative_hardness` of
the whole pool; then [`SelectBatch`] over all rows. The pairs are those of [`~mining.pairing.mine_pairs`], but for
matched lengths, which take a look at all pairs.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.mining.assessing import check_row
from trl_weighted_dpo.mining.assessment import Assessed, assess_row, check_scored
from trl_weighted_dpo.mining.selection import (
    PAIR_COLUMNS,
    REFERENCE_COLUMNS,
    HardnessScale,
    negatives,
    select_pairs,
)
from trl_weighted_dpo.settings.mining import PairingConfig
from trl_weighted_dpo.verifier import MathVerifier

ASSESSMENT = "assessment"
NEGATIVE_HARDNESS = "negative_hardness"

_INTEGERS = (
    schema.CHOSEN_INDEX,
    schema.REJECTED_INDEX,
    schema.REJECTED_FIRST_FAULTY_STEP,
    schema.CHOSEN_LENGTH,
    schema.REJECTED_LENGTH,
)
_TEXTS = (
    schema.PROMPT,
    schema.CHOSEN,
    schema.REJECTED,
    schema.PROBLEM_ID,
    schema.CHOSEN_ANSWER,
    schema.REJECTED_ANSWER,
    schema.KIND,
    schema.HARDNESS_BAND,
    schema.REF_FINGERPRINT,
    schema.REF_DIGEST,
)


class AssessBatch:
    """Adds to pool rows what mining knows of their candidates: `assessment` (JSON) and `negative_hardness` (a list).

    Args:
        config ([`PairingConfig`], *optional*):
            Defaults if `None`.
        verifier ([`MathVerifier`], *optional*):
            For candidates without a profile; a default one if `None`.

    Calling it raises [`~core.checks.SchemaError`] if a row is no pool row, or has no `id`: a batch does not know the
    row's position, which would be the pairs' `problem_id` instead.
    """

    def __init__(self, config: PairingConfig | None = None, verifier: MathVerifier | None = None) -> None:
        self._config = config or PairingConfig()
        if self._config.match_lengths:
            raise ValueError("match_lengths takes a look at all pairs, which batches do not: mine without it.")
        self._verifier = verifier or MathVerifier()

    def __call__(self, table: Any) -> Any:
        """The `pyarrow.Table` with two more columns."""
        import pyarrow as pa

        texts, hardness = [], []
        for index, row in enumerate(table.to_pylist()):
            check_row(row, index, "batch")
            if not row.get(schema.ID):
                raise row_error("batch", index, schema.ID, row.get(schema.ID), "Give each problem an id.")
            check_scored(row, self._config.assessment, index, "batch")
            assessed = assess_row(row, self._verifier, self._config.assessment)
            texts.append(json.dumps([one.to_dict() for one in assessed]))
            hardness.append([negative.hardness for negative in negatives(assessed, self._config)])
        table = table.append_column(ASSESSMENT, pa.array(texts, pa.string()))
        return table.append_column(NEGATIVE_HARDNESS, pa.array(hardness, pa.list_(pa.float64())))


class SelectBatch:
    """Turns rows of [`AssessBatch`] into pairs.

    Args:
        scale ([`HardnessScale`]):
            Of the whole pool: `HardnessScale.of(hardness, config)`, with all values of `negative_hardness`.
        config ([`PairingConfig`], *optional*):
            The same as before.
    """

    def __init__(self, scale: HardnessScale, config: PairingConfig | None = None) -> None:
        self._scale, self._config = scale, config or PairingConfig()

    def __call__(self, table: Any) -> Any:
        """The pairs as a `pyarrow.Table`: the columns of a mined pair, null where the pool is not scored."""
        import pyarrow as pa

        pairs: list[dict[str, Any]] = []
        for row in table.to_pylist():
            assessed = [Assessed.from_dict(parts) for parts in json.loads(row[ASSESSMENT])]
            pairs += select_pairs(row, row[schema.ID], assessed, self._config, self._scale, Counter())[0]
        return pa.Table.from_pylist(pairs, schema=pair_schema())


def pair_schema(names: Sequence[str] = (*PAIR_COLUMNS, *REFERENCE_COLUMNS)) -> Any:
    """The `pyarrow.Schema` of mined pairs, or of some of their columns."""
    import pyarrow as pa

    def kind(name: str) -> Any:
        if name == schema.REJECTED_DIMENSIONS:
            return pa.list_(pa.string())
        return pa.int64() if name in _INTEGERS else pa.string() if name in _TEXTS else pa.float64()

    return pa.schema([(name, kind(name)) for name in names])
