"""What the two dimensions that check by the form of a text have in common."""

from collections.abc import Iterable, Mapping

from trl_weighted_dpo.verifier.dimensions import DimensionResult, combined
from trl_weighted_dpo.verifier.profile import Evidence
from trl_weighted_dpo.verifier.reading.fault import Fault
from trl_weighted_dpo.verifier.reading.passage import Passage


def check_faults(
    dimension: str, kinds: Mapping[str, tuple[str, float]], solution: Passage, faults: Iterable[Fault]
) -> DimensionResult:
    """Returns what the faults of a solution say for a dimension.

    Args:
        dimension (`str`): The dimension.
        kinds (`Mapping[str, tuple[str, float]]`): Channel and severity of each kind of fault.
        solution (`Passage`): The solution.
        faults (`Iterable[Fault]`): The faults, each of one of `kinds`.
    """
    found = tuple(
        Evidence(
            dimension,
            fault.kind,
            kinds[fault.kind][0],
            solution.step_at(fault.span[0]) if fault.span is not None else None,
            fault.span,
            fault.expected,
            fault.found,
            fault.message,
        )
        for fault in faults
    )
    return DimensionResult(combined(kinds[item.kind][1] for item in found), found)
