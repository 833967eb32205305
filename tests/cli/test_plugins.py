"""`weighted-dpo plugins`, and the option of `weighted-dpo verify` that takes from them."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.plugins.test_discovery import GOOD, install
from tests.tiny import tiny_pairs
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import write_jsonl


def run(folder, *arguments):
    code = "from trl_weighted_dpo.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def site(tmp_path):
    install(tmp_path, "flat_hardness", GOOD.replace("NAME", "'flat'"), version="1.2")
    install(tmp_path, "broken_hardness", "import not_there")
    return tmp_path


def test_broken_plugins_are_listed_with_their_cause_beside_the_others(site):
    done = run(site, "plugins")

    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.count("│") == 4}
    assert "hardness: flat" in rows["flat_hardness"]
    assert "flat-hardness 1.2" in rows["flat_hardness"]
    assert "broken: ModuleNotFoundError: No module named 'not_there'" in rows["broken_hardness"]
    assert "final_answer" in rows["built-in"]


def test_the_list_as_json_has_every_kind(site):
    listed = {plugin["name"]: plugin for plugin in json.loads(run(site, "plugins", "--json").stdout)}

    assert listed["flat_hardness"]["brings"] == {
        "dimensions": [],
        "hardnesses": ["flat"],
        "raw_weights": [],
        "samplers": [],
    }
    assert listed["broken_hardness"]["error"].startswith("ModuleNotFoundError")
    assert listed["built-in"]["brings"]["hardnesses"] == ["product"]


def test_a_broken_plugin_ends_no_run_that_does_not_use_it(site):
    done = run(site, "verify", "--problem", "What is 6 x 7?", "--solution", "A: 42", "--reference-answer", "42")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("style", "There is no dimension 'style'; there are: semantic_alignment"),
        ("final_answer", "--dimension final_answer: this is one of the six, which are always checked. Leave it out."),
    ],
)
def test_a_dimension_that_no_plugin_brings_is_refused(name, message):
    done = CliRunner().invoke(app, ["verify", "--problem", "p", "--solution", "A: 1", "--dimension", name])

    assert done.exit_code == 1
    assert f"Error: {message}" in done.stderr


FAILING = """
from trl_weighted_dpo.plugins import hookimpl

def fail(*given):
    raise RuntimeError("no luck")

@hookimpl
def weighted_dpo_dimensions():
    return {"style": fail}

@hookimpl
def weighted_dpo_raw_weights():
    return {"lucky": fail}
"""


def test_a_dimension_that_fails_leaves_one_solution_undecided_as_it_does_those_of_a_file(tmp_path):
    install(tmp_path, "failing", FAILING)
    single = ("--problem", "What is 6 x 7?", "--solution", "A: 42", "--reference-answer", "42")
    done = run(tmp_path, "verify", *single, "--dimension", "style", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    [explained] = json.loads(done.stdout)["explained"]
    assert (explained["profile"]["verdict"], explained["profile"]["reason"]) == ("undecided", "error: RuntimeError")


def test_a_formula_that_fails_is_an_error_with_the_version_of_its_plugin(tmp_path):
    install(tmp_path, "failing", FAILING, version="1.2")
    write_jsonl(tmp_path / "pairs.jsonl", tiny_pairs(3))
    done = run(tmp_path, "weigh", "pairs.jsonl", "--scheme", "lucky")

    assert done.returncode == 1
    message = "Error: pairs.jsonl: the weighting scheme 'lucky' (of failing 1.2: lucky) failed: RuntimeError: no luck."
    assert done.stderr.startswith(message)


def test_a_plugin_that_exits_is_listed_as_broken(tmp_path):
    install(tmp_path, "exiting", "import sys\nsys.exit()")
    done = run(tmp_path, "plugins")

    assert done.returncode == 0
    assert "broken: SystemExit" in done.stdout
