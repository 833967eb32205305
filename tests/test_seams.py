"""The seams to TRL, transformers, accelerate, datasets and PEFT: what they rely on exists, and nothing else uses it.

A new release that renames something fails here with a list of all that is missing or has changed.
"""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trl
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

import trl_weighted_dpo
from tests.conftest import REPOSITORY
from tests.tiny import perturbed, tiny_model, tiny_pairs, tiny_tokenizer
from trl_weighted_dpo.core import seam

SOURCES = Path(trl_weighted_dpo.__file__).parent
SEAMS = ("core/seam.py", "training/trl_seam.py")

SIGNATURES = {
    # Methods that are overridden or called: the parameters that are passed by name or place.
    "trl.DPOTrainer.__init__": (
        "model, ref_model, args, data_collator, train_dataset, eval_dataset, processing_class, compute_metrics, "
        "callbacks, optimizers, quantization_config, peft_config"
    ),
    "trl.DPOTrainer._prepare_dataset": "dataset, processing_class, args, dataset_name",
    "trl.DPOTrainer._precompute_ref_logps": "dataset, name, batch_size",
    "trl.DPOTrainer._set_signature_columns_if_needed": "",
    "trl.DPOTrainer._compute_loss": "model, inputs, return_outputs",
    "trl.DPOTrainer._load_from_checkpoint": "resume_from_checkpoint, model",
    "trl.DPOTrainer._save": "output_dir, state_dict",
    "trl.DPOTrainer.compute_ref_log_probs": "model, inputs",
    "trl.DPOTrainer.evaluate": "eval_dataset, ignore_keys, metric_key_prefix",
    "trl.DPOTrainer.log": "logs, start_time",
    "trl.DPOTrainer.train": "resume_from_checkpoint, trial, ignore_keys_for_eval",
    "trl.DPOTrainer.create_model_card": "model_name, dataset_name",
    "trl.trainer.dpo_trainer.DataCollatorForPreference.torch_call": "examples",
    # Functions.
    "trl.models.utils.disable_gradient_checkpointing": "model, gradient_checkpointing_kwargs",
    "trl.models.utils.prepare_deepspeed": "model, accelerator",
    "trl.trainer.utils.use_adapter": "model, adapter_name",
    "trl.cli.accelerate_config.resolve_accelerate_config_argument": "launch_args",
    "transformers.trainer_utils.get_last_checkpoint": "folder",
    "transformers.integrations.sdpa_attention.repeat_kv": "hidden_states, n_rep",
    "accelerate.commands.launch.launch_command_parser": "",
    "accelerate.commands.launch.launch_command": "args",
    "accelerate.utils.environment.parse_flag_from_env": "key",
    "datasets.fingerprint.Hasher.hash": "value",
    "peft.utils.integrations.gather_params_ctx": "param",
    "peft.tuners.tuners_utils.BaseTunerLayer.active_adapters": None,
}
"""What the seams import or override, and the parameters in order, `self` apart; `None` for what is not called."""

TRAINER_ATTRIBUTES = {
    "_metrics": dict,
    "_total_train_tokens": int,
    "_precompute_engine": type(None),
    "_signature_columns": (type(None), list),
    "_tag_names": list,
    "_name": str,
    "_paper": dict,
    "precompute_ref_logps": bool,
    "aux_loss_enabled": bool,
    "router_aux_loss_coef": float,
    "is_deepspeed_enabled": bool,
    "is_fsdp_enabled": bool,
    "ref_model": object,
    "processing_class": object,
}

HOOKED = (
    "_prepare_dataset",
    "_precompute_ref_logps",
    "compute_ref_log_probs",
    "_set_signature_columns_if_needed",
    "_compute_loss",
    "_save",
    "_load_from_checkpoint",
    "log",
)
"""Methods that do nothing for us unless TRL or transformers calls them."""


def found_at(path):
    """What a dotted path leads to."""
    *parents, _ = path.split(".")
    for length in range(len(parents), 0, -1):
        try:
            place = importlib.import_module(".".join(parents[:length]))
        except ModuleNotFoundError:
            continue
        for name in path.split(".")[length:]:
            place = getattr(place, name)
        return place
    raise ModuleNotFoundError(path)


def changes_of_signatures(signatures):
    for path, expected in signatures.items():
        try:
            place = found_at(path)
        except (ImportError, AttributeError) as error:
            yield f"{path}: missing ({error})"
            continue
        if expected is None:
            continue
        parameters = [one for one in inspect.signature(place).parameters.values() if one.name != "self"]
        names, wanted = [one.name for one in parameters], expected.split(", ") if expected else []
        # More may follow, if they have defaults.
        needed = [one for one in parameters[len(wanted) :] if one.default is inspect.Parameter.empty]
        if names[: len(wanted)] != wanted or needed:
            yield f"{path}: takes ({', '.join(names)}), not ({expected})"


