"""What decides whether a stage is up to date."""

import pytest

from trl_weighted_dpo.pipeline.manifest import Manifest, reasons_to_run, shell_line, versions


def manifest(**changes):
    values = {
        "stage": "round-1/sample", "command": "", "settings": {"temperature": 0.8, "stop": ["a"], "h": {"x": 1}},
        "inputs": {"problems": "file:1", "model": "model:2"}, "output": "file:3", "rows": 4, "versions": {},
        "started": "", "ended": "", "seconds": 1.0, "result_versions": {"verifier": "3"}, **changes,
    }  # fmt: skip
    return Manifest(**values)


@pytest.mark.parametrize(
    ("settings", "inputs", "output", "reasons"),
    [
        ({}, {}, "file:3", []),
        ({"temperature": 1.0}, {}, "file:3", ["settings changed: temperature 0.8 -> 1.0"]),
        ({"temperature": None}, {}, "file:3", ["settings changed: temperature 0.8 -> unset"]),
        ({"top_k": 5}, {}, "file:3", ["settings changed: top_k unset -> 5"]),
        ({"h": {"x": 2}}, {}, "file:3", ["settings changed: h.x 1 -> 2"]),
        ({"stop": ("a",)}, {}, "file:3", []),
        ({}, {"model": "model:9"}, "file:3", ["model changed"]),
        ({}, {"few_shot": "file:9"}, "file:3", ["few_shot is new or gone"]),
        ({}, {}, "file:9", ["the output was changed"]),
        ({}, {}, None, ["the output is gone"]),
        ({"temperature": 1.0}, {"problems": "x"}, None,
         ["settings changed: temperature 0.8 -> 1.0", "problems changed", "the output is gone"]),
    ],
)  # fmt: skip
def test_reasons(settings, inputs, output, reasons):
    before = manifest()
    now = {key: value for key, value in {**before.settings, **settings}.items() if value is not None}
    assert reasons_to_run(before, now, {**before.inputs, **inputs}, output, before.result_versions) == reasons


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        ({"verifier": "4"}, ["version changed: verifier 3 -> 4"]),
        ({"verifier": "3", "mining": "1"}, ["version changed: mining unset -> 1"]),
        ({"verifier": "3"}, []),
    ],
)
def test_result_versions_count_and_those_of_packages_do_not(now, reasons):
    before = manifest(versions={"trl": "0.1"})
    assert reasons_to_run(before, before.settings, before.inputs, before.output, now) == reasons


def test_it_is_read_as_it_was_written_and_what_is_broken_is_none(tmp_path):
    path = tmp_path / "folder" / "sample.manifest.json"
    manifest().write(path)
    assert Manifest.read(path) == manifest()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.write_text(path.read_text()[:40])
    assert Manifest.read(path) is None
    assert reasons_to_run(None, {}, {}, None, {}) == ["not done yet"]


def test_versions_and_lines():
    found = versions()
    assert {"python", "trl-weighted-dpo", "trl", "transformers", "torch"} <= found.keys()
    assert shell_line(["a", "b c"]) == "a 'b c'"
    assert shell_line(["a"], "x y") == "a > 'x y'"
