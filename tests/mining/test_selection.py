"""Which pairs are made: strategies, the chosen one, kinds, bands, scores, and what is dropped."""

import pytest

from trl_weighted_dpo import HardnessConfig, MathVerifier, PairingConfig, mine_pairs
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.mining.assessment import order_key
from trl_weighted_dpo.verifier.aggregates import Calibration, Weight, Weights
from trl_weighted_dpo.verifier.profile import DIMENSIONS

PROBLEM = "Tom has 4 boxes of 2 pens and gets 3 more. How many pens does he have?"
RIGHT = "Tom has 4*2 = 8 pens.\nThen he has 8+3 = 11 pens.\nA: 11"
RIGHT_IN_OTHER_WORDS = "The boxes hold 4*2 = 8.\nWith those he got that is 8+3 = 11 in all.\nA: 11"
NEAR_MISS = "Tom has 4*2 = 8 pens.\nThen he has 8-3 = 5 pens.\nA: 5"
FAR = "Let us see: 4+2+3+100 = 109, which must be it.\nA: 109"
FLAWED = "Tom has 4*2 = 9 pens.\nThen he has 8+3 = 11 pens.\nA: 11"


def score(confidence, tokens=20, truncated=False, digest="0" * 16):
    return {
        "tokens": tokens, "logp": -float(tokens), "mean_logp": -1.0, "min_logp": -2.0, "confidence": confidence,
        "perplexity": 2.718, "truncated": truncated, "digest": digest,
    }  # fmt: skip


def row(*solutions, scores=None, **more):
    candidates = [{"solution": solution} for solution in solutions]
    for candidate, value in zip(candidates, scores or [], strict=False):
        candidate["score"] = value
    return {"id": "p", "problem": PROBLEM, "reference_answer": "11", "candidates": candidates, **more}


def mine(*rows, **settings):
    return mine_pairs(rows, config=PairingConfig(**settings), progress=False)


def rejected(*rows, **settings):
    return [pair["rejected"] for pair in mine(*rows, **settings)[0]]


def test_the_hardest_comes_first_and_the_easiest_when_asked_for():
    assert rejected(row(RIGHT, FAR, NEAR_MISS)) == [NEAR_MISS]
    assert rejected(row(RIGHT, FAR, NEAR_MISS), strategy="easiest") == [FAR]


def test_confidence_decides_between_equally_near_ones():
    other = NEAR_MISS.replace("Then", "Now")
    for confidences, hardest in (((0.9, 0.5, 0.8), NEAR_MISS), ((0.9, 0.8, 0.5), other)):
        scores = [score(confidences[0]), score(confidences[2]), score(confidences[1])]
        assert rejected(row(RIGHT, NEAR_MISS, other, scores=scores)) == [hardest]


def test_random_follows_the_seeded_order_of_texts():
    for seed in range(6):
        first = min((FAR, NEAR_MISS), key=lambda text: order_key(seed, PROBLEM, text))
        assert rejected(row(RIGHT, FAR, NEAR_MISS), strategy="random", seed=seed) == [first]


def test_the_mixture_is_hard_at_0_and_random_at_1_and_has_its_share_between():
    pool = [{**row(RIGHT, FAR, NEAR_MISS), "problem": f"{PROBLEM} ({index})"} for index in range(300)]
    hard, at_random = rejected(*pool), rejected(*pool, strategy="random")
    assert rejected(*pool, strategy="hard+random", random_share=0.0) == hard
    assert rejected(*pool, strategy="hard+random", random_share=1.0) == at_random
    mixed = rejected(*pool, strategy="hard+random", random_share=0.5)
    # Half of them random, half of which is the far one: a quarter of 300, with a deviation of 7.5.
    assert 45 <= mixed.count(FAR) <= 105


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("nearest", RIGHT), ("most_confident", RIGHT_IN_OTHER_WORDS), ("reference_solution", "Four twos are 8.\nA: 11")],
)
def test_which_one_is_chosen(chosen, expected):
    pool_row = row(
        RIGHT, RIGHT_IN_OTHER_WORDS, NEAR_MISS, scores=[score(0.5), score(0.9), score(0.5)],
        reference_solution="Four twos are 8.\n#### 11", rendered_reference="Four twos are 8.\nA: 11",
        reference_score=score(0.1),
    )  # fmt: skip
    pairs, _ = mine(pool_row, chosen=chosen)
    assert [pair["chosen"] for pair in pairs] == [expected]


def test_the_cleanest_is_the_nearest_of_those_without_a_sign_of_an_error():
    assert mine(row(RIGHT_IN_OTHER_WORDS, RIGHT, NEAR_MISS))[0][0]["chosen"] == RIGHT