def trainer_of(folder, cls=DPOTrainer, **settings):
    """TRL's own trainer, tiny and real."""
    arguments = DPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=1,
        per_device_train_batch_size=2, logging_steps=1, save_steps=1, **settings,
    )  # fmt: skip
    model = tiny_model()
    return cls(
        model=perturbed(model), ref_model=model, args=arguments, train_dataset=Dataset.from_list(tiny_pairs(2)),
        processing_class=tiny_tokenizer(),
    )  # fmt: skip


def changes_of_attributes(trainer):
    for name, kind in TRAINER_ATTRIBUTES.items():
        if not hasattr(trainer, name):
            yield f"DPOTrainer.{name}: missing"
        elif not isinstance(getattr(trainer, name), kind):
            yield f"DPOTrainer.{name}: {getattr(trainer, name)!r}, not of {kind}"
    modes = set(trainer._metrics) if isinstance(getattr(trainer, "_metrics", None), dict) else set()
    if modes != {"train", "eval"}:
        yield f"DPOTrainer._metrics: has {modes}"
    elif trainer._metrics["train"]["any"] != []:
        yield "DPOTrainer._metrics: a new metric is not an empty list"
    if not dataclasses.is_dataclass(trainer.data_collator):
        yield "DataCollatorForPreference: no dataclass"
    for name in ("pad_token_id", "max_length", "truncation_mode", "pad_to_multiple_of"):
        if not hasattr(trainer.data_collator, name):
            yield f"DataCollatorForPreference.{name}: missing"
    for name in ("_attn_implementation", "_name_or_path"):
        if not hasattr(trainer.model.config, name):
            yield f"PreTrainedConfig.{name}: missing"
    if not hasattr(trainer.model, "_is_stateful"):
        yield "PreTrainedModel._is_stateful: missing"
    if not hasattr(type(trainer.model), "_hf_peft_config_loaded"):
        yield "PreTrainedModel._hf_peft_config_loaded: missing"
    for name in ("_fingerprint", "_get_cache_file_path"):
        if not hasattr(trainer.train_dataset, name):
            yield f"datasets.Dataset.{name}: missing"


def test_every_name_is_there_as_it_is_used(tmp_path):
    changes = [*changes_of_signatures(SIGNATURES), *changes_of_attributes(trainer_of(tmp_path))]
    assert not changes, f"trl {trl.__version__} and its neighbours have changed:\n" + "\n".join(changes)


def test_changes_are_listed_together():
    changes = list(
        changes_of_signatures(
            {
                "trl.DPOTrainer._compute_loss": "model, batch",
                "trl.DPOTrainer._no_such_method": "",
                "trl.no_such_module.function": "",
                "trl.DPOTrainer._save": "output_dir",
                "trl.DPOTrainer._prepare_dataset": "dataset, processing_class, args",
            }
        )
    )
    assert changes[0] == "trl.DPOTrainer._compute_loss: takes (model, inputs, return_outputs), not (model, batch)"
    assert [re.split(r":| \(", change)[0] for change in changes[1:]] == [
        "trl.DPOTrainer._no_such_method",
        "trl.no_such_module.function",
        "trl.DPOTrainer._prepare_dataset",
    ]


def counting(called):
    """A `DPOTrainer` that notes which methods are called, from inside its `__init__` on."""

    def noted(name):
        def method(self, *given, **named):
            called.add(name)
            return getattr(super(cls, self), name)(*given, **named)

        return method

    cls = type("Counting", (DPOTrainer,), {name: noted(name) for name in HOOKED})
    return cls


def test_every_hook_is_called(tmp_path):
    called = set()
    trainer_of(tmp_path, counting(called), precompute_ref_log_probs=True).train()
    again = trainer_of(tmp_path, counting(called))
    again.args.max_steps = 2
    again.train(resume_from_checkpoint=True)
    assert called == set(HOOKED)


# Nothing else uses such names

LIBRARIES = ("trl", "transformers", "accelerate", "datasets", "peft")
PUBLIC_MODULES = (*LIBRARIES, "accelerate.logging", "accelerate.utils", "datasets.exceptions", "peft.utils")
"""Modules that their documentation tells users to import from."""

OTHERS = {
    # argparse
    "_group_actions", "_optionals", "_option_string_actions",
    # torch
    "_buffers", "_cdata", "_compiled_call_impl", "_ddp_params_and_buffers_to_ignore", "_orig_mod", "_parameters",
    "_scaled_dot_product_flash_attention_for_cpu",
}  # fmt: skip
"""Private names of other libraries."""

UNSTABLE = {"aux_loss_enabled", "precompute_ref_logps", "router_aux_loss_coef"}
"""Attributes of TRL's trainer that no documentation names."""


