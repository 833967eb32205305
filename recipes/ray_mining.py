"""Mines a pool with Ray Data, on one machine or a cluster: pip install "trl-weighted-dpo[ray]"

python recipes/ray_mining.py "pools/*.parquet" pairs/ --actors 32
"""

import argparse
from pathlib import Path

import ray

from trl_weighted_dpo import NEGATIVE_HARDNESS, AssessBatch, HardnessScale, PairingConfig, SelectBatch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", help="Parquet files of pool rows with ids, verified or not, scored or not")
    parser.add_argument("pairs", type=Path, help="folder for the pairs, as Parquet")
    parser.add_argument("--actors", type=int, default=2, help="verifiers that work at once, one on each core")
    parser.add_argument("--pairs-per-problem", type=int, default=1)
    options = parser.parse_args()
    config = PairingConfig(pairs_per_problem=options.pairs_per_problem)

    assessed = (
        ray.data.read_parquet(options.pool)
        .map_batches(
            AssessBatch,
            fn_constructor_kwargs={"config": config},
            batch_format="pyarrow",
            batch_size=256,
            concurrency=options.actors,
            # Less than a whole core each, so that reading finds one too where there are no more cores than actors.
            num_cpus=0.5,
        )
        .materialize()
    )
    # Bands and bounds are quantiles over the whole pool: eight bytes a negative come here, no text.
    hardness = [
        value
        for batch in assessed.select_columns([NEGATIVE_HARDNESS]).iter_batches(batch_format="pyarrow")
        for values in batch[NEGATIVE_HARDNESS].to_pylist()
        for value in values
    ]
    pairs = assessed.map_batches(SelectBatch(HardnessScale.of(hardness, config), config), batch_format="pyarrow")
    pairs.write_parquet(str(options.pairs.absolute()))


if __name__ == "__main__":
    main()
