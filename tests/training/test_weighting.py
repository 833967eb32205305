"""The trainer weighs by any scheme, over the whole training set, the same for the same settings."""

import numpy as np
import pytest
from datasets import Dataset

from tests.arena import make
from tests.tiny import tiny_pairs
from trl_weighted_dpo.weighting import WeightingConfig, compute_weights

PAIRS = [
    {**row, "reward_margin": index - 2.0, "score_chosen": float(index), "score_rejected": 1.5}
    for index, row in enumerate(tiny_pairs(6))
]


@pytest.mark.parametrize("scheme", ["perplexity", "reward_margin", "score_margin", "shuffled", "inverse"])
def test_the_trainer_weighs_by_a_named_scheme(tmp_path, scheme):
    evaluation = Dataset.from_list(PAIRS[:2])
    trainer = make(tmp_path, PAIRS, weight_scheme=scheme, weight_shuffle_seed=7, eval_dataset=evaluation)
    config = WeightingConfig(scheme=scheme, shuffle_seed=7)
    columns = {name: [row[name] for row in PAIRS] for name in PAIRS[0] if isinstance(PAIRS[0][name], float)}
    expected, statistics, _ = compute_weights(columns, 6, config)
    assert np.array(trainer.train_dataset["pair_weight"]) == pytest.approx(expected)
    first = {name: values[:2] for name, values in columns.items()}
    expected, _, _ = compute_weights(first, 2, config, statistics)
    assert np.array(trainer.eval_dataset["pair_weight"]) == pytest.approx(expected)


def test_the_run_record_holds_the_diagnostics(tmp_path):
    summary = make(tmp_path, PAIRS).run_record["weighting"]["summary"]
    assert 0 < summary["ess_u"] < summary["ess"] < 1
    assert sum(summary["histogram_u"]["counts"]) == 6


def test_uneven_weights_are_warned_about(tmp_path, caplog):
    rows = [{**row, "rejected_severity": 1.0 if index == 0 else 0.0} for index, row in enumerate(PAIRS)]
    make(tmp_path, rows, weight_scheme="severity")
    assert "The effective sample size of u is" in caplog.text
    assert "of u sit at clip_min" in caplog.text
