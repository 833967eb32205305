"""A dimension beside the six: in profiles, reports and datasets, and nowhere in wrongness and absurdity."""

import json
import pickle

import pytest
from datasets import Dataset

from tests.verifier.test_many import ROWS, one_by_one
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.verifier import (
    DIMENSIONS,
    DimensionResult,
    ErrorProfile,
    Finding,
    MathVerifier,
    SolutionView,
    VerificationReport,
)
from trl_weighted_dpo.verifier.many import verify_many

SLIP = {"problem": "What is 6 x 7?", "solution": "6 x 7 = 43\nA: 43", "reference_answer": "42"}


def brevity(view: SolutionView) -> DimensionResult:
    """Short solutions; of empty ones there is nothing to check."""
    if not view.solution:
        return DimensionResult(None, unavailable=("text",))
    if len(view.solution) > 40:
        return DimensionResult(0.0)
    # Of the kind that would make one of the six absurd.
    finding = Finding("brevity", "unknown_quantity", "heuristic", 0, (0, 5), None, None, "This is short.")
    return DimensionResult(1.0, (finding,))


def fragile(view: SolutionView) -> DimensionResult:
    raise RuntimeError


def with_brevity() -> MathVerifier:
    return MathVerifier(checks={"brevity": brevity})


def test_its_score_and_evidence_stand_after_the_six():
    profile = with_brevity().verify(*SLIP.values())

    assert list(profile.scores.items())[6:] == [("brevity", 1.0)]
    assert {item.dimension: item.message for item in profile.evidence}["brevity"] == "This is short."


def test_all_else_of_the_profile_is_as_without_it():
    rows = [row for row in ROWS if row["problem"]]
    for row, without in zip(rows, one_by_one(rows), strict=True):
        fields = next(verify_many(with_brevity(), [row])).to_dict()
        del fields["scores"]["brevity"]
        fields["evidence"] = [item for item in fields["evidence"] if item["dimension"] != "brevity"]
        fields["unavailable"] = [item for item in fields["unavailable"] if item != "text"]
        assert fields == without.to_dict()


def test_a_profile_with_it_survives_json_and_pickle():
    profile = with_brevity().verify(*SLIP.values())

    assert ErrorProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    assert pickle.loads(pickle.dumps(profile)) == profile


def test_a_file_with_a_name_that_no_dimension_can_have_is_refused():
    fields = with_brevity().verify(*SLIP.values()).to_dict()
    fields["scores"]["My brevity"] = 1.0

    with pytest.raises(SchemaError, match=r"profiles: row 3, column 'scores\.My brevity': got 1\.0\. Names are lower"):
        ErrorProfile.from_dict(fields, 3)


def test_evidence_for_another_dimension_is_refused():
    with pytest.raises(ValueError, match=r"the check 'brevity' of shortness gave evidence for 'brevity'.*'shortness'"):
        MathVerifier(checks={"shortness": brevity}).verify(*SLIP.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_report_counts_it(workers):
    report = VerificationReport()
    rows = [SLIP, {**SLIP, "solution": ""}, {**SLIP, "solution": "It is 6 x 7, which is to say that it is 42.\nA: 42"}]
    profiles = list(with_brevity().verify_many(rows, workers, report=report))

    assert [profile.scores["brevity"] for profile in profiles] == [1.0, None, 0.0]
    assert list(report.to_dict()["checked"]) == [*DIMENSIONS, "brevity"]
    assert (report.checked["brevity"], report.found["brevity"]) == (2, 1)


def test_a_solution_that_it_fails_on_lists_it_as_not_checked():
    report = VerificationReport()
    [profile] = MathVerifier(checks={"brevity": fragile}).verify_many([SLIP], report=report)

    assert (profile.reason, profile.scores["brevity"]) == ("error: RuntimeError", None)
    assert report.to_dict()["checked"]["brevity"] == 0


def test_datasets_have_a_column_for_it():
    verify = with_brevity().map_function()
    rows = [{**SLIP, "solution": ""}, SLIP]
    dataset = Dataset.from_list(rows)
    mapped = dataset.map(verify, batched=True, batch_size=1, features=verify.features(dataset.features))

    assert [profile["scores"]["brevity"] for profile in mapped["profile"]] == [None, 1.0]
    assert [ErrorProfile.from_dict(profile) for profile in mapped["profile"]] == list(with_brevity().verify_many(rows))


def test_a_function_of_ones_own_is_part_of_the_identity():
    assert with_brevity().identity == {**MathVerifier().identity, "checks": {"brevity": f"{__name__}:brevity"}}
