"""`weighted-dpo train` as a person runs it: help, refusals, and what goes to accelerate."""

import importlib

import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_pairs
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.training.launch import launch_settings

# The package has the command under that name, which is a function.
command = importlib.import_module("trl_weighted_dpo.cli.train")

CPU = ("--use_cpu", "--bf16", "False")


@pytest.fixture
def given(tmp_path, tiny_model_dir):
    """Flags of a run that could start."""
    write_rows(tmp_path / "pairs.jsonl", tiny_pairs(8))
    pairs, model = str(tmp_path / "pairs.jsonl"), str(tiny_model_dir)
    return [*CPU, "--model_name_or_path", model, "--dataset_name", pairs, "--output_dir", str(tmp_path / "out")]


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_help_is_that_of_the_parser():
    for flag in ("--help", "-h"):
        done = run(flag)
        assert done.exit_code == 0
        assert "Weights and reference:" in done.output
        assert "--weight_lambda" in done.output
        assert "--lora_r" in done.output
    overview = CliRunner().invoke(app, ["--help"])
    assert "Train with weighted DPO" in overview.output


def test_flags_of_accelerate_go_to_it_and_the_others_to_the_process(given, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("num_machines: 1\nmulti_gpu: true\nweight_lambda: 0.5\n")
    own = [*given, "--config", str(recipe), "--per_device_train_batch_size", "2", "--seed", "-1", "--warmup_steps=2"]
    launch = ("--num_processes", "2"), ("--main_process_port", "2", "--accelerate_config", "zero2")
    settings = launch_settings([*own[:3], *launch[0], *own[3:], *launch[1]])
    assert (settings.num_processes, settings.main_process_port, settings.num_machines) == (2, 2, 1)
    assert settings.multi_gpu
    assert settings.config_file.endswith("accelerate_configs/zero2.yaml")
    assert settings.module
    assert settings.training_script == "trl_weighted_dpo.training.run"
    assert settings.training_script_args == own


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_ratee", "1"], "Unknown flag or key of the YAML: --learning_ratee. Did you mean --learning_rate?"),
        (["--num_procesess", "2"], "Unknown flag or key of the YAML: --num_procesess. Did you mean --num_processes?"),
        (["--zzz=5"], "Unknown flag or key of the YAML: --zzz. See weighted-dpo train --help."),
        (["pairs.jsonl"], "'pairs.jsonl' belongs to no flag."),
        (["--num_processes", "two"], "accelerate launch: argument --num_processes/--num-processes: invalid int"),
        (["--accelerate_config", "no-such"], "Accelerate config no-such is neither a file nor"),
        (["--beta", "high"], "argument --beta: invalid float value: 'high'"),
        (["--dataset_name", "none.parquet"], "none.parquet: there is no such file or folder"),
        (["--config", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_what_is_wrong_is_one_line(given, flags, message):
    done = run(*given, *flags)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {message}")
    assert done.stderr.count("\n") == 1


def test_an_unknown_key_of_the_yaml_is_named(given, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("weight_lamda: 0.5\n")
    done = run(*given, "--config", recipe)
    assert done.exit_code == 1
    assert "Unknown flag or key of the YAML: --weight_lamda. Did you mean --weight_lambda?" in done.stderr
