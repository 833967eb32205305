"""What holds for every solution, drawn by hypothesis: the same examples in every run."""

import json
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.verifier.strategies import any_text, randomness, true_lines, true_pieces, worked, wrong_lines
from tests.verifier.true_arithmetic import NOTATIONS
from tests.verifier.worked import any_worked
from trl_weighted_dpo.core.workers import WorkerError
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier, Verdict
from trl_weighted_dpo.verifier.profile import DIMENSIONS

VERIFIER = MathVerifier(timeout=60)


def examples(count: int) -> settings:
    return settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def view(profile: ErrorProfile) -> dict[str, Any]:
    """What a profile says, but for places in the text."""
    found = [(item.dimension, item.kind, item.channel, item.step) for item in profile.evidence]
    return profile.to_dict() | {"answer": None, "evidence": found}


def flawed(steps: tuple[str, ...], line: str, position: int) -> list[str]:
    position %= len(steps) + 1
    return [*steps[:position], line, *steps[position:]]


@given(
    solution=any_text, problem=any_text, reference=st.one_of(st.none(), any_text), worked=st.one_of(st.none(), any_text)
)
@examples(300)
def test_any_text_gets_a_profile_that_is_in_order(solution, problem, reference, worked) -> None:
    profile = VERIFIER.verify(problem, solution, reference, worked)

    assert set(profile.scores) == set(DIMENSIONS)
    assert all(score is None or 0 <= score <= 1 for score in profile.scores.values())
    assert all(value is None or 0 <= value <= 1 for value in (profile.wrongness, profile.absurdity))
    steps = max(1, sum(bool(line.strip()) for line in solution.split("\n")))
    assert profile.first_faulty_step is None or 0 <= profile.first_faulty_step < steps
    for item in profile.evidence:
        assert item.dimension in DIMENSIONS
        assert item.channel in ("rule", "heuristic")
        assert item.kind
        assert item.message
        assert item.step is None or 0 <= item.step < steps
        if item.span is not None:
            assert 0 <= item.span[0] <= item.span[1] <= len(solution)
    assert ErrorProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile


@given(pieces=st.lists(any_text, max_size=6))
@examples(100)
def test_steps_of_a_list_are_its_items(pieces) -> None:
    profile = VERIFIER.verify("How many?", pieces, "42")
    text = "\n".join(pieces)

    for item in profile.evidence:
        assert item.step is None or 0 <= item.step < len(pieces)
        assert item.span is None or 0 <= item.span[0] <= item.span[1] <= len(text)


@given(text=any_text)
@examples(100)
def test_the_same_text_has_the_same_profile(text) -> None:
    first, second = (MathVerifier().verify(text, text, text[:20], text) for _ in range(2))

    assert first == second


