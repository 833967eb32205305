"""What is still the same, for files, folders, settings and functions; and every user of these identities agrees."""

import functools
import json
import os
import pickle
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest

from tests.tiny import save_tiny_model, tiny_pool
from trl_weighted_dpo import plugins
from trl_weighted_dpo.core import identity
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.identity import CONTENTS, Contents, canonical, digest, function_identity
from trl_weighted_dpo.evaluation.sampled import SampledModel, sample_model
from trl_weighted_dpo.mining import journal as mining
from trl_weighted_dpo.sampling import Sample, SamplingConfig
from trl_weighted_dpo.sampling import files as sampling
from trl_weighted_dpo.scoring import files as scoring
from trl_weighted_dpo.settings import PairingConfig
from trl_weighted_dpo.verifier import DimensionResult, MathVerifier
from trl_weighted_dpo.verifier import verifier as verifying
from trl_weighted_dpo.verifier.aggregates import Calibration, Weights, default_calibration
from trl_weighted_dpo.verifier.files import verify_into


@dataclass(frozen=True)
class Check:
    limit: int = 1

    def __call__(self, facts):
        return DimensionResult(None)


def check(facts):
    return DimensionResult(None)


def other_calibration():
    own = default_calibration()
    return Calibration(Weights(own.with_solution.bias + 1.0, own.with_solution.dimensions), own.without_solution)


# Settings, rows and functions.


def test_equal_values_have_one_canonical_text():
    assert canonical({"b": (1, 2.5, None), "a": Path("x/y"), "c": {"z", "y"}}) == (
        '{"a": "x/y", "b": [1, 2.5, null], "c": ["y", "z"]}'
    )
    assert canonical(Check(3)) == canonical({"limit": 3}) == '{"limit": 3}'
    # SHA-256 of `{"a": 1}`.
    assert digest({"a": 1}) == "f9d86028c6e0d64e225186f96acb69338b2c59764df79162107f5c4bb34d1310"
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_digest_takes_any_text_and_tells_values_apart():
    values = ([], ["a", "b"], ["ab"], [["a"], "b"], [None], ["\udc80"], [1], ["1"], [True], {"a": 1}, {"a": 2})
    assert len({digest(value) for value in values}) == len(values)


def test_a_value_of_another_type_never_equals_that_of_another_process(monkeypatch):
    value = object()
    before = canonical([value])
    assert canonical([value]) == before
    monkeypatch.setattr(identity, "_PROCESS", "another")
    assert canonical([value]) != before


def test_functions():
    assert function_identity(check) == f"{__name__}:check"
    assert function_identity(Check) == f"{__name__}:Check"
    assert function_identity(Check(1)) == function_identity(Check(1)) != function_identity(Check(2))
    for anonymous in (lambda facts: facts, functools.partial(check)):
        assert function_identity(anonymous).endswith(f" in process {identity._PROCESS}")


# Files and folders.


def test_files_and_folders(tmp_path):
    contents = Contents()
    (tmp_path / "data" / "part").mkdir(parents=True)
    (tmp_path / "data" / "a.json").write_text("1")
    folder, file = contents.identity(tmp_path / "data"), contents.identity(tmp_path / "data" / "a.json")
    assert (
        folder
        == contents.folder(tmp_path / "data")
        == f"folder:{digest([['a.json', contents.file(tmp_path / 'data/a.json')]])}"
    )
    # SHA-256 of "1".
    assert file == "file:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert contents.identity(tmp_path / "copy") == folder
    (tmp_path / "data" / ".cache").write_text("hidden")
    (tmp_path / "data" / "part" / "b.json").write_text("2")
    assert contents.folder(tmp_path / "data", apart=[tmp_path / "data" / "part"]) == folder
    assert contents.folder(tmp_path / "data") != folder
    assert contents.identity(tmp_path / "nothing") is None
    assert contents.named("org/nothing") == "name:org/nothing"
    assert contents.named(tmp_path / "data" / "a.json") == file


