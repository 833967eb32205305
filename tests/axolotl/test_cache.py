"""The folder of prepared pairs changes with all that decides them, and with nothing else."""

import json

import pytest

from tests.tiny import tiny_pool
from trl_weighted_dpo import plugins
from trl_weighted_dpo.axolotl.cache import prepared_path
from trl_weighted_dpo.verifier import verifier


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(3)))
    return path


def cfg(pool, **changes):
    return {"base_model": "m", "datasets": [{"path": str(pool), "type": "t"}], "dataset_prepared_path": "p", **changes}


def test_unchanged_input_reuses_the_folder(pool):
    assert prepared_path(cfg(pool)) == prepared_path(cfg(pool))
    assert prepared_path(cfg(pool)).startswith("p/weighted-dpo-")


def test_default_folder_is_axolotls(pool):
    assert prepared_path(cfg(pool, dataset_prepared_path=None)).startswith("last_run_prepared/weighted-dpo-")


def test_it_is_idempotent(pool):
    path = prepared_path(cfg(pool))
    assert prepared_path(cfg(pool, dataset_prepared_path=path)) == path


@pytest.mark.parametrize(
    "change",
    [
        {"weighted_dpo": {"pairs_per_problem": 2}},
        {"weighted_dpo": {"chosen_fallback": "reference_solution"}},
        {"weighted_dpo": {"seed": 1}},
        {"weighted_dpo": {"strategy": "random"}},
        {"weighted_dpo": {"match_lengths": True}},
        {"weighted_dpo": {"hardness": {"steps": 0.5}}},
        {"weighted_dpo": {"strategy": "no such thing"}},
        {"weighted_dpo": {"prompt_template": "Q: {problem}\nA: "}},
        {"weighted_dpo": {"system_prompt": "Be exact."}},
        {"weighted_dpo": {"chat_template_kwargs": {"enable_thinking": False}}},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template": "chatml"},
        {"special_tokens": {"eos_token": "<|im_end|>"}},
        {"test_datasets": [{"path": "elsewhere"}]},
    ],
)
def test_what_decides_the_pairs_changes_the_folder(pool, change):
    assert prepared_path(cfg(pool, **change)) != prepared_path(cfg(pool))


@pytest.mark.parametrize(
    "change",
    [
        {"lambda": 0.7},
        {"scheme": "uniform"},
        {"clip_max": 2.0},
        {"pairs_per_problem": 1},
        {"ref_logps": "model"},
        {"hardness": {"steps": 0.3}},
    ],
)
def test_weights_and_defaults_do_not_change_the_folder(pool, change):
    assert prepared_path(cfg(pool, weighted_dpo=change)) == prepared_path(cfg(pool))


def test_the_version_of_a_plugin_that_brings_the_hardness_changes_the_folder(pool, monkeypatch):
    before = prepared_path(cfg(pool))
    monkeypatch.setattr(plugins, "identity", lambda kind, name: f"another version: {name}")
    assert prepared_path(cfg(pool)) != before


def test_file_content_changes_the_folder(pool):
    before = prepared_path(cfg(pool))
    pool.write_text(pool.read_text().replace("apples", "pears").replace("coins", "nails").replace("pens", "cups"))
    assert prepared_path(cfg(pool)) != before


def test_content_of_a_folder_and_of_data_files_counts(pool, tmp_path):
    for dataset in (
        {"path": str(tmp_path)},
        {"path": "json", "data_files": [str(pool)]},
        {"path": "json", "data_files": str(tmp_path / "*.jsonl")},
        {"path": str(tmp_path), "data_files": "*.jsonl"},
    ):
        pool.write_text("{}")
        before = prepared_path(cfg(pool, datasets=[dataset]))
        pool.write_text('{"a": 1}')
        assert prepared_path(cfg(pool, datasets=[dataset])) != before


def test_verifier_version_and_tokenizer_change_the_folder(pool, tmp_path, monkeypatch):
    model = tmp_path / "model"
    model.mkdir()
    before = prepared_path(cfg(pool, base_model=str(model)))
    (model / "chat_template.jinja").write_text("{{ messages }}")
    with_template = prepared_path(cfg(pool, base_model=str(model)))
    assert with_template != before
    monkeypatch.setattr(verifier, "VERIFIER_VERSION", "another")
    assert prepared_path(cfg(pool, base_model=str(model))) != with_template


def test_what_a_run_writes_into_a_data_folder_does_not_count(pool, tmp_path):
    settings = {
        "datasets": [{"path": str(tmp_path)}], "dataset_prepared_path": str(tmp_path / "prepared"),
        "output_dir": str(tmp_path / "out"),
    }  # fmt: skip
    before = prepared_path(cfg(pool, **settings))
    for name in ("prepared/pairs.jsonl", "out/model.bin", ".cache/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    assert prepared_path(cfg(pool, **settings)) == before


def test_a_template_file_counts_by_content(pool, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    before = prepared_path(cfg(pool, chat_template_jinja=str(template)))
    template.write_text("{{ messages }}!")
    assert prepared_path(cfg(pool, chat_template_jinja=str(template))) != before


def test_a_prepared_folder_may_be_named_where_the_raw_files_are_not(pool):
    path = prepared_path(cfg(pool))
    pool.unlink()
    assert prepared_path(cfg(pool, dataset_prepared_path=path)) == path
