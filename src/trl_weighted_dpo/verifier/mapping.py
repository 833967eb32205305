"""Profiles as a column of a dataset: a function for `datasets.map`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, check_solution_row, solution_rows
from trl_weighted_dpo.verifier.many import verify_many
from trl_weighted_dpo.verifier.profile import DIMENSIONS

if TYPE_CHECKING:
    from trl_weighted_dpo.verifier.verifier import MathVerifier


class VerifyBatch:
    """A function for `datasets.map(..., batched=True)`: adds each solution's profile as plain columns.

    Solution rows get the column `profile`, pool rows a `profile` in each of their `candidates`, as
    [`~verifier.ErrorProfile.to_dict`] writes it and [`~verifier.ErrorProfile.from_dict`] reads it.

    Args:
        verifier ([`~verifier.MathVerifier`]):
            Checks the solutions; each process of `map(num_proc=...)` gets a copy.

    Example:

    ```python
    >>> verify = MathVerifier().map_function()
    >>> verified = dataset.map(verify, batched=True, num_proc=2, features=verify.features(dataset.features))
    ```
    """

    def __init__(self, verifier: "MathVerifier") -> None:
        self.verifier = verifier
        # `datasets` caches what a function with the same attributes made.
        self.identity = verifier.identity

    def __call__(self, batch: Mapping[str, Sequence[Any]], indices: Sequence[int] | None = None) -> dict[str, Any]:
        """The new columns of a batch. `indices` (of `map(with_indices=True)`) name the row of an error as the dataset
        counts it; without them it is counted from the start of the batch.

        Raises:
            [`~core.checks.SchemaError`]: If a row is neither a solution row nor a pool row.
        """
        if isinstance(batch.get(schema.PROBLEM), str):
            raise ValueError("The function takes batches: pass batched=True to map.")
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        numbers = indices if indices is not None else range(len(rows))
        if schema.CANDIDATES in batch:
            return {schema.CANDIDATES: [self._candidates(row, n) for row, n in zip(rows, numbers, strict=True)]}
        for row, number in zip(rows, numbers, strict=True):
            check_solution_row(row, number, "dataset")
        return {schema.PROFILE: list(self._profiles(rows))}

    def _candidates(self, row: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
        check_pool_row(row, number, "dataset")
        profiles = self._profiles(solution_rows(row))
        return [
            {**candidate, schema.PROFILE: profile}
            for candidate, profile in zip(row[schema.CANDIDATES], profiles, strict=True)
        ]

    def _profiles(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        return (profile.to_dict() for profile in verify_many(self.verifier, rows))

    def features(self, features: Mapping[str, Any]) -> Any:
        """The features of a dataset after `map`. Without them, `datasets` guesses types from the first batch, and fails
        at the first evidence or score if that batch has none.

        Args:
            features (`datasets.Features`): Those before `map`.
        """
        from datasets import Features

        profile = profile_features(self.verifier.dimensions)
        if schema.CANDIDATES not in features:
            return Features({**features, schema.PROFILE: profile})
        candidates = features[schema.CANDIDATES]
        with_profile = type(candidates)({**candidates.feature, schema.PROFILE: profile})
        return Features({**features, schema.CANDIDATES: with_profile})


def profile_features(dimensions: Iterable[str] = DIMENSIONS) -> dict[str, Any]:
    """The Arrow types of [`~verifier.ErrorProfile.to_dict`], as `datasets` features; `dimensions` are those of the
    verifier."""
    from datasets import List, Value

    text, number, whole = Value("string"), Value("float64"), Value("int64")
    evidence = {
        "dimension": text,
        "kind": text,
        "channel": text,
        "step": whole,
        "span": List(whole),
        "expected": text,
        "found": text,
        "message": text,
    }
    return {
        "verdict": text,
        "reason": text,
        "answer": text,
        "answer_is_weak": Value("bool"),
        "scores": dict.fromkeys(dimensions, number),
        "evidence": List(evidence),
        "first_faulty_step": whole,
        "wrongness": number,
        "absurdity": number,
        "unavailable": List(text),
    }
