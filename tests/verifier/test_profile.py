import json
import pickle

import pytest

from trl_weighted_dpo.verifier import DIMENSIONS, ErrorProfile, Evidence, Verdict

EVIDENCE = Evidence("final_answer", "rule", 1, (3, 5), "18", "26", "The final answer is 26, but it should be 18.")


def profile(**scores: float | None) -> ErrorProfile:
    return ErrorProfile(Verdict.INCORRECT, "numbers differ", "26", False, scores, (EVIDENCE,), 1)


def test_all_six_dimensions_are_there() -> None:
    assert tuple(profile(final_answer=1.0).scores) == DIMENSIONS
    assert [score for score in profile(final_answer=1.0).scores.values() if score is not None] == [1.0]


@pytest.mark.parametrize(
    ("scores", "wrongness", "absurdity"),
    [
        ({}, None, None),
        ({"final_answer": 0.75}, 0.75, None),
        ({"final_answer": 1.0, "step_ordering": 0.5}, 0.75, 0.5),
        ({"final_answer": None, "step_ordering": 0.5, "numerical_validity": 0.0}, 0.25, 0.25),
    ],
)
def test_aggregates_are_means_over_what_was_judged(scores, wrongness, absurdity) -> None:
    assert profile(**scores).wrongness == wrongness
    assert profile(**scores).absurdity == absurdity


def test_a_profile_survives_json_and_pickle() -> None:
    original = profile(final_answer=0.75)

    assert ErrorProfile.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert pickle.loads(pickle.dumps(original)) == original
    assert hash(original) == hash(profile(final_answer=0.75))


def test_the_scores_are_read_only() -> None:
    with pytest.raises(TypeError):
        profile().scores["final_answer"] = 0.0  # type: ignore[index]


@pytest.mark.parametrize(("scores", "message"), [({"style": 1.0}, "style"), ({"final_answer": 1.5}, "1.5")])
def test_bad_scores_are_named(scores, message) -> None:
    with pytest.raises(ValueError, match=message):
        profile(**scores)