def test_files_are_read_once(tmp_path):
    """A file of the same size and time is not read again, here and in a later run; this is seen by changing it."""
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_text("1")
    before = Contents(memory).identity(path)
    unkept = Contents(tmp_path / "other.json", is_kept=False)
    assert unkept.identity(path) == before
    assert not (tmp_path / "other.json").exists()
    state = path.stat()
    path.write_text("2")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Contents(memory).identity(path) == unkept.identity(path) == before
    assert Contents().identity(path) != before
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert Contents(memory).identity(path) != before
    assert unkept.identity(path) != before
    memory.write_text("broken")
    assert Contents(memory).identity(path) != before


def test_the_files_of_a_model(tmp_path):
    """Each listed file counts, in the identity of what it is a part of and in the model's."""
    folder = tmp_path / "model"
    (folder / "additional_chat_templates").mkdir(parents=True)
    (folder / "config.json").write_text("{}")

    def parts():
        return {part: getattr(CONTENTS, part)(folder) for part in ("model", "weights", "tokenizer", "adapter")}

    found = parts()
    assert [found[part] for part in ("weights", "tokenizer", "adapter")] == [None] * 3
    expected = {
        "model.safetensors": {"weights"}, "config.json": {"weights"}, "modeling.py": {"weights"},
        "generation_config.json": set(), "adapter_config.json": set(), "adapter_model.safetensors": {"adapter"},
        "adapter_model.bin": {"adapter"}, "additional_chat_templates/tools.jinja": {"tokenizer"},
        **{name: {"tokenizer"} for name in identity.TOKENIZER_FILES if "*" not in name},
    }  # fmt: skip
    for name, changed in expected.items():
        (folder / name).write_text(json.dumps({"is": name}))
        now = parts()
        assert {part for part in now if now[part] != found[part]} == {"model", *changed}, name
        found = now
    for name in ("training_args.bin", "README.md", "checkpoint-2/model.safetensors", "pytorch_model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
        assert parts() == found, name


def test_shards_are_those_of_the_index(tmp_path):
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert identity.weight_files(tmp_path) == [tmp_path / "model-1.safetensors", tmp_path / "model-2.safetensors"]
    (tmp_path / "model.safetensors").write_text("")
    assert identity.weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_what_broken_settings_say_counts_by_their_text(tmp_path):
    (tmp_path / "config.json").write_text("{")
    before = CONTENTS.identity(tmp_path)
    (tmp_path / "config.json").write_text("[{]")
    assert CONTENTS.identity(tmp_path) not in (None, before)


# The verifier.


def test_a_verifier_is_what_decides_its_profiles():
    usual = MathVerifier().identity
    assert usual == {
        "version": verifying.VERIFIER_VERSION,
        "calibration": digest(default_calibration()),
        "timeout": 5.0,
        "memory_mib": 2048,
        "checks": {},
    }
    assert MathVerifier(max_workers=3).identity == pickle.loads(pickle.dumps(MathVerifier())).identity == usual
    others = [
        MathVerifier(timeout=6.0), MathVerifier(memory_mib=1024), MathVerifier(calibration=other_calibration()),
        MathVerifier(checks={"brevity": check}), MathVerifier(checks={"brevity": Check(1)}),
        MathVerifier(checks={"brevity": Check(2)}),
    ]  # fmt: skip
    assert len({canonical(one.identity) for one in (MathVerifier(), *others)}) == 7


def test_the_check_of_a_plugin_counts_by_its_version(monkeypatch):
    found = {"brevity": check}
    monkeypatch.setattr(plugins, "dimensions", lambda: found)
    monkeypatch.setattr(plugins, "identity", lambda kind, name: f"brief 1.0: {name} of {kind}")
    assert MathVerifier(checks=found).identity["checks"] == {"brevity": "brief 1.0: brevity of dimensions"}
    assert MathVerifier(checks={"brevity": Check()}).identity["checks"] == {
        "brevity": f"{__name__}:{function_identity(Check()).partition(':')[2]}"
    }


def test_what_the_package_brings_has_result_versions_and_none_of_the_package():
    assert plugins.identity("hardnesses", "product") == "trl-weighted-dpo: product"


# Every journal, manifest and cache on the same models.


class Named:
    """A sampler that notes for which models it was made."""

    tokenizer, identity = None, "named"
    made: ClassVar[list[str]] = []

    def __init__(self, model, options):
        Named.made.append(model)

    def generate(self, requests, config):
        yield from ((place, Sample("A: 1", False, 1)) for place in range(len(requests)))


def loaded(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def of_pipeline(folder, tmp_path):
    return Contents(tmp_path / "memory.json").identity(folder)


def of_prepared_path(folder, tmp_path):
    from trl_weighted_dpo.axolotl.cache import prepared_path

    return prepared_path({"base_model": str(folder), "datasets": []})


def of_evaluation(folder, tmp_path):
    """The record beside a pool, without the pool's own digest."""
    problems = [{"id": "p", "problem": "1?", "reference_answer": "1"}]
    sample_model(tmp_path, SampledModel("m", str(folder)), problems, {"greedy": SamplingConfig(1)}, Named)
    return json.loads((tmp_path / "m.greedy.made.json").read_text())["model"]


def of_tokenizer_option(folder, tmp_path):
    problems = [{"id": "p", "problem": "1?", "reference_answer": "1"}]
    model = SampledModel("m", "name", {"tokenizer": str(folder)})
    sample_model(tmp_path, model, problems, {"greedy": SamplingConfig(1)}, Named)
    return json.loads((tmp_path / "m.greedy.made.json").read_text())["options"]["tokenizer"]


def of_scores(folder, tmp_path):
    """The key of a journal of scores, with the fingerprint that scores carry."""
    from trl_weighted_dpo.scoring.scoring import Scorer

    scoring.score_into(tmp_path / "journal", tiny_pool(1), Scorer(*loaded(folder)))
    return next(read_jsonl(tmp_path / "journal"))["key"]


def of_samples(folder, tmp_path):
    """The key of a journal of samples."""
    from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

    return sampling._key(TransformersSampler(*loaded(folder)), SamplingConfig())


WHOLE = (of_pipeline, of_evaluation, of_tokenizer_option, of_scores, of_samples)
"""What takes a model with its tokenizer; Axolotl's prepared pairs depend on the tokenizer alone."""
HAS_AXOLOTL = find_spec("axolotl") is not None
ALL = (*WHOLE, of_prepared_path) if HAS_AXOLOTL else WHOLE


def with_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def with_token(folder):
    tokenizer = loaded(folder)[1]
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)


def with_template(folder):
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}")