def sample(count: int, seed: int = 0) -> list[tuple[str, str, str, str]]:
    """Problems with sound, flawed and odd solutions."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        story = any_worked(rng)
        lines = [NOTATIONS[name](rng) for name in rng.sample(sorted(NOTATIONS), 3)]
        solution = rng.choice(
            (
                story.solution,
                story.solution.replace("1", "7", 1),
                "\n".join(lines),
                story.solution[: rng.randint(0, 80)],
            )
        )
        rows.append((story.problem, solution, story.answer, story.reference))
    return rows


_CHILD = """
import json, sys
from trl_weighted_dpo.verifier import MathVerifier
verifier = MathVerifier()
print(json.dumps([verifier.verify(*row).to_dict() for row in json.load(sys.stdin)]))
"""


def test_threads_and_processes_give_the_same_profiles() -> None:
    rows = sample(150)
    expected = [VERIFIER.verify(*row).to_dict() for row in rows]

    with ThreadPoolExecutor(8) as threads:
        assert [profile.to_dict() for profile in threads.map(lambda row: VERIFIER.verify(*row), rows)] == expected
    for seed in ("1", "2"):
        child = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert json.loads(child.stdout) == expected


def _respaced(text: str, rng: random.Random) -> str:
    return re.sub(r"(?<=[^\s]) +(?=[^\s])", lambda _: " " * rng.randint(1, 3), text)


@given(story=worked(), line=st.one_of(st.none(), wrong_lines), position=st.integers(0, 9), rng=randomness)
@examples(150)
def test_blanks_within_lines_do_not_matter(story, line, position, rng) -> None:
    steps = flawed(story.steps, line, position) if line else list(story.steps)
    solution = "\n".join((*steps, f"A: {story.answer}"))
    arguments = (story.answer, story.reference)

    assert view(VERIFIER.verify(story.problem, _respaced(solution, rng), *arguments)) == view(
        VERIFIER.verify(story.problem, solution, *arguments)
    )


@given(pieces=true_pieces, rng=randomness)
@examples(150)
def test_blanks_within_any_true_line_do_not_matter(pieces, rng) -> None:
    solution = "\n".join(pieces)

    assert view(VERIFIER.verify("", _respaced(solution, rng))) == view(VERIFIER.verify("", solution))


NUMBERINGS = ("Step {}: ", "step {}. ", "{}. ", "{}) ", "({}) ", "**Step {}:** ", "### Step {}: ")


def _numbered(steps: list[str], style: str, start: int) -> str:
    return "\n".join(style.format(start + index) + step for index, step in enumerate(steps))


@given(
    story=worked(),
    line=st.one_of(st.none(), wrong_lines),
    position=st.integers(0, 9),
    style=st.sampled_from(NUMBERINGS),
    start=st.integers(0, 12),
)
@examples(200)
def test_the_numbering_of_steps_does_not_matter(story, line, position, style, start) -> None:
    steps = flawed(story.steps, line, position) if line else list(story.steps)
    texts = [
        f"{numbered}\nA: {story.answer}"
        for numbered in (_numbered(steps, "Step {}: ", 1), _numbered(steps, style, start))
    ]
    plain, other = (VERIFIER.verify(story.problem, text, story.answer, story.reference) for text in texts)

    assert view(other) == view(plain)


def _numerical(solution: str) -> float:
    score = VERIFIER.verify("How many are there?", solution).scores["numerical_validity"]
    return -1.0 if score is None else score


@given(pieces=true_pieces, line=wrong_lines, position=st.integers(0, 9))
@examples(300)
def test_a_wrong_equation_never_lowers_numerical_validity(pieces, line, position) -> None:
    sound, faulty = "\n".join(pieces), "\n".join(flawed(tuple(pieces), line, position))

    assert _numerical(faulty) >= _numerical(sound)
    assert _numerical(faulty) > 0


def _is_never_flagged(solution: str) -> None:
    profile = VERIFIER.verify("How many are there?", solution)

    assert [item for item in profile.evidence if item.dimension == "numerical_validity"] == []
    assert not profile.scores["numerical_validity"]


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
@given(data=st.data())
@examples(60)
def test_true_arithmetic_is_never_flagged(notation, data) -> None:
    _is_never_flagged(data.draw(true_lines(notation)))


@pytest.mark.long
@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_much_true_arithmetic_is_never_flagged(notation) -> None:
    rng = random.Random(notation)
    for _ in range(2_000):
        _is_never_flagged(NOTATIONS[notation](rng))


@given(pieces=true_pieces)
@examples(150)
def test_true_lines_of_several_notations_are_never_flagged(pieces) -> None:
    _is_never_flagged("\n".join(pieces))


@given(story=worked(), with_reference=st.booleans())
@examples(200)
def test_a_sound_story_is_sound_in_every_dimension(story, with_reference) -> None:
    profile = VERIFIER.verify(story.problem, story.solution, story.answer, story.reference if with_reference else None)

    assert profile.verdict is Verdict.CORRECT
    assert profile.first_faulty_step is None
    assert [(item.kind, item.found) for item in profile.evidence] == []


@given(story=worked(), reason=st.sampled_from(["timeout", "memory limit", "worker failed"]))
@examples(20)
def test_a_failure_of_a_worker_is_undecided(story, reason) -> None:
    verifier = MathVerifier()

    def fail(*arguments: object) -> None:
        raise WorkerError(reason)

    verifier._workers.run = fail  # type: ignore[method-assign]
    profile = verifier.verify(story.problem, f"{story.steps[0]}\nA: $\\sqrt{{{story.answer}}}$", r"\sqrt{2}+\sqrt{3}")

    assert (profile.verdict, profile.reason) == (Verdict.UNDECIDED, reason)
    assert profile.scores["final_answer"] is None
    assert profile.scores["numerical_validity"] is not None
