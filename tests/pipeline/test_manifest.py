"""What decides whether a stage is up to date."""

import json
import shutil

import pytest

from trl_weighted_dpo.pipeline.manifest import Contents, Manifest, reasons_to_run, shell_line, versions


def manifest(**changes):
    values = {
        "stage": "round-1/sample", "command": "", "settings": {"temperature": 0.8, "stop": ["a"], "h": {"x": 1}},
        "inputs": {"problems": "file:1", "model": "model:2"}, "output": "file:3", "rows": 4, "versions": {},
        "started": "", "ended": "", "seconds": 1.0, **changes,
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
    assert reasons_to_run(before, now, {**before.inputs, **inputs}, output) == reasons


def test_it_is_read_as_it_was_written_and_what_is_broken_is_none(tmp_path):
    path = tmp_path / "folder" / "sample.manifest.json"
    manifest().write(path)
    assert Manifest.read(path) == manifest()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.write_text(path.read_text()[:40])
    assert Manifest.read(path) is None
    assert reasons_to_run(None, {}, {}, None) == ["not done yet"]


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    config = {"hidden_size": 4, "_name_or_path": "a", "transformers_version": "5"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_counts_by_what_it_does(model, tmp_path):
    contents = Contents(tmp_path / "memory.json")
    before = contents.identity(model)
    shutil.copytree(model, tmp_path / "elsewhere")
    assert contents.identity(tmp_path / "elsewhere") == before
    # What training leaves besides, and where the model was and by what it was saved, changes nothing.
    (model / "training_args.bin").write_bytes(b"paths")
    (model / "checkpoint-2").mkdir()
    (model / "checkpoint-2" / "model.safetensors").write_bytes(b"other")
    (model / "config.json").write_text(json.dumps({"transformers_version": "6", "hidden_size": 4}))
    assert contents.identity(model) == before
    for name, content in (
        ("config.json", b'{"hidden_size": 5}'), ("tokenizer.json", b'{"a": 1}'), ("model.safetensors", b"Weights"),
        ("chat_template.jinja", b"x"),
    ):  # fmt: skip
        shutil.rmtree(tmp_path / "elsewhere")
        shutil.copytree(model, tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / name).write_bytes(content)
        assert contents.identity(tmp_path / "elsewhere") != before, name


def test_files_and_folders(tmp_path):
    contents = Contents(tmp_path / "memory.json")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.json").write_text("1")
    folder, file = contents.identity(tmp_path / "data"), contents.identity(tmp_path / "data" / "a.json")
    assert folder.startswith("folder:")
    # SHA-256 of "1".
    assert file == "file:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    (tmp_path / "data" / "b.json").write_text("")
    assert contents.identity(tmp_path / "data") != folder
    assert contents.identity(tmp_path / "nothing") is None


def test_files_are_read_once(tmp_path):
    """A file of the same size and time is not read again, here and in a later run; this is seen by changing it."""
    import os

    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_text("1")
    before = Contents(memory).identity(path)
    state = path.stat()
    path.write_text("2")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Contents(memory).identity(path) == before
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert Contents(memory).identity(path) != before
    memory.write_text("broken")
    assert Contents(memory).identity(path) != before


def test_versions_and_lines():
    found = versions()
    assert {"python", "trl-weighted-dpo", "trl", "transformers", "torch"} <= found.keys()
    assert shell_line(["a", "b c"]) == "a 'b c'"
    assert shell_line(["a"], "x y") == "a > 'x y'"
