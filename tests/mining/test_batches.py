"""Mining as functions of Arrow tables gives the pairs that mining in memory gives."""

import pyarrow as pa
import pytest

from tests.tiny import tiny_pool
from trl_weighted_dpo import PairingConfig, mine_pairs
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.mining.batches import NEGATIVE_HARDNESS, AssessBatch, SelectBatch
from trl_weighted_dpo.mining.selection import HardnessScale


def test_batches_give_the_pairs_of_the_whole_pool():
    pool, config = tiny_pool(20), PairingConfig(pairs_per_problem=2, min_quantile=0.3)
    tables = [AssessBatch(config)(pa.Table.from_pylist(pool[start : start + 5])) for start in range(0, 20, 5)]
    hardness = [value for table in tables for values in table[NEGATIVE_HARDNESS].to_pylist() for value in values]
    select = SelectBatch(HardnessScale.of(hardness, config), config)
    found = [pair for table in tables for pair in select(table).to_pylist()]
    expected, _ = mine_pairs(pool, config=config, progress=False)
    assert [{name: pair[name] for name in expected[0]} for pair in found] == expected
    assert {pair["ref_chosen_logps"] for pair in found} == {None}


def test_rows_need_ids():
    rows = [{**row, "id": None} for row in tiny_pool(1)]
    with pytest.raises(SchemaError, match=r"batch: row 0, column 'id': got null\. Give each problem an id"):
        AssessBatch()(pa.Table.from_pylist(rows))


def test_lengths_cannot_be_matched_in_batches():
    with pytest.raises(ValueError, match="match_lengths takes a look at all pairs"):
        AssessBatch(PairingConfig(match_lengths=True))
