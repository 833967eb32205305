"""The example plugin, installed for real and used from another process, as a person would."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from trl_weighted_dpo.core.files import read_jsonl, write_jsonl

EXAMPLE = REPOSITORY / "examples" / "plugin"
PAIRS = {"rejected_severity": [0.04, 0.16, 0.36], "rejected_wrongness": [0.9, 0.9, 0.9]}
WEIGH = f"""
import json
from trl_weighted_dpo.weighting import WeightingConfig, compute_weights
config = WeightingConfig(scheme="root_severity", lambda_=1.0)
print(json.dumps(compute_weights({PAIRS!r}, 3, config)[0].tolist()))
"""
RANK = """
import json
from trl_weighted_dpo import plugins
from trl_weighted_dpo.mining.hardness import HardnessSignals
signals = [HardnessSignals(confidence, 0.5, 0.5, None, None, None) for confidence in (0.8, None)]
print(json.dumps([plugins.find("hardnesses", "confident")(signal) for signal in signals]))
"""
ROWS = [
    {"problem": "Al worked 90 minutes. How many hours did he work?", "solution": solution, "reference_answer": "1.5"}
    for solution in ("90 / 60 = 1.5 hours\nA: 1.5", "90 / 60 = 1.5\nA: 1.5", "Who knows?")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that the example is installed into."""
    source, folder = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder, source], check=True)
    return folder


@pytest.fixture
def run(site, tmp_path):
    """Runs Python where the example is installed."""

    def python(*arguments):
        path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "160"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


def command(run, *arguments):
    return run("-c", "from trl_weighted_dpo.cli import main; main()", *arguments)


def test_it_is_listed_with_what_it_brings(run):
    listed = {plugin["name"]: plugin for plugin in json.loads(command(run, "plugins", "--json"))}

    assert listed["units"] == {
        "name": "units",
        "distribution": "weighted-dpo-units",
        "version": "0.1.0",
        "brings": {
            "dimensions": ["answer_unit"],
            "hardnesses": ["confident"],
            "raw_weights": ["root_severity"],
            "samplers": [],
        },
        "error": None,
    }
    assert "answer_unit" in command(run, "plugins")


@pytest.mark.parametrize("workers", [1, 2])
def test_its_dimension_is_checked_by_the_command(run, tmp_path, workers):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    options = ("--dimension", "answer_unit", "--workers", workers)
    shown = command(run, "verify", "rows.jsonl", "-o", "verified.jsonl", *options)

    profiles = [row["profile"] for row in read_jsonl(tmp_path / "verified.jsonl")]
    assert [profile["scores"]["answer_unit"] for profile in profiles] == [0.0, 0.5, None]
    [finding] = [item for item in profiles[1]["evidence"] if item["dimension"] == "answer_unit"]
    assert (finding["expected"], finding["found"], finding["step"], finding["span"]) == ("hours", "1.5", 1, [17, 20])
    assert "answer_unit" in shown


def test_its_weights_are_those_of_its_formula(run):
    # √severity is 0.2, 0.4 and 0.6; its mean is 0.4.
    assert json.loads(run("-c", WEIGH)) == pytest.approx([0.5, 1.0, 1.5])


def test_its_hardness_is_found_by_name(run):
    assert json.loads(run("-c", RANK)) == [0.8, 1.0]


def test_a_journal_is_begun_anew_with_its_dimension_and_with_another_version(run, site, tmp_path):
    script = (
        "import sys; from trl_weighted_dpo import plugins; from trl_weighted_dpo.verifier import MathVerifier;"
        "checks = {name: plugins.find('dimensions', name) for name in sys.argv[1:]};"
        "print(MathVerifier(checks=checks).identity)"
    )
    without, with_it = run("-c", script), run("-c", script, "answer_unit")
    newer = tmp_path / "newer"
    shutil.copytree(site, newer)
    metadata = newer / "weighted_dpo_units-0.1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 0.1.0", "Version: 0.2.0"))
    with_newer = run("-c", f"import sys; sys.path.insert(0, {str(newer)!r}); {script}", "answer_unit")

    assert with_it == run("-c", script, "answer_unit")
    assert "weighted-dpo-units 0.1.0: answer_unit" in with_it
    assert "weighted-dpo-units 0.2.0: answer_unit" in with_newer
    assert len({without, with_it, with_newer}) == 3