def elsewhere(folder):
    path = folder / "config.json"
    settings = {"transformers_version": "0.0", "_name_or_path": "/old/place", **json.loads(path.read_text())}
    path.write_text(json.dumps({**settings, "transformers_version": "0.0"}, indent=1))
    (folder / "training_args.bin").write_bytes(b"x")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda folder: None, ()),
        (elsewhere, ()),
        (with_weights, WHOLE),
        (with_token, ALL),
        (with_template, ALL),
    ],
    ids=["copy", "saved elsewhere", "weights", "tokenizer", "chat template"],
)
def test_all_agree_on_whether_a_model_is_the_same(tmp_path, change, changed):
    save_tiny_model(tmp_path / "model")
    shutil.copytree(tmp_path / "model", tmp_path / "other")
    change(tmp_path / "other")
    say = set()
    for of in ALL:
        found = []
        for name in ("model", "other"):
            place = tmp_path / f"{of.__name__}-{name}"
            place.mkdir()
            found.append(of(tmp_path / name, place))
        if found[0] != found[1]:
            say.add(of)
    assert say == set(changed)


def test_an_adapter_is_told_by_settings_and_weights(tmp_path):
    from trl_weighted_dpo.sampling import vllm_sampler

    for name, base, weights in (("a", "x", b"1"), ("b", "y", b"1"), ("c", "x", b"2")):
        (tmp_path / name).mkdir()
        settings = {"r": 4, "base_model_name_or_path": base}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(settings))
        (tmp_path / name / "adapter_model.safetensors").write_bytes(weights)
    of = [vllm_sampler._adapter_identity(tmp_path / name) for name in "abc"]
    assert of == [CONTENTS.adapter(tmp_path / name) for name in "abc"]
    assert of[0] == of[1] != of[2]
    assert CONTENTS.identity(tmp_path / "a") == CONTENTS.identity(tmp_path / "b") != CONTENTS.identity(tmp_path / "c")
    (tmp_path / "a" / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match="this is no folder of a LoRA adapter, which has adapter_config"):
        vllm_sampler._adapter_identity(tmp_path / "a")


