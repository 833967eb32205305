"""Flags and YAML keys of `weighted-dpo train`."""

import re

import pytest
import yaml

from tests.conftest import REPOSITORY
from trl_weighted_dpo.training.arguments import PairArguments, TrainParser, check

CPU = ["--use_cpu", "--bf16", "False"]
GIVEN = [*CPU, "--model_name_or_path", "model", "--dataset_name", "org/pairs"]


def parse(*arguments):
    return TrainParser().parse([*CPU, *map(str, arguments)])


def checked(*arguments):
    parsed = TrainParser().parse([*GIVEN, *map(str, arguments)])
    check(*parsed[:4])
    return parsed


def test_flags_of_all_groups_arrive(tmp_path):
    pairs, args, model, mixture, *left = parse(
        "--weight_lambda", 0.7, "--ref_logps", "model", "--beta", 0.2, "--loss_type", "sigmoid", "sft",
        "--loss_weights", 1, 0.5, "--learning-rate", 1e-4, "--use_peft", "--lora_r", 8, "--load_in_4bit",
        "--dataset_train_split", "prefs", "--test_split_size", 0.1, "--system_prompt", "Be brief.",
        "--chat_template_kwargs", '{"enable_thinking": false}',
        "--model_init_kwargs", '{"use_cache": false}', "--output_dir", tmp_path,
    )  # fmt: skip
    assert (args.weight_lambda, args.ref_logps, args.beta) == (0.7, "model", 0.2)
    assert (args.loss_type, args.loss_weights, args.learning_rate) == (["sigmoid", "sft"], [1.0, 0.5], 1e-4)
    assert (model.use_peft, model.lora_r, model.load_in_4bit) == (True, 8, True)
    assert (pairs.dataset_train_split, pairs.system_prompt, mixture.test_split_size) == ("prefs", "Be brief.", 0.1)
    assert pairs.chat_template_kwargs == {"enable_thinking": False}
    assert args.model_init_kwargs == {"use_cache": False}
    assert left == [[], []]


def test_a_yaml_holds_the_same_and_flags_win(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({
        "weight_lambda": 0.7, "beta": 0.2, "datasets": [{"path": "org/pairs", "columns": ["chosen"]}],
        "eval_datasets": {"gsm8k": "eval.jsonl"}, "learning_rate": "1e-4", "num_processes": 2,
    }))  # fmt: skip
    pairs, args, _, mixture, from_yaml, from_line = parse("--config", path, "--beta", 0.3, "--main_process_port", 5)
    assert (args.weight_lambda, args.beta, args.learning_rate) == (0.7, 0.3, 1e-4)
    assert (mixture.datasets[0].path, mixture.datasets[0].columns) == ("org/pairs", ["chosen"])
    assert pairs.evaluation_paths == {"gsm8k": "eval.jsonl"}
    assert from_yaml == ["--num_processes", "2"]
    assert from_line == ["--main_process_port", "5"]


def test_the_recipe_is_understood_whole(tmp_path):
    text = (REPOSITORY / "recipes" / "train.yaml").read_text()
    # With the keys that are commented out.
    recipe = tmp_path / "train.yaml"
    recipe.write_text(re.sub(r"^# (?=[a-z_0-9]+: )", "", text, flags=re.MULTILINE))
    settings = yaml.safe_load(recipe.read_text())
    assert len(settings) - len(yaml.safe_load(text)) == 10
    pairs, args, model, _, from_yaml, _ = parse("--config", recipe)
    assert from_yaml == ["--num_processes", "8", "--accelerate_config", "zero2"]
    found = {**vars(model), **vars(args), **vars(pairs)}
    # The CPU that this is parsed for sets the precision.
    ours = settings.keys() - {"bf16", "num_processes", "accelerate_config"}
    assert {name: found[name] for name in ours} == {name: settings[name] for name in ours}
    assert pairs.evaluation_paths == {"gsm8k": "eval_gsm8k.jsonl", "hard": "eval_hard.jsonl"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["gsm8k=eval1.jsonl", "hard=org/eval"], {"gsm8k": "eval1.jsonl", "hard": "org/eval"}),
        (["eval.jsonl"], {"": "eval.jsonl"}),
        (["folder/seed=1/eval.jsonl"], {"": "folder/seed=1/eval.jsonl"}),
        (["hard=folder/seed=1"], {"hard": "folder/seed=1"}),
        ({"hard": "eval.jsonl"}, {"hard": "eval.jsonl"}),
        ("eval.jsonl", {"": "eval.jsonl"}),
        (None, {}),
    ],
)
def test_evaluation_sets_are_named(given, expected):
    assert PairArguments(eval_datasets=given).evaluation_paths == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a.jsonl", "b=b.jsonl"], r"'a.jsonl' has no name.*Give NAME=a.jsonl"),
        (["a=1.jsonl", "a=2.jsonl"], "given twice: a, a"),
        (["a="], "'a' names no dataset"),
        ({"a": ["x"]}, "'a' names no dataset but"),
        ({"a b": "x"}, "'a b' is no name"),
    ],
)
def test_bad_evaluation_sets_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PairArguments(eval_datasets=given)


