"""Every profile of the corpus is the stored one, and the corpus holds every finding and every reason."""

from collections import Counter

import pytest

from tests.verifier.corpus import PROFILES, WHAT_TO_DO, Changes, computed, kinds, read_stored, reasons, rows
from trl_weighted_dpo.verifier import VERIFIER_VERSION

ENOUGH = 3


ROWS = rows()


@pytest.fixture(scope="module")
def stored():
    return read_stored()[1]


def test_profiles_are_the_stored_ones() -> None:
    version, before = read_stored()
    changes = Changes(before, computed(ROWS))
    if changes.kinds:
        is_new = version != VERIFIER_VERSION
        stamp = f"{version!r} -> {VERIFIER_VERSION!r}" if is_new else f"still {version!r}: it must change with them"
        pytest.fail(f"Profiles changed (VERIFIER_VERSION is {stamp}):\n{changes.report()}\n{WHAT_TO_DO}", pytrace=False)
    if changes.added or changes.removed:
        pytest.fail(f"Texts changed; run `make profiles`:\n{changes.report()}", pytrace=False)
    assert version == VERIFIER_VERSION, (
        f"{PROFILES.name} is of version {version!r}, the verifier is {VERIFIER_VERSION!r}: run `make profiles`."
    )


def test_there_are_enough_different_texts() -> None:
    assert len(ROWS) >= 1_000
    assert max(Counter(row["id"] for row in ROWS).values()) == 1


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_kind_of_finding_is_there_and_nearly_there(stored, kind) -> None:
    faulty = {name for name, profile in stored.items() if _has(profile, kind)}
    sound = {row["id"] for row in ROWS if row.get("sound") == kind}

    assert len(faulty) >= ENOUGH, f"Add texts with {kind} to tests/verifier/corpus/planted.py."
    assert len(sound) >= ENOUGH, f"Add sound texts that come near {kind} to tests/verifier/corpus/planted.py."
    assert not sound & faulty


def _has(profile, kind: str) -> bool:
    return any(item.split(" @")[0] == kind for item in profile.findings)


def test_nothing_is_found_that_is_in_no_table(stored) -> None:
    assert {item.split(" @")[0] for profile in stored.values() for item in profile.findings} == kinds()


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_every_reason_is_there_and_beside_another_one(stored, reason) -> None:
    """Sound here: the same reference answer is compared with another answer, which is decided in another way."""
    with_it = [row for row in ROWS if stored[row["id"]].reason == reason]
    answers = {row.get("reference_answer") for row in with_it}
    beside = [row for row in ROWS if row.get("reference_answer") in answers and stored[row["id"]].reason != reason]

    assert len(with_it) >= ENOUGH, f"Add answers with the reason {reason!r} to tests/verifier/corpus/own.jsonl."
    assert len(beside) >= ENOUGH, f"Add answers beside those with {reason!r} to tests/verifier/corpus/own.jsonl."


def test_changes_are_listed_by_kind(stored) -> None:
    plain = next(profile for profile in stored.values() if profile.verdict == "correct" and not profile.findings)
    changed = plain._replace(
        verdict="undecided",
        scores=[0.5, *plain.scores[1:]],
        findings=["semantic_alignment/off_route/heuristic @0"],
        details="0",
    )
    edited = plain._replace(id="edited", text="0")
    before = {plain.id: plain, "edited": edited._replace(text="1"), "gone": plain._replace(id="gone")}
    changes = Changes(before, [changed, edited, plain._replace(id="new")])

    assert changes.report().split("\n") == [
        f"score of semantic_alignment: 1 ({plain.id})",
        f"semantic_alignment/off_route/heuristic: more: 1 ({plain.id})",
        f"verdict correct -> undecided: 1 ({plain.id})",
        "new or edited texts: 2 (edited, new)",
        "stored, but no longer a text: 1 (gone)",
    ]


def test_only_details_changed_is_a_change_too(stored) -> None:
    plain = next(iter(stored.values()))
    changes = Changes({plain.id: plain}, [plain._replace(details="0")])

    assert changes.kinds == {"answer, places, values or messages": [plain.id]}
