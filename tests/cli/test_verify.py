"""`weighted-dpo verify` as a person runs it."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_pool
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, read_jsonl, write_jsonl, write_rows
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier, files

POOL = [{**row, "note": {"kept": [index]}} for index, row in enumerate(tiny_pool(12))]
POOL[3] = {**POOL[3], "candidates": []}
POOL[5]["candidates"][0] |= {"generator": "g", "profile": "an old one"}
POOL[7]["candidates"][0] |= {"solution": "It is \udc80.\nA: 7\udfff"}
SOLUTIONS = [
    {"id": 7, "problem": row["problem"], "solution": candidate["solution"], "reference_answer": row["reference_answer"]}
    for row in POOL
    for candidate in row["candidates"]
] + [{"problem": "What is 6 x 7?", "steps": ["6 x 7 = 43", "A: 43"], "reference_answer": "42", "extra": None}]


def run(*arguments, **settings):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], **settings)


def unmarked(text):
    return text.replace("⟦", "").replace("⟧", "")


def profile_of(row, candidate):
    references = row.get("reference_answer"), row.get("reference_solution")
    solution = candidate.get("steps") or candidate["solution"]
    return MathVerifier().verify(row["problem"], solution, *references).to_dict()


@pytest.fixture
def pool(tmp_path):
    write_jsonl(tmp_path / "pool.jsonl", POOL)
    return tmp_path / "pool.jsonl"


@pytest.fixture
def verified(monkeypatch):
    """Solutions that were really verified."""
    solutions, kept = [], MathVerifier.verify
    monkeypatch.setattr(MathVerifier, "verify", lambda *given: (solutions.append(given[2]), kept(*given))[1])
    return solutions


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pool_gets_its_profiles_and_keeps_all_else(pool, tmp_path, workers):
    done = run(pool, "-o", tmp_path / "out.jsonl", "--workers", workers)
    assert done.exit_code == 0, done.output
    assert "profiles written to" in done.output
    expected = [
        {**row, "candidates": [{**entry, "profile": profile_of(row, entry)} for entry in row["candidates"]]}
        for row in POOL
    ]
    assert list(read_jsonl(tmp_path / "out.jsonl")) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "pool.jsonl"]


def test_solutions_get_their_profiles_beside_pool_rows(tmp_path):
    rows = [*SOLUTIONS, POOL[0]]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert run(tmp_path / "rows.jsonl", "-o", tmp_path / "out.jsonl").exit_code == 0
    written = list(read_jsonl(tmp_path / "out.jsonl"))
    assert written[:-1] == [{**row, "profile": profile_of(row, row)} for row in SOLUTIONS]
    assert [entry["profile"] for entry in written[-1]["candidates"]] == [
        profile_of(POOL[0], entry) for entry in POOL[0]["candidates"]
    ]
    for row in written[:-1]:
        assert ErrorProfile.from_dict(row["profile"]).to_dict() == row["profile"]


@pytest.mark.parametrize(("source", "target"), [("parquet", "jsonl"), ("jsonl", "parquet"), ("parquet", "parquet")])
def test_parquet_is_read_and_written(tmp_path, source, target):
    pool = tiny_pool(6)
    write_rows(tmp_path / f"pool.{source}", pool)
    done = run(tmp_path / f"pool.{source}", "-o", tmp_path / f"out.{target}", "--limit", 5)
    assert done.exit_code == 0, done.output
    written = list(RowFile(tmp_path / f"out.{target}"))
    assert [row["id"] for row in written] == [row["id"] for row in pool[:5]]
    for row, original in zip(written, pool, strict=False):
        for entry, given in zip(row["candidates"], original["candidates"], strict=True):
            expected = profile_of(original, given)
            assert entry["solution"] == given["solution"]
            assert (entry["profile"]["verdict"], entry["profile"]["answer"]) == (
                expected["verdict"], expected["answer"],
            )  # fmt: skip
            assert [found["dimension"] for found in entry["profile"]["evidence"]] == [
                found["dimension"] for found in expected["evidence"]
            ]


def test_a_row_of_a_parquet_file_is_explained(tmp_path):
    write_rows(tmp_path / "pool.parquet", tiny_pool(3))
    done = run(tmp_path / "pool.parquet", "--explain", "--row", 2, "--json")
    assert [entry["row"] for entry in json.loads(done.stdout)["explained"]] == [2] * 4


def test_what_parquet_cannot_hold_is_told_before_anything_is_verified(tmp_path, verified):
    write_rows(tmp_path / "pool.jsonl", [{**row, "note": note} for row, note in zip(POOL, (1, "x"), strict=False)])
    done = run(tmp_path / "pool.jsonl", "-o", tmp_path / "out.parquet")
    assert done.exit_code == 1
    assert "out.parquet: rows 0 to 1: a column holds values of several types" in done.output
    assert verified == []
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


@pytest.mark.parametrize("way", ["same", "relative", "link", "journal", "calibration"])
def test_an_input_is_never_overwritten(pool, tmp_path, monkeypatch, verified, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(pool)
    (tmp_path / "out.jsonl.journal").write_bytes(pool.read_bytes())
    (tmp_path / "weights.json").write_text("{}")
    arguments = {
        "same": (pool, "-o", pool),
        "relative": (pool, "-o", "./../" + tmp_path.name + "/pool.jsonl"),
        "link": (pool, "-o", "link.jsonl"),
        "journal": ("out.jsonl.journal", "-o", "out.jsonl"),
        "calibration": (pool, "--calibration", "weights.json", "-o", "weights.json"),
    }[way]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = run(*arguments)
    assert done.exit_code == 1
    assert "writing there would replace the input" in done.output
    assert verified == []
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", ".: this is a directory. Name a file in it as output, such as out.jsonl"),
        ("folder", "folder: this is a directory. Name a file in it as output, such as folder/out.jsonl"),
        ("/proc/o.jsonl", "/proc/o.jsonl: nothing can be written there ("),
        ("pool.jsonl/o.jsonl", "pool.jsonl/o.jsonl: nothing can be written there ("),
        ("/dev/null", "/dev/null: this is a device and no file"),
        ("out.json", "out.json: name the output *.jsonl or *.parquet, which says how it is written"),
    ],
)
def test_an_output_that_cannot_be_written_is_named(pool, tmp_path, monkeypatch, verified, output, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    done = run(pool, "-o", output)
    assert done.exit_code == 1
    assert message in done.output
    assert ".journal" not in done.output
    assert verified == []


def test_the_summary_counts_as_json(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "out.jsonl", "--json")
    report = json.loads(done.stdout)["report"]
    profiles = [entry["profile"] for row in read_jsonl(tmp_path / "out.jsonl") for entry in row["candidates"]]
    assert report["solutions"] == len(profiles) == sum(len(row["candidates"]) for row in POOL)
    for verdict, count in report["verdicts"].items():
        assert count == sum(profile["verdict"] == verdict for profile in profiles)
    for dimension, count in report["found"].items():
        assert count == sum(any(i["dimension"] == dimension for i in profile["evidence"]) for profile in profiles)
    assert report["found"]["final_answer"] > 0
    assert report["resumed"] == 0
    assert report["seconds"] > 0


def test_the_summary_counts_for_a_person(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "out.jsonl")
    for part in ("│ solutions ", "│   correct ", "│   final_answer ", " solutions/s ", "profiles written to"):
        assert part in done.output


def test_a_limit_takes_the_first_rows(pool, tmp_path):
    assert run(pool, "-o", tmp_path / "out.jsonl", "--limit", 2).exit_code == 0
    assert [row["id"] for row in read_jsonl(tmp_path / "out.jsonl")] == [row["id"] for row in POOL[:2]]


def test_a_bad_row_is_named_and_what_came_before_is_kept(tmp_path, verified):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [*SOLUTIONS[:5], {"problem": "p", "solution": 7}, *SOLUTIONS[5:]])
    done = run(path, "-o", tmp_path / "out.jsonl")
    assert done.exit_code == 1
    assert f"Error: {path}: row 5, column 'solution': got 7. Give a text, or its steps" in done.output
    assert not (tmp_path / "out.jsonl").exists()
    assert len(verified) == 5
    write_jsonl(path, SOLUTIONS)
    done = run(path, "-o", tmp_path / "out.jsonl", "--json")
    assert json.loads(done.stdout)["report"]["resumed"] == 5
    assert len(verified) == len(SOLUTIONS)


@pytest.mark.parametrize("rows", [[], [{"text": "x"}], [{**POOL[0], "candidates": []}]], ids=["none", "bad", "empty"])
def test_a_run_that_verified_nothing_leaves_nothing(tmp_path, rows):
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert run(tmp_path / "rows.jsonl", "-o", tmp_path / "out.jsonl").exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_solution_beside_candidates_stays_as_it_is(tmp_path):
    row = {**POOL[0], "solution": "The reference, maybe."}
    write_jsonl(tmp_path / "rows.jsonl", [row])
    assert run(tmp_path / "rows.jsonl", "-o", tmp_path / "out.jsonl").exit_code == 0
    (written,) = read_jsonl(tmp_path / "out.jsonl")
    assert written["solution"] == row["solution"]
    assert "profile" not in written
    assert all("profile" in candidate for candidate in written["candidates"])


@pytest.mark.parametrize("cut", [0, 1, 60])
def test_a_cut_journal_is_resumed(pool, tmp_path, monkeypatch, verified, cut):
    def interrupted(*_):
        raise OSError("no space left")

    assert run(pool, "-o", tmp_path / "whole.jsonl").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(files, "RowsWithProfiles", interrupted)
        assert "Error: no space left" in run(pool, "-o", tmp_path / "out.jsonl").output
    journal = tmp_path / "out.jsonl.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:7]) + lines[7][:cut])
    verified.clear()
    assert run(pool, "-o", tmp_path / "out.jsonl").exit_code == 0
    assert verified == [entry["solution"] for row in POOL[6:] for entry in row["candidates"]]
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_other_settings_begin_anew(pool, tmp_path, verified):
    journal = tmp_path / "out.jsonl.journal"
    files.verify_into(journal, POOL)
    count = len(verified)
    files.verify_into(journal, POOL)
    assert len(verified) == count
    files.verify_into(journal, POOL, MathVerifier(timeout=4.0))
    assert len(verified) == 2 * count


@pytest.mark.parametrize("change", [POOL[:-1], [*POOL, POOL[0]], [*POOL[:-1], POOL[0]]])
def test_rows_that_changed_meanwhile_are_refused(tmp_path, change):
    files.verify_into(tmp_path / "j", POOL)
    with pytest.raises(ValueError, match=r"changed while they were verified. Run again"):
        list(files.RowsWithProfiles(change, tmp_path / "j"))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_run_again_writes_the_same_file(tmp_path, workers):
    write_jsonl(tmp_path / "pool.jsonl", tiny_pool(1500))
    command = [sys.executable, "-c", "from trl_weighted_dpo.cli import main; main()", "verify", "pool.jsonl"]
    command += ["--workers", str(workers), "-o"]
    settings = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "out.jsonl"], **settings)
    journal = tmp_path / "out.jsonl.journal"
    while process.poll() is None and not (journal.is_file() and journal.stat().st_size > 100_000):
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(children) >= (workers if workers > 1 else 0)
    assert journal.is_file()
    assert not (tmp_path / "out.jsonl").exists()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    subprocess.run([*command, "out.jsonl"], check=True, **settings)
    subprocess.run([*command, "whole.jsonl"], check=True, **settings)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not journal.exists()


def test_candidates_are_explained(pool):
    done = run(pool, "--explain", "--row", 1, "--candidate", 2)
    assert done.exit_code == 0, done.output
    assert "row 1, candidate 2" in done.output
    assert POOL[1]["candidates"][2]["solution"].split("\n")[0] in unmarked(done.output)
    assert run(pool, "--explain").output.count("── row 0, candidate ") == len(POOL[0]["candidates"])


def test_a_surrogate_is_explained(pool):
    done = run(pool, "--explain", "--row", 7, "--candidate", 0)
    assert done.exit_code == 0, done.output
    assert "It is \\udc80." in unmarked(done.output)


def test_profiles_are_explained_as_json(pool):
    done = run(pool, "--explain", "--row", 1, "--json")
    assert json.loads(done.output) == {
        "explained": [
            {"row": 1, "candidate": index, "profile": profile_of(POOL[1], entry)}
            for index, entry in enumerate(POOL[1]["candidates"])
        ]
    }


def test_a_file_is_written_and_a_row_explained_at_once(pool, tmp_path):
    done = run(pool, "-o", tmp_path / "out.jsonl", "--explain", "--row", 2, "--candidate", 0, "--json")
    shown = json.loads(done.stdout)
    assert shown["report"]["solutions"] > 0
    assert [entry["row"] for entry in shown["explained"]] == [2]
    assert (tmp_path / "out.jsonl").exists()


def test_a_single_solution_is_explained():
    options = ("--problem", "What is 6 x 7? [b]", "--reference-answer", "42")
    text = "6 x 7 = 43\x1b[2J [bold]\nA: 43"
    done = run(*options, "--solution", "-", input=text)
    assert done.exit_code == 0, done.output
    assert "\\x1b[2J [bold]" in unmarked(done.output)
    assert "\x1b" not in done.output
    assert "Verdict: incorrect" in done.output
    profile = MathVerifier().verify("What is 6 x 7? [b]", text, "42").to_dict()
    assert json.loads(run(*options, "--solution", text, "--json").output) == {"explained": [{"profile": profile}]}


def test_a_calibration_is_used(tmp_path, pool):
    (tmp_path / "bad.json").write_text("{}")
    done = run(pool, "-o", tmp_path / "out.jsonl", "--calibration", tmp_path / "bad.json")
    assert done.exit_code == 1
    assert "bad.json" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to verify: give a file, or --problem and --solution"),
        (["pool.jsonl"], "say what is to be done: -o OUT.jsonl writes profiles, --explain shows one"),
        (["nowhere.jsonl", "-o", "out.jsonl"], "nowhere.jsonl: there is no such file or folder. Is the path right"),
        (["nowhere.jsonl", "--explain"], "nowhere.jsonl: there is no such file or folder. Is the path right"),
        (["pool.jsonl", "--explain", "--calibration", "no.json"], "no.json: there is no such file"),
        (["folder", "-o", "out.jsonl"], "folder: no rows could be read from this folder"),
        (["/dev/null", "-o", "out.jsonl"], "/dev/null: this is a pipe or device, but it is read more than once"),
        (["pool.gz", "-o", "out.jsonl"], "pool.gz: this is no whole gzip file"),
        (["pool.jsonl", "-o", "out.jsonl", "--row", "0"], "--row needs a file and --explain"),
        (["pool.jsonl", "-o", "out.jsonl", "--candidate", "0"], "--candidate needs a file and --explain"),
        (["pool.jsonl", "--explain", "--limit", "1"], "--limit needs a file and -o OUT.jsonl"),
        (["pool.jsonl", "--explain", "--workers", "1"], "--workers needs a file and -o OUT.jsonl"),
        (["pool.jsonl", "--explain", "--reference-answer", "1"], "--reference-answer needs --problem and --solution"),
        (["pool.jsonl", "--explain", "--reference-solution", "1"], "--reference-solution needs --problem and"),
        (["--problem", "p", "--solution", "s", "--row", "1"], "--row needs a file and --explain"),
        (["--problem", "p", "--solution", "s", "--limit", "1"], "--limit needs a file and -o OUT.jsonl"),
        (["pool.jsonl", "--explain", "--row", "3"], "row 3 has no solutions: its 'candidates' is empty"),
        (["pool.jsonl", "--explain", "--row", "99"], "pool.jsonl: there is no row 99; rows are counted from 0"),
        (["pool.jsonl", "--explain", "--candidate", "9"], "pool.jsonl: row 0 has 4 candidates, counted from 0; got"),
        (["rows.jsonl", "--explain", "--candidate", "0"], "rows.jsonl: row 0 has no candidates but one solution; got"),
        (["bad.jsonl", "--explain"], "bad.jsonl: row 0, column 'problem': the column is missing"),
        (["bad.jsonl", "-o", "out.jsonl"], "bad.jsonl: row 0, column 'problem': the column is missing"),
        (["broken.jsonl", "-o", "out.jsonl"], "broken.jsonl: row 1, column '(whole row)'"),
        (["empty.jsonl", "-o", "out.jsonl"], "empty.jsonl: the file is empty, so there are no solutions"),
        (["hollow.jsonl", "-o", "out.jsonl"], "hollow.jsonl: 'candidates' is empty in all 2 rows, so there are no"),
        (["--problem", "p"], "--problem and --solution belong together"),
        (["pool.jsonl", "--problem", "p", "--solution", "s"], "--problem and --solution belong together"),
        (["--problem", " ", "--solution", "s"], "--problem is blank. Give the text of the problem"),
    ],
)
def test_what_cannot_be_done_is_explained(pool, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_jsonl("rows.jsonl", SOLUTIONS)
    write_jsonl("bad.jsonl", [{"text": "x"}])
    write_jsonl("hollow.jsonl", [POOL[3]] * 2)
    (tmp_path / "pool.gz").write_bytes(gzip.compress(pool.read_bytes())[:-9])
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.jsonl").write_text(json.dumps(SOLUTIONS[0]) + "\n{")
    (tmp_path / "empty.jsonl").write_text("\n")
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "out.jsonl").exists()