def test_every_flag_is_in_one_group_of_the_help():
    text = TrainParser().format_help()
    titles = [
        "Weights and reference", "Pairs", "DPO (trl's DPOConfig)", "Model, adapter, quantization (trl's ModelConfig)",
        "Training (transformers' TrainingArguments)",
    ]  # fmt: skip
    places = [text.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    flags = ("--weight_lambda", "--eval_datasets", "--beta", "--lora_r", "--learning_rate")
    for flag, start, end in zip(flags, places, [*places[1:], len(text)], strict=True):
        assert f"\n  {flag} " in text[start:end], flag
        assert text.count(f"\n  {flag} ") == 1
    head = text[: places[0]]
    assert [line for line in head.splitlines() if line.startswith("  --")] == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_rate", "abc"], "invalid float value: 'abc'.*weighted-dpo train --help"),
        (["--weight_lambda", "2"], "lambda"),
        (["--render_pairs", "perhaps"], "invalid choice: 'perhaps'"),
        (["--chat_template_kwargs", "a=1"], "chat_template_kwargs is 'a=1'. Give a mapping or its JSON"),
        (["--config"], "--config needs the path"),
        (["--config", "nothing.yaml"], "nothing.yaml: there is no such file"),
        (["--eval_datasets", "x.jsonl"], "eval_strategy is 'no'"),
        (["--eval_datasets", "org/x", "--test_split_size", "0.1"], "Leave out one"),
        (["--dataset_name", "no.jsonl"], "no.jsonl: there is no such file or folder"),
        (["--eval_strategy", "epoch", "--eval_datasets", "a=./no"], "./no: there is no such file or folder"),
        (["--resume_from_checkpoint", "no/checkpoint-1"], "there is no folder no/checkpoint-1"),
        (["--resume_from_checkpoint", "true", "--output_dir", "no"], "no checkpoint in no"),
    ],
)
def test_bad_flags_are_refused_in_a_sentence(flags, message):
    with pytest.raises(ValueError, match=message):
        checked(*flags)


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text", "", "a: [1\n"])
def test_a_yaml_that_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"recipe.yaml: (give a YAML mapping|this is no YAML)"):
        parse("--config", path)


def test_a_model_and_pairs_have_to_be_given(tmp_path):
    with pytest.raises(ValueError, match="No model is given"):
        check(*parse("--dataset_name", "org/pairs")[:4])
    with pytest.raises(ValueError, match="No pairs are given"):
        check(*parse("--model_name_or_path", "model")[:4])
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"this is an adapter\. Merge it"):
        check(*parse("--model_name_or_path", tmp_path, "--dataset_name", "org/pairs")[:4])
    (tmp_path / "pairs.txt").write_text("a")
    with pytest.raises(ValueError, match=r"pairs are read from \*.jsonl, \*.json, \*.parquet, \*.csv, \*.tsv, each"):
        checked("--dataset_name", tmp_path / "pairs.txt")


def test_the_last_checkpoint_is_found(tmp_path):
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    _, args, *_ = checked("--output_dir", tmp_path, "--resume_from_checkpoint", "True")
    assert args.resume_from_checkpoint == str(tmp_path / "checkpoint-10")
    path = tmp_path / "recipe.yaml"
    path.write_text("resume_from_checkpoint: false\n")
    _, args, *_ = checked("--config", path)
    assert args.resume_from_checkpoint is None
