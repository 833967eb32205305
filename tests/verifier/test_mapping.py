"""Profiles as a column of a dataset, with types that hold over batches, processes and files."""

import pytest
from datasets import Dataset, load_dataset
from datasets.fingerprint import Hasher

from tests.verifier.test_many import ROWS, one_by_one
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier, verifier
from trl_weighted_dpo.verifier.mapping import profile_features

# The first batches have no evidence, no score and no steps at all: types guessed from them would be wrong. Arrow holds
# valid text only, so rows with broken surrogates are left out.
NOTHING = {"problem": "p", "solution": "A: 5", "steps": None, "reference_answer": None, "reference_solution": None}
SOLUTIONS = [NOTHING] * 6 + [NOTHING | row for row in ROWS if "\udc80" not in row["problem"]]


def mapped(dataset, **settings):
    verify = MathVerifier().map_function()
    return dataset.map(verify, batched=True, features=verify.features(dataset.features), **settings)


@pytest.mark.parametrize("processes", [1, 2])
def test_solution_rows_get_their_profiles(tmp_path, processes):
    dataset = mapped(Dataset.from_list(SOLUTIONS), batch_size=5, num_proc=processes)
    assert [ErrorProfile.from_dict(profile) for profile in dataset["profile"]] == one_by_one(SOLUTIONS)
    assert dataset.remove_columns("profile").to_list() == SOLUTIONS

    dataset.to_parquet(tmp_path / "profiles.parquet")
    again = load_dataset(
        "parquet", data_files=str(tmp_path / "profiles.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert again.features == dataset.features
    assert again.to_list() == dataset.to_list()


def test_candidates_of_pool_rows_get_their_profiles():
    pool = [
        {
            "problem": row["problem"],
            "reference_answer": row["reference_answer"],
            "candidates": [{"solution": solution, "score": None} for solution in ("A: 5", row["solution"])][
                : index % 3
            ],
        }
        for index, row in enumerate(SOLUTIONS[:12])
    ]
    dataset = mapped(Dataset.from_list(pool), batch_size=2)
    for row, given in zip(dataset, pool, strict=True):
        solutions = [{**given, **candidate} for candidate in given["candidates"]]
        assert [ErrorProfile.from_dict(entry["profile"]) for entry in row["candidates"]] == one_by_one(solutions)
        plain = [{name: entry[name] for name in ("solution", "score")} for entry in row["candidates"]]
        assert {**row, "candidates": plain} == given


def test_streams_are_mapped_too():
    stream = mapped(Dataset.from_list(SOLUTIONS).to_iterable_dataset(), batch_size=5)
    assert [ErrorProfile.from_dict(row["profile"]) for row in stream] == one_by_one(SOLUTIONS)


def test_the_types_are_those_of_a_profile():
    profile = MathVerifier().verify("What is 6 x 7?", "6 x 7 = 43\nA: 43", "42").to_dict()
    types = profile_features()
    assert list(types) == list(profile)
    assert list(types["scores"]) == list(profile["scores"])
    assert list(types["evidence"].feature) == list(profile["evidence"][0])


def test_a_bad_row_is_named_as_the_dataset_counts():
    dataset = Dataset.from_list([*SOLUTIONS[:8], {**NOTHING, "problem": ""}])
    with pytest.raises(SchemaError, match="dataset: row 8, column 'problem': got ''"):
        mapped(dataset, batch_size=5, with_indices=True)


def test_rows_one_by_one_are_refused():
    with pytest.raises(ValueError, match="pass batched=True to map"):
        MathVerifier().map_function()(SOLUTIONS[0])


def test_cached_profiles_are_those_of_the_same_verifier(monkeypatch):
    def fingerprint(**settings):
        return Hasher.hash(MathVerifier(**settings).map_function())

    usual = fingerprint()
    assert fingerprint() == usual
    assert fingerprint(timeout=7.0) != usual
    monkeypatch.setattr(verifier, "VERIFIER_VERSION", "another")
    assert fingerprint() != usual
