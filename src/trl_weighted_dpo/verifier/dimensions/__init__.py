"""One module per dimension: [`~facts.Facts`] in, a [`~findings.DimensionResult`] out."""

from collections.abc import Callable

from trl_weighted_dpo.verifier.dimensions import (
    final_answer,
    logical_consistency,
    numerical_validity,
    semantic_alignment,
    step_ordering,
    structural_integrity,
)
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult

DIMENSION_CHECKS: dict[str, Callable[[Facts], DimensionResult]] = {
    module.DIMENSION: module.check
    for module in (
        semantic_alignment,
        structural_integrity,
        step_ordering,
        logical_consistency,
        numerical_validity,
        final_answer,
    )
}
"""The package's own checks, in the order of `DIMENSIONS`."""
