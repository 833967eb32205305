"""The numbers that docs/mining.md gives: defaults, and what lies on either side of a limit."""

from collections import Counter
from dataclasses import asdict

import pytest

from tests.mining.test_selection import NEAR_MISS, RIGHT, RIGHT_IN_OTHER_WORDS, row, score
from trl_weighted_dpo import HardnessConfig, MathVerifier, PairingConfig
from trl_weighted_dpo.mining.assessment import AssessmentConfig, assess_row
from trl_weighted_dpo.mining.lengths import matched_pairs
from trl_weighted_dpo.mining.selection import HardnessScale, select_pairs

VERIFIER = MathVerifier()


def test_the_defaults_are_the_documented_ones():
    assert asdict(PairingConfig()) == {
        "pairs_per_problem": 1, "chosen_fallback": "none", "seed": 42, "allow_weak_answers": False, "strategy": "hard",
        "random_share": 0.5, "chosen": "cleanest", "flawed_per_problem": 0, "min_quantile": 0.0, "max_quantile": 1.0,
        "match_lengths": False, "max_candidates": 64, "train_on": "all", "hardness": asdict(HardnessConfig()),
    }  # fmt: skip
    assert asdict(HardnessConfig()) == {
        "confidence_floor": 0.1, "steps": 0.3, "equations": 0.3, "prefix": 0.2, "answer": 0.2, "wrongness": 1.0,
        "severity": 1.0, "absurdity": 1.0, "confidence_power": 1.0, "proximity_power": 1.0, "flaw_power": 1.0,
        "function": "product",
    }  # fmt: skip
    assert AssessmentConfig() == AssessmentConfig(64, False, False, 42)
    assert HardnessScale() == HardnessScale(0.0, 1.0, 1 / 3, 2 / 3)


@pytest.mark.parametrize(("value", "flagged"), [(0.5, True), (0.499, False)])
def test_a_solution_is_flagged_from_a_score_of_one_half_on(value, flagged):
    profile = VERIFIER.verify("2 + 2?", "2 + 2 = 4\nA: 4", "4").to_dict()
    profile["scores"] = {**profile["scores"], "logical_consistency": value}
    pool_row = row(RIGHT, NEAR_MISS)
    pool_row["candidates"][0]["profile"] = profile

    assert assess_row(pool_row, VERIFIER, AssessmentConfig())[0].flagged is flagged


def test_terciles_of_the_pool_are_the_bands():
    scale = HardnessScale.of([0.0, 0.3, 0.6, 0.9], PairingConfig())

    assert (scale.lowest, scale.medium, scale.hard, scale.highest) == pytest.approx((0.0, 0.3, 0.6, 0.9))
    assert [HardnessScale().band(value) for value in (0.33, 0.34, 0.66, 0.67)] == ["easy", "medium", "medium", "hard"]


def test_bins_of_log_lengths_are_a_tenth_wide():
    assert matched_pairs([0.01, -0.099], [0.5, 0.5], [0, 1]) == [True, True]
    assert matched_pairs([0.099, -0.101], [0.5, 0.5], [0, 1]) == [False, False]


@pytest.mark.parametrize(("tokens", "expected"), [(103, RIGHT_IN_OTHER_WORDS), (105, RIGHT)])
def test_lengths_within_a_twentieth_are_equal_when_one_is_chosen(tokens, expected):
    """Beyond that, the nearer length counts before what `chosen` prefers."""
    scores = [score(0.5, tokens=99), score(0.9, tokens=tokens), score(0.5, tokens=99)]
    pool_row = row(RIGHT, RIGHT_IN_OTHER_WORDS, NEAR_MISS, scores=scores)
    config = PairingConfig(match_lengths=True, chosen="most_confident")
    assessed = assess_row(pool_row, VERIFIER, config.assessment)

    pairs, _ = select_pairs(pool_row, "p", assessed, config, HardnessScale(), Counter())
    assert [pair["chosen"] for pair in pairs] == [expected]
