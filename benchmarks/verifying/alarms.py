"""What is found in solutions that are sound."""

from collections import Counter
from collections.abc import Mapping, Sequence

from trl_weighted_dpo.verifier import DIMENSIONS, ErrorProfile

from .metrics import SOUND
from .steps import FULL
from .tables import share, table


def false_alarms(groups: Mapping[str, Sequence[ErrorProfile]], summary: list[list[str]]) -> list[str]:
    """Tables of findings by dimension and by kind.

    Args:
        groups (`Mapping[str, Sequence[ErrorProfile]]`): Profiles of sound solutions, by what they are.
        summary (`list[list[str]]`): Gets a row for each that was checked with its reference.
    """
    rows, by_kind = [], Counter[tuple[str, str, str]]()
    for name, profiles in groups.items():
        flagged = sum(profile.first_faulty_step is not None for profile in profiles)
        counts = [sum(_has(profile, dimension) for profile in profiles) for dimension in DIMENSIONS]
        alone = share(counts[DIMENSIONS.index("numerical_validity")], len(profiles))
        if name.endswith(FULL):
            summary.append(["sound solutions flagged, `numerical_validity` alone", name, alone, "-", "-"])
        rows.append([name, len(profiles), *(share(count, len(profiles)) for count in (flagged, *counts))])
    names = list(groups)
    per_group: dict[tuple[str, str, str], Counter[str]] = {}
    for name, profiles in groups.items():
        for profile in profiles:
            for finding in {(item.dimension, item.kind, item.channel) for item in profile.evidence}:
                per_group.setdefault(finding, Counter())[name] += 1
                by_kind[finding] += 1
    kinds = [
        [
            f"{kind} ({dimension}, {channel})",
            *(share(per_group[dimension, kind, channel][name], len(groups[name])) for name in names),
        ]
        for (dimension, kind, channel), _ in sorted(by_kind.items(), key=lambda item: (-item[1], item[0]))
    ]
    return [
        *table(["sound solutions", "n", "a faulty step", *DIMENSIONS], rows),
        *table(["finding", *names], kinds),
    ]


def sound(labels: Sequence[int | None], profiles: Sequence[ErrorProfile]) -> list[ErrorProfile]:
    """The profiles of solutions without a faulty step."""
    return [profile for label, profile in zip(labels, profiles, strict=True) if label == SOUND]


def _has(profile: ErrorProfile, dimension: str) -> bool:
    return any(item.dimension == dimension for item in profile.evidence)
