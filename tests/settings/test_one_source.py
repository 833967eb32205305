"""Wherever a setting appears (command lines, the Axolotl block, fields of TRL's config, recipes), it is the one that
its dataclass declares: same default, same meaning, same bounds."""

import dataclasses
import inspect
import re
from typing import Any, get_type_hints

import pytest
import typer
from annotated_types import Ge, Gt, Le, Lt
from transformers import HfArgumentParser

from trl_weighted_dpo import settings as package
from trl_weighted_dpo.axolotl.args import MINING_FIELDS, WeightedDPOBlockConfig
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.cli.options import settings_of_command
from trl_weighted_dpo.pipeline.options import COMMANDS
from trl_weighted_dpo.settings import AXOLOTL_BLOCK, PairsConfig, TrainingConfig, WeightingConfig, settings_of
from trl_weighted_dpo.settings.mining import BUILT_IN_HARDNESS
from trl_weighted_dpo.settings.training import training_fields
from trl_weighted_dpo.settings.weighting import FORMULAS, SCHEMES
from trl_weighted_dpo.training.arguments import PairArguments
from trl_weighted_dpo.training.config import WeightedDPOConfig, WeightedTrainingConfig

CONFIGS = [getattr(package, name) for name in package.__all__ if name.endswith("Config")]
GROUP = typer.main.get_command(app)
OWN = {
    # Options that a command has of its own in place of a setting's, and why.
    ("sample", "completions"): "one with temperature 0",
    ("sample", "few_shot"): "a file",
    ("score", "adapter"): "not in the settings of scoring",
    ("score", "tokenizer"): "not in the settings of scoring",
    ("weigh", "scheme"): "several are compared",
    ("verify", "workers"): "only with an output",
    ("evaluate", "completions"): "of an evaluation",
    ("evaluate", "seed"): "of an evaluation",
    ("evaluate", "adapter"): "one for each model",
    ("evaluate", "few_shot"): "a file",
}


def options(command):
    return {parameter.name: parameter for parameter in GROUP.commands[command].params}


def flat(kind):
    """Kinds without their own default: a list of the command line."""
    return kind.is_list or kind.is_nested


def command_settings():
    for name, command in GROUP.commands.items():
        for config in settings_of_command(command.callback):
            for setting in settings_of(config):
                yield name, setting


def test_every_dataclass_of_settings_is_made_and_checked():
    assert len(CONFIGS) >= 20
    for config in CONFIGS:
        made = config()
        for setting in settings_of(config):
            assert getattr(made, setting.name) == setting.default
            assert setting.accepts(setting.default), setting.complaint(setting.default)
            assert setting.help.endswith(".")
            # A value that nothing accepts: the check is made, whatever the bounds.
            with pytest.raises(ValueError, match=re.escape(setting.key) + " is <object"):
                dataclasses.replace(made, **{setting.name: object()})


def test_options_of_commands_are_the_settings():
    compared = set()
    for command, setting in command_settings():
        if (command, setting.name) in OWN:
            continue
        parameter = options(command).get(setting.name)
        if parameter is None:
            # No text: nested settings of several kinds, mappings, files.
            assert (command, setting.name) in {("audit", "weighting"), ("audit", "tolerated")}
            continue
        compared.add((command, setting.name))
        assert parameter.opts == [setting.flag]
        assert parameter.help.startswith(setting.help)
        default = None if flat(setting) else setting.default
        assert parameter.default == default or (setting.none_as is not None and parameter.default == setting.none_as)
        if setting.choices:
            assert tuple(parameter.type.choices) == setting.choices
        if setting.none_as is None:
            for kind, end in ((Ge, "min"), (Le, "max")):
                for bound in setting.bounds:
                    if isinstance(bound, kind):
                        assert getattr(parameter.type, end) == getattr(bound, kind.__name__.lower())
    assert len(compared) >= 80
    assert {command for command, _ in compared} == {
        "problems", "sample", "verify", "score", "mine", "audit", "weigh", "evaluate", "plan", "calibrate",
    }  # fmt: skip


def test_options_in_place_of_a_setting_s_are_there_for_a_reason():
    for command, name in OWN:
        assert name in options(command), (command, name)
    evaluate = options("evaluate")
    for name in ("completions", "seed"):
        setting = package.setting_of(package.ModelsConfig, name)
        assert (evaluate[name].default, evaluate[name].help) == (setting.default, setting.help)