def test_the_most_confident_needs_scores():
    with pytest.raises(ValueError, match=r"most confident .* no scores. Score it with `weighted-dpo score`"):
        mine(row(RIGHT, NEAR_MISS), chosen="most_confident")


def test_a_flagged_correct_candidate_is_not_chosen():
    pairs, report = mine(row(FLAWED, NEAR_MISS))
    assert pairs == []
    assert report.problems_without_pairs == {"every correct candidate is flagged": 1}
    assert report.dropped["chosen is flagged"] == 1


def test_flawed_reasoning_is_rejected_only_with_a_quota_of_its_own():
    assert rejected(row(RIGHT, FLAWED)) == []
    pairs, report = mine(row(RIGHT, FLAWED, NEAR_MISS), flawed_per_problem=1)
    assert [(pair["kind"], pair["chosen"], pair["rejected"]) for pair in pairs] == [
        ("wrong_answer", RIGHT, NEAR_MISS),
        ("flawed_reasoning", RIGHT, FLAWED),
    ]
    assert report.kinds == {"wrong_answer": 1, "flawed_reasoning": 1}
    assert rejected(row(RIGHT, FLAWED, NEAR_MISS), flawed_per_problem=1, pairs_per_problem=0) == [FLAWED]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("So 4*2 = 8, and 8+3 = 11.\nA: 12", "same equations"),
        ("Tom has 4*2 = 8 pens.\nA: 8", "one continues the other"),
    ],
)
def test_combinations_that_are_too_alike_are_dropped_and_counted(text, reason):
    pairs, report = mine(row(RIGHT, text))
    assert pairs == []
    assert report.to_dict()["dropped"] == {reason: 1}
    assert report.problems_without_pairs == {"every combination is too alike": 1}


def test_bands_are_terciles_of_the_pools_negatives_and_bounds_are_quantiles():
    texts = [
        f"Tom has 4*2 = 8 pens.\nThen he has 8-3 = {5 + extra} pens{' or so' * extra}.\nA: {5 + extra}"
        for extra in range(6)
    ]
    pairs, report = mine(row(RIGHT, *texts), pairs_per_problem=9)
    values = sorted(pair["hardness"] for pair in pairs)
    assert len(set(values)) == 6
    assert report.bands == {"easy": 2, "medium": 2, "hard": 2}
    assert [pair["hardness_band"] for pair in pairs] == ["hard", "hard", "medium", "medium", "easy", "easy"]
    middle, _ = mine(row(RIGHT, *texts), pairs_per_problem=9, min_quantile=0.2, max_quantile=0.8)
    assert sorted(pair["hardness"] for pair in middle) == values[1:5]


def test_hardness_and_its_factors_stand_in_the_pair():
    pairs, _ = mine(row(RIGHT, NEAR_MISS, scores=[score(0.9), score(0.7)]))
    pair = pairs[0]
    factors = pair["hardness_confidence"], pair["hardness_proximity"], pair["hardness_flaw"]
    assert pair["hardness"] == pytest.approx(factors[0] * factors[1] * factors[2])
    assert factors[0] == pair["rejected_confidence"] == 0.7
    expected = (pair["rejected_wrongness"] + pair["rejected_severity"] + pair["rejected_absurdity"]) / 3
    assert factors[2] == pytest.approx(expected)


def test_severity_weighs_dimensions_as_the_calibration_of_the_verifier_does():
    nothing = dict.fromkeys(DIMENSIONS, Weight(0.0, 0.0))
    calibration = Calibration(
        with_solution=Weights(
            0.0, nothing | {"final_answer": Weight(3.0, 1.0), "numerical_validity": Weight(1.0, 0.0)}
        ),
        without_solution=Weights(0.0, nothing | {"final_answer": Weight(0.5, 0.0)}),
    )
    # Of 11 and 5, and of nothing that is computed wrongly.
    distance = 0.5 + 0.5 * 6 / 11
    for more, expected in (({}, distance), ({"reference_solution": RIGHT}, 4 * distance / 5)):
        rows = [row(RIGHT, NEAR_MISS, **more)]
        (pair,), _ = mine_pairs(rows, MathVerifier(calibration=calibration), progress=False)
        assert pair["rejected_severity"] == pytest.approx(expected, rel=1e-12)