def test_an_adapter_that_is_a_model_counts_with_its_base(tmp_path):
    Named.made.clear()
    (tmp_path / "adapter").mkdir()
    problems = [{"id": "p", "problem": "1?", "reference_answer": "1"}]
    for base in ("x", "x", "y"):
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        model = SampledModel("m", str(tmp_path / "adapter"))
        sample_model(tmp_path, model, problems, {"greedy": SamplingConfig(1)}, Named)
    assert len(Named.made) == 2


# Versions and settings in keys.


def key_of_profiles(tmp_path, verifier=None):
    verify_into(tmp_path / "profiles", [{"problem": "1+1?", "solution": "A: 2"}], verifier)
    return next(read_jsonl(tmp_path / "profiles"))["key"]


def key_of_mining(tmp_path, verifier=None, config=None):
    mining.mine_into(tmp_path / "mining", tmp_path / "pairs", tiny_pool(1), verifier, config)
    return next(read_jsonl(tmp_path / "mining"))["key"]


def test_keys_hold_identities_settings_and_result_versions_and_nothing_else(tmp_path):
    own = MathVerifier().identity
    assert json.loads(key_of_profiles(tmp_path)) == {"verifier": own}
    config = PairingConfig()
    settings = {name: getattr(config.assessment, name) for name in vars(config.assessment)}
    assert json.loads(key_of_mining(tmp_path)) == {"mining": "1", "verifier": own, "settings": settings}
    assert json.loads(mining.mining_key(config)) == {"mining": "1", "verifier": own, "settings": config.to_dict()}
    assert json.loads(sampling._key(Named("m", {}), SamplingConfig(seed=3))) == {
        "sampling": "1", "sampler": "named", "distribution": json.loads(canonical(SamplingConfig(seed=3).distribution)),
    }  # fmt: skip


@pytest.mark.parametrize("key", [key_of_profiles, key_of_mining])
def test_another_calibration_or_version_starts_a_journal_over(tmp_path, key, monkeypatch):
    before = key(tmp_path)
    assert key(tmp_path, MathVerifier(max_workers=2)) == before
    other = key(tmp_path, MathVerifier(calibration=other_calibration()))
    monkeypatch.setattr(verifying, "VERIFIER_VERSION", "another")
    assert len({before, other, key(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("module", "name", "key"),
    [
        (mining, "MINING_VERSION", key_of_mining),
        (mining, "MINING_VERSION", lambda _: mining.mining_key(PairingConfig())),
        (sampling, "SAMPLING_VERSION", lambda _: sampling._key(Named("m", {}), SamplingConfig())),
        # Axolotl's cache, where there is Axolotl.
        *([(verifying, "VERIFIER_VERSION", lambda place: of_prepared_path(place, place))] if HAS_AXOLOTL else []),
    ],
)
def test_a_result_version_is_in_the_key(tmp_path, monkeypatch, module, name, key):
    before = key(tmp_path)
    monkeypatch.setattr(module, name, "another")
    assert key(tmp_path) != before