def sources():
    return [path for path in sorted(SOURCES.rglob("*.py")) if path.relative_to(SOURCES).as_posix() not in SEAMS]


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def own_names(trees):
    """Private names that the package itself defines."""
    names = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                names.add(node.attr)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names.update(alias.asname or alias.name for alias in node.names)
    return names


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def imported_modules(node):
    """The modules that an import loads; a name may be a module itself."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in LIBRARIES:
        yield node.module
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            if node.module in LIBRARIES and importlib.util.find_spec(full) is not None:
                yield full


def used_names(node):
    if isinstance(node, ast.Attribute):
        yield node.attr
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr", "setattr")
    ):
        yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def breaches(tree, own) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for module in imported_modules(node):
            if module.split(".")[0] in LIBRARIES and module not in PUBLIC_MODULES:
                yield node.lineno, f"imports from {module}"
        for name in used_names(node):
            if name in UNSTABLE or (is_private(name) and name not in own and name not in OTHERS):
                yield node.lineno, f"uses {name}"


def test_nothing_else_uses_private_names():
    trees = {path: parsed(path) for path in sources()}
    own = own_names(trees.values())
    found = [
        f"{path.relative_to(SOURCES)}:{line}: {what}"
        for path, tree in trees.items()
        for line, what in breaches(tree, own)
    ]
    assert not found, "Move these into core/seam.py or training/trl_seam.py:\n" + "\n".join(found)
    # Not vacuous: the seams themselves are full of such names.
    in_seams = [what for path in SEAMS for _, what in breaches(parsed(SOURCES / path), own)]
    assert len(set(in_seams)) >= 20


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ("from trl.models.utils import prepare_deepspeed", "imports from trl.models.utils"),
        ("from trl import data_utils", "imports from trl.data_utils"),
        ("import accelerate.commands.launch", "imports from accelerate.commands.launch"),
        ("dataset._fingerprint = 'x'", "uses _fingerprint"),
        ("self._metrics['train']", "uses _metrics"),
        ("getattr(config, '_name_or_path', None)", "uses _name_or_path"),
        ("self.precompute_ref_logps", "uses precompute_ref_logps"),
    ],
)
def test_private_names_are_seen(source, breach):
    assert [what for _, what in breaches(ast.parse(source), {"_own"})] == [breach]


@pytest.mark.parametrize(
    "source", ["from trl import DPOConfig", "from accelerate.utils import is_peft_model", "self._own", "x.__class__"]
)
def test_public_and_own_names_pass(source):
    assert list(breaches(ast.parse(source), {"_own"})) == []


def test_no_class_overrides_a_private_name():
    found = []
    for path in sources():
        module = ".".join((trl_weighted_dpo.__name__, *path.relative_to(SOURCES).with_suffix("").parts))
        if path.parent.name == "axolotl" and importlib.util.find_spec("axolotl") is None:
            continue
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.ClassDef) and node.bases):
                continue
            defined = {one.name for one in node.body if isinstance(one, ast.FunctionDef)} | {
                target.id
                for one in node.body
                if isinstance(one, ast.Assign)
                for target in one.targets
                if isinstance(target, ast.Name)
            }
            for base in getattr(importlib.import_module(module), node.name).__mro__[1:]:
                if base.__module__.split(".")[0] in LIBRARIES:
                    found += [
                        f"{module}.{node.name}.{name}" for name in defined if is_private(name) and name in vars(base)
                    ]
    assert not found, f"Hook these into training/trl_seam.py: {sorted(set(found))}"


# Versions


def test_pip_installs_tested_versions_of_trl_only():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [line for line in project["dependencies"] if line.startswith("trl")] == [seam.trl_requirement()]
    pins = {
        name: re.search(r"^trl==(.+)$", (REPOSITORY / name).read_text(encoding="utf-8"), re.MULTILINE)[1]
        for name in ("constraints.txt", "constraints-newest-trl.txt")
    }
    assert pins == {"constraints.txt": seam.OLDEST_TRL, "constraints-newest-trl.txt": seam.NEWEST_TRL}


@pytest.mark.parametrize(
    "version", ["1.9.0", "1.9.2", "1.12.0", seam.NEWEST_TRL, "1.16.9", "1.16.0.dev0", trl.__version__]
)
def test_tested_versions_pass(version):
    assert seam.untested_trl(version) is None


@pytest.mark.parametrize("version", ["1.17.0", "1.17.0.dev0", "2.0", "1.8.3", "0.29.1"])
def test_an_untested_trl_is_one_sentence(version):
    sentence = seam.untested_trl(version)
    assert sentence == (
        f"trl {version} is installed, but trl-weighted-dpo is tested with trl 1.9.0 to 1.16.0 only: run "
        "pip install 'trl>=1.9,<1.17'."
    )


def test_importing_the_trainer_tells_of_an_untested_trl(monkeypatch):
    monkeypatch.setattr(trl, "__version__", "1.17.0")
    with pytest.warns(UserWarning, match=r"^trl 1\.17\.0 is installed, but .* run pip install 'trl>=1\.9,<1\.17'\.$"):
        runpy.run_module("trl_weighted_dpo.training.trl_seam")
    monkeypatch.delattr("trl.trainer.utils.use_adapter")
    with (
        pytest.warns(UserWarning, match="is installed, but"),
        pytest.raises(ImportError, match=r"cannot import name 'use_adapter' .*trl 1\.17\.0 is installed, but .*"),
    ):
        runpy.run_module("trl_weighted_dpo.training.trl_seam")