def test_scores_become_reference_log_probs_of_the_pair():
    scores = [score(0.9, tokens=7, digest="a" * 16), score(0.7, tokens=9, digest="b" * 16)]
    pairs, report = mine(row(RIGHT, NEAR_MISS, scores=scores, fingerprint="{}"))
    pair = pairs[0]
    assert (pair["ref_chosen_logps"], pair["ref_rejected_logps"], pair["ref_fingerprint"]) == (-7.0, -9.0, "{}")
    assert pair["ref_digest"] == "a" * 16 + "b" * 16
    assert (pair["chosen_length"], pair["rejected_length"], pair["rejected_nll"]) == (7, 9, 1.0)
    assert report.is_scored
    assert "ref_digest" not in mine(row(RIGHT, NEAR_MISS))[0][0]


def test_what_is_not_scored_or_was_truncated_is_not_used_in_a_scored_pool():
    nothing = score(None, tokens=0) | {"mean_logp": None, "min_logp": None, "perplexity": None}
    scores = [score(0.9), score(0.7, truncated=True), None, nothing]
    pairs, report = mine(row(RIGHT, NEAR_MISS, FAR, "A: 9", scores=scores))
    assert pairs == []
    assert report.unusable == {"truncated by the maximum length": 2, "not scored": 1}


def test_what_was_cut_when_it_was_sampled_is_not_used():
    pool = row(RIGHT, NEAR_MISS, FAR)
    for index, is_cut in enumerate((False, True, None)):
        pool["candidates"][index]["truncated"] = is_cut
    pairs, report = mine(pool)
    assert [pair["rejected"] for pair in pairs] == [FAR]
    assert report.unusable == {"cut when it was sampled": 1}


def test_lengths_are_matched_over_the_pool():
    lengths = [(20, 21)] * 5 + [(21, 20)] * 3 + [(20, 20)] * 2 + [(20, 90)]
    pool = [
        {**row(RIGHT, NEAR_MISS, scores=[score(0.9, chosen), score(0.7, rejected)]), "problem": f"{PROBLEM} ({index})"}
        for index, (chosen, rejected) in enumerate(lengths)
    ]
    assert mine(*pool)[1].to_dict()["lengths"]["longer_rejected"] == pytest.approx((6 + 1) / 11)
    matched, report = mine(*pool, match_lengths=True)
    assert sorted((pair["chosen_length"], pair["rejected_length"]) for pair in matched) == sorted(
        [(20, 21)] * 3 + [(21, 20)] * 3 + [(20, 20)] * 2
    )
    assert report.to_dict()["lengths"]["longer_rejected"] == 0.5
    assert report.dropped["to match lengths"] == 3


def test_of_several_chosen_ones_the_nearest_in_length_is_taken_when_lengths_are_matched():
    scores = [score(0.9, 40), score(0.9, 21), score(0.7, 20)]
    pairs, _ = mine(row(RIGHT, RIGHT_IN_OTHER_WORDS, NEAR_MISS, scores=scores), match_lengths=False)
    assert pairs[0]["chosen"] == RIGHT
    pool = [row(RIGHT, RIGHT_IN_OTHER_WORDS, NEAR_MISS, scores=scores)]
    scores = [score(0.9, 20), score(0.7, 21), score(0.9, 40)]
    pool.append(row(RIGHT_IN_OTHER_WORDS, NEAR_MISS, RIGHT, scores=scores))
    pairs, _ = mine(*pool, match_lengths=True)
    assert [pair["chosen"] for pair in pairs] == [RIGHT_IN_OTHER_WORDS] * 2


def test_at_most_max_candidates_are_looked_at_whatever_their_order():
    texts = [NEAR_MISS.replace("Tom", name) for name in ("Ann", "Ben", "Cid", "Dan", "Eve")]
    pairs, report = mine(row(RIGHT, *texts), max_candidates=3, pairs_per_problem=9)
    backwards, _ = mine(row(*reversed(texts), RIGHT), max_candidates=3, pairs_per_problem=9)
    assert report.unusable == {"beyond max_candidates": 3}
    assert {pair["rejected"] for pair in pairs} == {pair["rejected"] for pair in backwards}


def test_empty_texts_are_not_used_and_spaces_make_no_other_text():
    pairs, report = mine(row(RIGHT, NEAR_MISS, "", " \n", NEAR_MISS.replace("\n", " \n  ") + " "), pairs_per_problem=9)
    assert [pair["rejected"] for pair in pairs] == [NEAR_MISS]
    assert report.unusable == {"empty": 2, "repeated": 1}


def test_only_negatives_of_a_kind_with_a_quota_make_the_scale():
    pool_row = row(RIGHT, NEAR_MISS, FLAWED)
    hardness = {kind: mine(pool_row, **settings)[1].to_dict()["hardness"] for kind, settings in {
        "wrong": {}, "flawed": {"pairs_per_problem": 0, "flawed_per_problem": 1}, "both": {"flawed_per_problem": 1},
    }.items()}  # fmt: skip
    wrong, flawed = hardness["wrong"]["negatives"][0], hardness["flawed"]["negatives"][0]
    assert wrong != flawed
    assert hardness["wrong"]["negatives"] == [wrong] * 5
    assert hardness["flawed"]["negatives"] == [flawed] * 5
    assert (hardness["both"]["negatives"][0], hardness["both"]["negatives"][-1]) == tuple(sorted((wrong, flawed)))


