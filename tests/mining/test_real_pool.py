"""Mining the GSM8K development pool: counts, an audit that finds nothing, and weights that tell pairs apart."""

import pytest

from trl_weighted_dpo import PairingConfig, WeightingConfig, mine_pairs
from trl_weighted_dpo.audit import AuditConfig, audit_pairs
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile
from trl_weighted_dpo.weighting import compute_weights


@pytest.fixture(scope="module")
def pool(shared_data):
    return list(RowFile(shared_data / "gsm8k_solutions_pool.jsonl"))


@pytest.fixture(scope="module")
def mined(pool):
    return mine_pairs(pool, progress=False)


def test_what_becomes_of_the_pool(mined):
    _, report = mined
    counts = report.to_dict()
    assert (counts["problems"], counts["candidates"], counts["pairs"]) == (338, 1352, 188)
    assert counts["verdicts"] == {"incorrect": 751, "correct": 598}
    assert counts["problems_without_pairs"] == {
        "no correct candidate": 91, "no incorrect candidate": 57, "every correct candidate is flagged": 2,
    }  # fmt: skip


def test_labels_agree_with_every_pair(pool, mined):
    labels = {row["id"]: [candidate["is_correct"] for candidate in row["candidates"]] for row in pool}
    for pair in mined[0]:
        assert labels[pair["problem_id"]][pair["chosen_index"]]
        assert not labels[pair["problem_id"]][pair["rejected_index"]]


def test_the_audit_finds_nothing(pool, mined):
    report = audit_pairs(mined[0], AuditConfig(), reference=pool, progress=False)
    assert report["mislabelled"].status == "pass"
    assert [check.name for check in report.checks if check.status not in ("pass", "skipped")] == []


def test_severity_tells_pairs_apart_where_wrongness_does_not(mined):
    pairs = mined[0]
    names = (schema.REJECTED_WRONGNESS, schema.REJECTED_SEVERITY)
    columns = {name: [pair[name] for pair in pairs] for name in names}
    graded, _, _ = compute_weights(columns, len(pairs), WeightingConfig())
    by_wrongness, _, _ = compute_weights(columns, len(pairs), WeightingConfig(scheme="wrongness"))
    assert graded.max() - graded.min() > 0.3
    assert by_wrongness.max() - by_wrongness.min() < graded.max() - graded.min()


def test_hard_negatives_are_harder_than_random_ones(pool, mined):
    at_random, _ = mine_pairs(pool, config=PairingConfig(strategy="random"), progress=False)
    means = [sum(pair["hardness"] for pair in pairs) / len(pairs) for pairs in (mined[0], at_random)]
    assert means[0] > 1.1 * means[1]
