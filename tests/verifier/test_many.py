"""Many solutions in one process and in several: the same profiles, in order, whatever becomes of a process."""

import itertools
import multiprocessing
import os
import sys
import threading
import time
import types

import psutil
import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.processes import CHUNKS_AHEAD
from trl_weighted_dpo.verifier import MathVerifier, VerificationReport, many
from trl_weighted_dpo.verifier.many import CHUNK_ROWS


def solution_row(number, answer=None):
    answer = number + 7 if answer is None else answer
    return {
        "problem": f"Ann has {number} pens and gets 7 more. How many pens does she have?",
        "solution": f"{number} + 7 = {answer}\nShe has {answer} pens.\nA: {answer}",
        "reference_answer": str(number + 7),
        "reference_solution": f"{number}+7=<<{number}+7={number + 7}>>{number + 7}\n#### {number + 7}",
    }


# More rows than fit into one chunk for each process, right and wrong, of both schemas and with all that may be missing.
ROWS = [
    *(solution_row(number, number + 7 + number % 3) for number in range(2 * CHUNK_ROWS + 5)),
    {"problem": "What is 6 x 7?", "steps": ["6 x 7 = 43", "A: 43"], "reference_answer": "42"},
    {"problem": "What is 6 x 7?", "steps": ["6 x 7 = 43", "A: 43"], "solution": "A: 42", "reference_answer": "42"},
    {"problem": "What is 6 x 7?", "steps": [], "solution": "A: 42", "reference_answer": None},
    {"problem": "What is 6 \udc80 7?", "solution": "6 x 7 = \udc80 43\nA: 43\udfff", "reference_answer": "42"},
    {"problem": "Simplify.", "solution": "$\\sqrt{8} = 2\\sqrt{2}$\nA: $2\\sqrt{2}$", "reference_answer": "\\sqrt{8}"},
    {"problem": "What?", "solution": "", "reference_answer": "1"},
]


class Troubled(MathVerifier):
    """A verifier that some solutions bring down."""

    def verify(self, problem, solution, reference_answer=None, reference_solution=None):
        if "die" in solution:
            os._exit(3)
        if "hang" in solution:
            time.sleep(600)
        if "hoard" in solution:
            bytearray(64 * 2**30)
        if "fail" in solution:
            raise KeyError(solution)
        return super().verify(problem, solution, reference_answer, reference_solution)


def one_by_one(rows):
    return [
        MathVerifier().verify(
            row["problem"],
            row.get("steps") or row["solution"],
            row.get("reference_answer"),
            row.get("reference_solution"),
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def expected():
    return one_by_one(ROWS)


@pytest.mark.parametrize("workers", [1, 2])
def test_profiles_are_those_of_verify_in_order(expected, workers):
    with MathVerifier() as verifier:
        assert list(verifier.verify_many(ROWS, workers)) == expected
    assert {profile.verdict.value for profile in expected} == {"correct", "incorrect", "undecided"}


def test_steps_count_before_the_text(expected):
    assert expected[2 * CHUNK_ROWS + 5].answer == expected[2 * CHUNK_ROWS + 6].answer == "43"
    assert expected[2 * CHUNK_ROWS + 7].answer == "42"


def test_no_rows_give_no_profiles():
    assert list(MathVerifier().verify_many([], workers=2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_endless_stream_is_read_a_little_ahead_only(workers):
    read = []
    endless = (read.append(1) or row for row in itertools.cycle(ROWS[:50]))
    profiles = MathVerifier().verify_many(endless, workers)
    taken = list(itertools.islice(profiles, 300))
    assert len(taken) == 300
    ahead = 0 if workers == 1 else (CHUNKS_AHEAD * workers + 2) * CHUNK_ROWS
    assert len(read) <= 300 + ahead
    profiles.close()


def test_long_rows_make_short_chunks(monkeypatch):
    monkeypatch.setattr(many, "CHUNK_CHARACTERS", 2000)
    row = (("p" * 500, ["s" * 300, "t" * 300], None, "r" * 100), None)
    assert [len(chunk) for chunk in many._chunks(iter([row] * 5))] == [2, 2, 1]


def test_a_stream_that_is_closed_leaves_no_process():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    profiles = MathVerifier().verify_many(itertools.cycle(ROWS), workers=2)
    next(profiles)
    during = {child.pid for child in psutil.Process().children(recursive=True)} - before
    profiles.close()
    assert during
    assert not {pid for pid in during if psutil.pid_exists(pid)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"problem": "p"},
            "pool.jsonl: row 40, column 'solution': the column is missing; there are: problem. A solution",
        ),
        ({"problem": " ", "solution": "s"}, "column 'problem': got ' '. Give the text of the problem"),
        ({"problem": "p", "solution": ["s"]}, "column 'solution': got ['s']. Give a text, or its steps as 'steps'"),
        ({"problem": "p", "steps": "s"}, "column 'steps': got 's'. Give a list of texts, or null"),
        ({"problem": "p", "steps": ["s", 7]}, "column 'steps[1]': got 7. Give the step's text"),
        ({"problem": "p", "solution": "s", "reference_answer": 7}, "'reference_answer': got 7. Give a text or null"),
        ("text", "column '(whole row)': got 'text'. A solution row is a JSON object"),
    ],
)
def test_a_bad_row_is_named_after_the_profiles_before_it(expected, workers, bad, message):
    profiles = MathVerifier().verify_many([*ROWS[:40], bad, *ROWS[40:]], workers, source="pool.jsonl")
    assert list(itertools.islice(profiles, 40)) == expected[:40]
    with pytest.raises(SchemaError) as error:
        next(profiles)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("solution", "reason"),
    [("die", "worker died"), ("hang", "timeout"), ("hoard", "memory limit"), ("fail", "error: KeyError")],
)
def test_a_row_that_brings_a_process_down_costs_no_other(monkeypatch, expected, solution, reason):
    monkeypatch.setattr(many, "ROW_SECONDS", 1.0)
    rows = [*ROWS[:20], {**ROWS[0], "solution": solution}, *ROWS[20:40], {**ROWS[0], "solution": solution}]
    report = VerificationReport()
    profiles = list(Troubled(timeout=0.1).verify_many(rows, workers=2, report=report))
    assert [(profiles[at].verdict.value, profiles[at].reason) for at in (20, 41)] == [("undecided", reason)] * 2
    assert all(score is None for score in profiles[20].scores.values())
    assert profiles[:20] + profiles[21:41] == expected[:40]
    assert report.solutions == 42
    assert report.undecided[reason] == 2