def test_the_axolotl_block_is_the_settings():
    fields = WeightedDPOBlockConfig.model_fields
    declared = [setting for config in AXOLOTL_BLOCK for setting in settings_of(config)]
    assert [setting.name for setting in declared] == list(fields)
    block = WeightedDPOBlockConfig()
    for setting in declared:
        field = fields[setting.name]
        assert (field.alias or setting.name) == setting.key
        assert field.description == setting.help
        if setting.is_nested:
            assert getattr(block, setting.name).model_dump() == dataclasses.asdict(setting.default)
            assert set(type(getattr(block, setting.name)).model_fields) == {
                own.name for own in settings_of(setting.kind)
            }
            continue
        assert getattr(block, setting.name) == setting.default
        assert field.annotation == setting.hint
        assert [mark for mark in field.metadata if isinstance(mark, Ge | Gt | Le | Lt)] == list(setting.bounds)


def test_every_setting_of_the_block_either_mines_or_is_a_field_of_the_training_config():
    of_training = {setting.name for setting in training_fields().values()}
    assert of_training | set(MINING_FIELDS) == set(WeightedDPOBlockConfig.model_fields)
    assert not of_training & set(MINING_FIELDS)


@pytest.mark.parametrize(
    ("config", "declared"),
    [
        (WeightedTrainingConfig, training_fields()),
        (PairArguments, {setting.name: setting for setting in settings_of(PairsConfig)}),
    ],
)
def test_fields_of_the_training_config_are_the_settings(config, declared):
    own = {name: field for name, field in config.__dataclass_fields__.items() if name in config.__annotations__}
    assert list(own) == list(declared)
    hints = get_type_hints(config)
    for name, setting in declared.items():
        assert own[name].default == setting.default
        assert own[name].metadata["help"].replace("%%", "%") == setting.help
        # argparse knows no union of a word and true or false, and no sequence that is no list.
        others = {
            "share_prompt": str,
            "eval_datasets": list[str] | None,
            "column": list[str] | None,
            "chat_template_kwargs": dict[str, Any] | str | None,
        }
        assert hints[name] == others.get(name, setting.hint)


def test_fields_of_the_training_config_are_seen_by_tools_and_on_a_command_line():
    parameters = inspect.signature(WeightedDPOConfig).parameters
    assert parameters["weight_lambda"].default == WeightingConfig.lambda_
    assert {"weight_severity", "ref_logps", "beta", "learning_rate"} <= parameters.keys()
    (parsed,) = HfArgumentParser(WeightedTrainingConfig).parse_args_into_dataclasses([])
    assert parsed == WeightedTrainingConfig()
    flags = ["--weight_severity", "2", "--ref_logps", "model", "--share_prompt", "false", "--health_check", "false"]
    (parsed,) = HfArgumentParser(WeightedTrainingConfig).parse_args_into_dataclasses(flags)
    assert (parsed.weight_severity, parsed.ref_logps, parsed.health_check) == (2.0, "model", False)


def test_keys_of_a_recipe_are_the_settings_and_options_of_their_commands():
    compared = 0
    for command in COMMANDS.values():
        offered = options(command.name)
        for setting in command.settings:
            names = [name for parameter in offered.values() for name in parameter.opts]
            assert setting.flag in names, (command.name, setting.key)
            assert dataclasses.replace(setting, is_list=False) in {
                dataclasses.replace(own, is_list=False) for own in settings_of(setting.owner)
            }
            compared += 1
        resolved, files = command.resolved({})
        assert files == {}
        assert set(resolved) == {setting.key for setting in command.settings if not setting.is_speed_only}
    assert compared >= 80


def test_an_option_of_a_command_is_no_key_of_a_recipe_by_itself():
    """Every option of a stage's command is a key, filled in by the pipeline, or one of the two by a rule."""
    for block, command in COMMANDS.items():
        keys = {setting.key for setting in command.keys}
        for parameter in options(command.name).values():
            if parameter.param_type_name != "option" or parameter.name == "help":
                continue
            key = next(name for name in parameter.opts if name.startswith("--"))[2:].replace("-", "_")
            is_known = key in keys or command.is_filled_in(key)
            assert is_known or (block, key) in {
                ("sft-data", "preset"), ("sft-data", "column"), ("sft-data", "split"), ("sft-data", "limit"),
            }, (block, key)  # fmt: skip


def test_names_of_schemes_and_formulas_are_those_that_there_are():
    from trl_weighted_dpo.mining.hardness import HARDNESSES
    from trl_weighted_dpo.weighting import RAW_WEIGHTS

    assert tuple(RAW_WEIGHTS) == FORMULAS
    assert set(FORMULAS) < set(SCHEMES)
    assert list(HARDNESSES) == [BUILT_IN_HARDNESS]


def test_a_default_config_imports_no_plugin(monkeypatch):
    from trl_weighted_dpo import plugins

    monkeypatch.setattr(plugins, "_registry", None)
    for config in CONFIGS:
        config()
    with pytest.raises(AttributeError):
        WeightingConfig(scheme="of_a_plugin")


def test_settings_of_training_are_declared_once():
    names = [setting.name for config in (WeightingConfig, TrainingConfig) for setting in settings_of(config)]
    assert len(set(names)) == len(names) == 16
