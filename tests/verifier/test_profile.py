import json
import pickle

import pytest

from trl_weighted_dpo.verifier import DIMENSIONS, ErrorProfile, Finding, Verdict

EVIDENCE = Finding(
    "final_answer", "wrong_answer", "rule", 1, (3, 5), "18", "26", "The final answer is 26, but it should be 18."
)


def profile(wrongness: float | None = 0.75, absurdity: float | None = None, **scores: float | None) -> ErrorProfile:
    return ErrorProfile(
        Verdict.INCORRECT,
        "numbers differ",
        answer="26",
        scores=scores,
        evidence=(EVIDENCE,),
        first_faulty_step=1,
        wrongness=wrongness,
        absurdity=absurdity,
        unavailable=("reference solution",),
    )


def test_all_six_dimensions_are_there() -> None:
    assert tuple(profile(final_answer=1.0).scores) == DIMENSIONS
    assert [score for score in profile(final_answer=1.0).scores.values() if score is not None] == [1.0]


def test_a_profile_says_what_was_found_where_and_what_was_not_there() -> None:
    fields = profile(absurdity=0.0, final_answer=0.75).to_dict()

    assert fields["evidence"] == [
        {
            "dimension": "final_answer",
            "kind": "wrong_answer",
            "channel": "rule",
            "step": 1,
            "span": [3, 5],
            "expected": "18",
            "found": "26",
            "message": "The final answer is 26, but it should be 18.",
        }
    ]
    assert (fields["wrongness"], fields["absurdity"]) == (0.75, 0.0)
    assert fields["unavailable"] == ["reference solution"]


def test_a_profile_survives_json_and_pickle() -> None:
    original = profile(final_answer=0.75)

    assert ErrorProfile.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert pickle.loads(pickle.dumps(original)) == original
    assert hash(original) == hash(profile(final_answer=0.75))


def test_the_scores_are_read_only() -> None:
    with pytest.raises(TypeError):
        profile().scores["final_answer"] = 0.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"My style": 1.0}, "There can be no dimension 'My style'. Names are lower-case identifiers"),
        ({"final_answer": 1.5}, "1.5"),
        ({"wrongness": -0.1}, "wrongness is -0.1"),
        ({"absurdity": 1.1}, "absurdity is 1.1"),
    ],
)
def test_bad_scores_and_aggregates_are_named(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        profile(**fields)