def test_a_row_that_the_verifier_fails_on_is_undecided_in_this_process_too(expected):
    rows = [ROWS[0], {**ROWS[0], "solution": "fail"}, ROWS[1]]
    profiles = list(Troubled().verify_many(rows))
    assert (profiles[1].verdict.value, profiles[1].reason) == ("undecided", "error: KeyError")
    assert [profiles[0], profiles[2]] == expected[:2]


def test_the_verifiers_settings_hold_in_every_process():
    row = {"problem": "p", "solution": "A: $\\sqrt{2}+\\sqrt{3}$", "reference_answer": "\\sqrt{5+2\\sqrt{6}}"}
    (patient,) = MathVerifier().verify_many([row], workers=2)
    (hasty,) = MathVerifier(timeout=1e-4).verify_many([row], workers=2)
    assert patient.reason != "timeout"
    assert hasty.reason == "timeout"


def test_the_report_counts_verdicts_reasons_and_findings():
    rows = [solution_row(1), solution_row(2, answer=5), {"problem": "p", "solution": "A: 5"}]
    report = VerificationReport()
    assert len(list(MathVerifier().verify_many(rows, report=report))) == 3
    counts = report.to_dict()
    assert counts["solutions"] == 3
    assert counts["verdicts"] == {"correct": 1, "incorrect": 1, "undecided": 1}
    assert counts["undecided"] == {"no reference answer": 1}
    assert counts["checked"]["final_answer"] == 2
    assert counts["found"]["final_answer"] == 1


def test_processes_work_from_a_thread(expected):
    results = []
    thread = threading.Thread(target=lambda: results.extend(MathVerifier().verify_many(ROWS, workers=2)))
    thread.start()
    thread.join()
    assert results == expected


def in_daemonic_process(queue):
    queue.put(list(MathVerifier().verify_many(ROWS, workers=2)))


def test_processes_work_from_a_daemonic_process(expected):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=in_daemonic_process, args=(queue,), daemon=True)
    process.start()
    assert queue.get(timeout=60) == expected
    process.join()


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused_at_once(workers):
    with pytest.raises(ValueError, match=f"workers is {workers}, .*pass at least 1"):
        MathVerifier().verify_many(ROWS, workers)


def test_a_verifier_of_the_main_script_is_refused_with_a_way_out():
    class Scripted(MathVerifier):
        pass

    Scripted.__module__ = "__main__"
    with pytest.raises(ValueError, match=r"Scripted is defined in the main script.*move it to a module"):
        Scripted().verify_many(ROWS, workers=2)


def test_processes_that_cannot_start_are_explained(monkeypatch):
    ghost = types.ModuleType("ghost")
    ghost.Ghost = type("Ghost", (MathVerifier,), {"__module__": "ghost"})
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    with pytest.raises(ChildProcessError, match=r"cannot start .*import ghost.*workers=1"):
        list(ghost.Ghost().verify_many(ROWS, workers=2))