def test_a_problem_without_flawed_reasoning_is_said_to_have_none():
    _, report = mine(row(RIGHT, NEAR_MISS), pairs_per_problem=0, flawed_per_problem=1)
    assert report.problems_without_pairs == {"no right answer by flawed reasoning": 1}


def test_a_reference_solution_that_changed_since_it_was_scored_is_not_chosen():
    changed = row(
        NEAR_MISS, RIGHT, scores=[score(0.5), score(0.5)], reference_solution="Four twos are 8, and three.\n#### 11",
        rendered_reference="Four twos are 8.\nA: 11", reference_score=score(0.1),
    )  # fmt: skip
    pairs, report = mine(changed, chosen="reference_solution")
    assert pairs == []
    assert report.problems_without_pairs == {"no reference solution to choose": 1}


def test_a_profile_in_the_pool_is_taken_as_it_is():
    profile = {
        "verdict": "correct", "reason": "", "answer": "5", "answer_is_weak": False, "scores": {"final_answer": 0.0},
        "evidence": [], "first_faulty_step": None, "wrongness": 0.0, "absurdity": 0.0, "unavailable": [],
    }  # fmt: skip
    pool_row = row(RIGHT, NEAR_MISS, FAR)
    pool_row["candidates"][0]["profile"] = {**profile, "verdict": "undecided"}
    pool_row["candidates"][1]["profile"] = profile
    pairs, _ = mine(pool_row)
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [(NEAR_MISS, FAR)]
    del profile["scores"]
    with pytest.raises(SchemaError, match=r"pool, row 0, candidate 1: row 0, column 'scores': the column is missing"):
        mine(pool_row)


def test_a_dimension_that_a_plugin_added_changes_no_pair():
    pool_row = row(RIGHT, NEAR_MISS)
    plain, _ = mine(pool_row)
    with MathVerifier() as verifier:
        for candidate in pool_row["candidates"]:
            candidate["profile"] = verifier.verify(PROBLEM, candidate["solution"], "11").to_dict()
            candidate["profile"]["scores"]["style"] = 0.9
    pairs, _ = mine(pool_row)
    assert pairs[0].pop("rejected_dimensions") == [*plain[0].pop("rejected_dimensions"), "style"]
    assert pairs == plain


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (3, r"column 'profile': got 3\. Profiles are written by `weighted-dpo verify`: rename your own"),
        ({"absurdity": 5}, r"column 'absurdity': got 5\. Give a number in \[0, 1\]"),
        ({"wrongness": float("nan")}, r"column 'wrongness': got nan"),
    ],
)
def test_bad_profiles_are_named(profile, message):
    with MathVerifier() as verifier:
        good = verifier.verify(PROBLEM, RIGHT, "11").to_dict()
    pool_row = row(RIGHT, NEAR_MISS)
    pool_row["candidates"][0]["profile"] = {**good, **profile} if isinstance(profile, dict) else profile
    with pytest.raises(SchemaError, match=message):
        mine(pool_row)


def test_scores_of_a_profile_that_parquet_made_null_are_none():
    profile = {
        "verdict": "correct", "reason": "", "answer": "5", "answer_is_weak": False, "scores": None, "evidence": [],
        "first_faulty_step": None, "wrongness": None, "absurdity": None, "unavailable": [],
    }  # fmt: skip
    pool_row = row(NEAR_MISS, FAR)
    pool_row["candidates"][0]["profile"] = profile
    assert rejected(pool_row) == [FAR]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"tokens": 3}, r"candidate 0: row 0, column 'score\.logp': the column is missing"),
        (0.7, r"column 'score': got 0\.7\. Scores are objects that `weighted-dpo score` writes: rename your own"),
        ({**score(0.5), "logp": float("nan")}, r"column 'score\.logp': got nan\. Score the pool again"),
        ({**score(0.5), "confidence": 1.5}, r"column 'score\.confidence': got 1\.5\. It is a mean probability"),
    ],
)
def test_bad_scores_are_named(broken, message):
    with pytest.raises(SchemaError, match=message):
        mine(row(RIGHT, NEAR_MISS, scores=[broken, score(0.5)]))


def test_a_hardness_function_is_looked_up_by_name():
    with pytest.raises(ValueError, match="'best'"):
        PairingConfig(hardness=HardnessConfig(function="best"))
