"""A recipe → commands, inputs, and the YAMLs of engines."""

import json
import shlex
from pathlib import Path

import pytest

from tests.pipeline.recipes import read
from trl_weighted_dpo.axolotl.args import WeightedDPOBlockConfig
from trl_weighted_dpo.pipeline import stages
from trl_weighted_dpo.pipeline.manifest import changes, shell_line
from trl_weighted_dpo.pipeline.options import COMMANDS
from trl_weighted_dpo.pipeline.recipe import RecipeError
from trl_weighted_dpo.pipeline.stages import plan_stages
from trl_weighted_dpo.settings import PairingConfig, settings_of
from trl_weighted_dpo.settings.training import training_fields
from trl_weighted_dpo.weighting import FORMULA_VERSION

AXOLOTL = {"engine": "axolotl", "recipe": "dpo.yaml", "settings": {"bf16": False}}


def plan(folder, **changes):
    return {stage.name: stage for stage in plan_stages(read(folder, **changes))}


def lines(folder, **changes):
    """The command line of each stage that is run."""
    stages = plan(folder, **changes)
    return {
        name: shell_line(stage.command, stage.output if stage.to_stdout else None)
        for name, stage in stages.items()
        if not stage.left_out
    }


def test_every_stage_is_a_command_that_a_person_can_run(folder):
    assert lines(folder) == {
        "problems": "weighted-dpo problems train.jsonl --output out/problems.jsonl --preset gsm8k",
        "sft-data": "weighted-dpo problems out/problems.jsonl --output out/sft/data.jsonl --completions-for model",
        "sft": "axolotl train out/sft/sft.yaml",
        "round-1/sample": "weighted-dpo sample out/problems.jsonl --output out/round-1/pool.jsonl "
        "--model out/sft/model --completions 8 --temperature 0.8 --seed 0",
        "round-1/verify": "weighted-dpo verify out/round-1/pool.jsonl --output out/round-1/verified.jsonl",
        "round-1/score": "weighted-dpo score out/round-1/verified.jsonl --output out/round-1/scored.jsonl "
        "--model out/sft/model --dtype float32 --max-length 1024",
        "round-1/mine": "weighted-dpo mine out/round-1/scored.jsonl --output out/round-1/pairs.jsonl --seed 0",
        "round-1/weigh": "weighted-dpo weigh out/round-1/pairs.jsonl --json --lambda 0.5 > out/round-1/weights.json",
        "round-1/train": "weighted-dpo train --config out/round-1/train.yaml",
        "evaluate": "weighted-dpo evaluate test.jsonl --output out/evaluation --completions 4 --seed 0 "
        "--model sft=out/sft/model --model round-1=out/round-1/model",
    }


def test_options_with_blanks_lists_and_mappings_are_quoted_and_repeated(folder):
    words = lines(
        folder, system_prompt="Think twice.", sample={"stop": ["\n\n", "Problem:"], "few_shot": "train.jsonl"},
        mine={"hardness": {"steps": 0.5, "prefix": 0}, "match_lengths": True, "allow_weak_answers": False},
    )  # fmt: skip
    sample = shlex.split(words["round-1/sample"])
    assert [sample[i + 1] for i, word in enumerate(sample) if word == "--stop"] == ["\n\n", "Problem:"]
    assert sample[sample.index("--system-prompt") + 1] == "Think twice."
    assert "--match-lengths --hardness steps=0.5 --hardness prefix=0" in words["round-1/mine"]
    assert "--allow-weak-answers" not in words["round-1/mine"]


def test_variables_of_the_chat_template_go_wherever_it_renders(folder):
    variables = {"enable_thinking": False}
    words = lines(folder, chat_template_kwargs=variables)
    using = ("sft-data", "round-1/sample", "round-1/score", "evaluate")
    assert [name for name, line in words.items() if "--chat-template-kwargs" in line] == [*using]
    for name in using:
        line = shlex.split(words[name])
        assert json.loads(line[line.index("--chat-template-kwargs") + 1]) == variables
    train = plan(folder, chat_template_kwargs=json.dumps(variables))["round-1/train"]
    assert train.config["chat_template_kwargs"] == train.settings["chat_template_kwargs"] == variables
    axolotl = {"engine": "axolotl", "settings": {"weighted_dpo": {"chat_template_kwargs": variables}}}
    train = plan(folder, chat_template_kwargs=variables, train=axolotl)["round-1/train"]
    assert WeightedDPOBlockConfig(**train.config["weighted_dpo"]).chat_template_kwargs == variables


def test_what_is_trained_on_goes_to_scoring_mining_and_training(folder):
    stages = plan(folder, train_on="answer")
    for name in ("round-1/score", "round-1/mine"):
        words = stages[name].command
        assert words[words.index("--train-on") + 1] == "answer"
    assert stages["round-1/train"].config["train_on"] == "answer"
    assert [name for name, stage in stages.items() if stage.settings.get("train_on") == "answer"] == [
        "round-1/score", "round-1/mine", "round-1/train"
    ]  # fmt: skip
    assert (
        plan(folder, train=AXOLOTL, train_on="answer")["round-1/train"].config["weighted_dpo"]["train_on"] == "answer"
    )
    default = plan(folder)
    assert [default[name].settings["train_on"] for name in ("round-1/score", "round-1/mine", "round-1/train")] == [
        "all"
    ] * 3
    assert "--train-on" not in default["round-1/mine"].command


def test_files_count_by_content_and_not_by_their_folder(folder):
    stage = plan(folder, sample={"few_shot": "train.jsonl", "batch_tokens": 64}, verify={"workers": 2})
    assert stage["round-1/sample"].settings == {
        "completions": 8, "temperature": 0.8, "top_p": 1.0, "top_k": 0, "max_new_tokens": 512, "stop": [], "seed": 0,
        "few_shot": "train.jsonl", "backend": "transformers", "base_url": None, "dtype": None, "load_in_4bit": False,
        "option": [], "generator": None, "prompt_template": "{problem}\n", "system_prompt": None,
        "chat_template_kwargs": None,
    }  # fmt: skip
    assert stage["round-1/sample"].inputs["few_shot"] == "train.jsonl"
    assert stage["round-1/verify"].settings == {
        "calibration": None, "dimension": [], "column": [], "split": None, "reward_threshold": None,
    }  # fmt: skip
    (folder / "zero.json").touch()
    train = {"engine": "trl", "settings": {"bf16": False, "deepspeed": str(folder / "zero.json")}}
    stage = plan(folder, train=train)["round-1/train"]
    assert {name: stage.settings[name] for name in train["settings"]} == {"bf16": False, "deepspeed": "zero.json"}
    assert stage.inputs["deepspeed"] == str(folder / "zero.json")
    assert stage.config["deepspeed"] == str(folder / "zero.json")


def test_result_versions_are_those_of_what_the_stage_does(folder, monkeypatch):
    names = dict(stages._results())
    monkeypatch.setattr(stages, "_results", lambda: {name: name.upper() for name in names})
    found = {
        name: {**stage.result_versions}
        for name, stage in plan(folder, mine={"hardness": {"function": "product"}}, verify={"dimension": "x"}).items()
    }
    assert {name: versions for name, versions in found.items() if versions} == {
        "round-1/sample": {"sampling": "SAMPLING"},
        "round-1/verify": {"verifier": "VERIFIER"},
        "round-1/score": {"scoring": "SCORING"},
        "round-1/mine": {
            "mining": "MINING", "verifier": "VERIFIER", "function product": "trl-weighted-dpo: product",
        },
        "round-1/weigh": {"weighting": "WEIGHTING"},
        "round-1/train": {"weighting": "WEIGHTING"},
        "evaluate": {"sampling": "SAMPLING", "verifier": "VERIFIER"},
    }  # fmt: skip
    axolotl = {"engine": "axolotl", "recipe": "dpo.yaml", "settings": {"bf16": False}}
    assert plan(folder, mine=None, weigh=None, train=axolotl)["round-1/train"].result_versions == {
        "weighting": "WEIGHTING", "mining": "MINING", "verifier": "VERIFIER",
    }  # fmt: skip


def test_a_word_is_no_path_because_a_folder_has_its_name(folder):
    (folder / "train").mkdir()
    datasets = [{"path": "train", "split": "train"}]
    sft = {"engine": "axolotl", "settings": {"datasets": datasets, "lr_scheduler": "train"}}
    assert plan(folder, sft=sft)["sft"].inputs == {"model": "model", "datasets[0].path": "train"}


def test_launchers(folder):
    words = lines(
        folder,
        sample={"launch": "accelerate launch --num_processes 4"}, score={"launch": "torchrun --nproc_per_node 2"},
        sft={"engine": "axolotl", "recipe": "sft.yaml", "launch": "accelerate launch --num_processes 2"},
        train={"engine": "trl", "launch": "accelerate launch --num_processes 2"},
    )  # fmt: skip
    start = "accelerate launch --num_processes 4 -m trl_weighted_dpo.cli sample out/problems.jsonl "
    assert words["round-1/sample"].startswith(start)
    assert words["round-1/score"].startswith("torchrun --nproc_per_node 2 -m trl_weighted_dpo.cli score ")
    assert words["sft"] == "axolotl train out/sft/sft.yaml --launcher accelerate -- --num_processes 2"
    module = "accelerate launch --num_processes 2 -m trl_weighted_dpo.training.run --config"
    assert words["round-1/train"] == f"{module} out/round-1/train.yaml"
    assert lines(folder, train={**AXOLOTL, "launch": "python"})["round-1/train"].endswith(" --launcher python")
    assert lines(folder, sft={"engine": "trl"})["sft"] == (
        "accelerate launch -m trl_weighted_dpo.pipeline.sft --config out/sft/sft.yaml"
    )


def test_the_axolotl_yaml_is_the_user_s_with_model_data_and_folders_filled_in(folder):
    (folder / "dpo.yaml").write_text("base_model: x\ndatasets: [{path: y}]\nlearning_rate: 1.0e-6\n")
    stage = plan(folder, train=AXOLOTL, prompt_template="Q: {problem}\n", format="parquet", seed=5)["round-1/train"]
    assert stage.config == {
        "seed": 5,
        "learning_rate": 1e-6,
        "bf16": False,
        "base_model": "out/sft/model",
        "output_dir": "out/round-1/model",
        "dataset_prepared_path": "out/round-1/prepared",
        "auto_resume_from_checkpoints": True,
        "datasets": [
            {
                "path": "out/round-1/pairs.parquet",
                "ds_type": "parquet",
                "split": "train",
                "type": "trl_weighted_dpo.hard_negatives",
            }
        ],
        "plugins": ["trl_weighted_dpo.axolotl.WeightedDPOPlugin"],
        "rl": "weighted_dpo",
        "weighted_dpo": {"prompt_template": "Q: {problem}\n"},
    }
    # What is filled in decides nothing by its path.
    block = stage.settings.pop("weighted_dpo")
    assert (block["lambda"], block["ref_logps"], block["shuffle_seed"]) == (0.3, "auto", 42)
    # Pairs that are there depend on no setting of mining.
    assert "pairs_per_problem" not in block
    assert stage.settings == {
        "seed": 5, "learning_rate": 1e-6, "bf16": False, "prompt_template": "Q: {problem}\n", "system_prompt": None,
        "chat_template_kwargs": None, "train_on": "all",
    }  # fmt: skip
    assert stage.result_versions == {"weighting": FORMULA_VERSION}
    assert stage.inputs == {"model": "out/sft/model", "data": "out/round-1/pairs.parquet"}


def test_axolotl_mines_a_pool_where_mining_is_left_out(folder):
    stages = plan(folder, train=AXOLOTL, mine=None, weigh=None)
    assert stages["round-1/mine"].left_out == "skipped"
    train = stages["round-1/train"]
    assert train.config["datasets"][0]["path"] == "out/round-1/scored.jsonl"
    assert train.settings["weighted_dpo"]["hardness"]["steps"] == 0.3
    assert set(train.result_versions) == {"weighting", "verifier", "mining"}


def test_sft_data_of_its_own_are_left_as_they_are(folder):
    datasets = [{"path": "train.jsonl", "type": "alpaca"}]
    sft = {"engine": "axolotl", "recipe": "sft.yaml", "settings": {"datasets": datasets}}
    stages = plan(folder, sft=sft)
    assert "sft-data" not in stages
    assert stages["sft"].config["datasets"] == datasets
    assert stages["sft"].inputs == {"model": "model", "datasets[0].path": "train.jsonl"}
    filled = plan(folder)["sft"].config["datasets"]
    assert filled[0]["type"] == "trl_weighted_dpo.axolotl.completions"


@pytest.mark.parametrize(
    ("train", "options"),
    [
        (
            {"engine": "trl", "settings": {"bf16": True, "max_length": 300}},
            "--dtype float32 --max-length 300 --autocast bfloat16",
        ),
        ({"engine": "trl", "settings": {"dtype": "bfloat16", "max_length": 300}}, "--dtype bfloat16 --max-length 300"),
        (
            {"engine": "trl", "settings": {"load_in_4bit": True, "use_peft": True, "max_length": 300}},
            "--dtype bfloat16 --load-in-4bit --max-length 300",
        ),
        ({"engine": "axolotl", "settings": {"bf16": True, "sequence_len": 300}}, "--dtype bfloat16 --max-length 300"),
        (
            {"engine": "axolotl", "settings": {"adapter": "qlora", "load_in_4bit": True, "lora_r": 8, "bf16": True,
                                               "lora_target_linear": True, "sequence_len": 300}},
            "--dtype bfloat16 --load-in-4bit --double-quant --max-length 300",
        ),
    ],
)  # fmt: skip
def test_scoring_computes_as_training_will(folder, train, options):
    assert lines(folder, train=train)["round-1/score"].endswith(f"--model out/sft/model {options}")
    own = lines(folder, train=train, score={"dtype": "float16", "max_length": 7})["round-1/score"]
    assert "--dtype float16" in own
    assert "--max-length 7" in own


def test_an_adapter_is_merged_and_later_stages_see_a_whole_model(folder):
    train = {"engine": "trl", "settings": {"use_peft": True, "load_in_4bit": True, "use_bnb_nested_quant": True}}
    words = lines(folder, train=train, rounds=2)
    assert words["round-1/merge"] == (
        "python -m trl_weighted_dpo.pipeline.merge out/round-1/model --base out/sft/model --output out/round-1/merged "
        "--load-in-4bit --double-quant"
    )
    assert "--model out/round-1/merged" in words["round-2/sample"]
    assert "--base out/round-1/merged" in words["round-2/merge"]
    assert words["evaluate"].endswith(
        "--model sft=out/sft/model --model round-1=out/round-1/merged --model round-2=out/round-2/merged"
    )


def test_a_later_round_samples_and_refers_to_the_model_of_the_one_before(folder):
    stages = plan(folder, rounds=3, earlier_pool=0.25, seed=4, sft=None)
    assert stages["round-1/sample"].inputs["model"] == "model"
    assert stages["round-2/sample"].inputs["model"] == "out/round-1/model"
    assert [stages[f"round-{r}/sample"].settings["seed"] for r in (1, 2, 3)] == [4, 5, 6]
    assert stages["round-2/score"].inputs == {"pool": "out/round-2/joined.jsonl", "model": "out/round-1/model"}
    assert stages["round-2/train"].config["model_name_or_path"] == "out/round-1/model"
    assert shell_line(stages["round-3/reuse"].command) == (
        "python -m trl_weighted_dpo.pipeline.reuse out/round-3/verified.jsonl --earlier out/round-2/joined.jsonl "
        "--share 0.25 --seed 4 --output out/round-3/joined.jsonl"
    )
    assert "round-1/reuse" not in stages


def test_a_file_stands_in_for_the_first_round_alone(folder):
    stages = plan(folder, score={"file": "scored.parquet"}, rounds=2)
    assert [stages[f"round-1/{name}"].left_out for name in ("sample", "verify", "score", "mine")] == [
        "not needed", "not needed", "replaced by scored.parquet", "",
    ]  # fmt: skip
    assert stages["round-1/mine"].inputs == {"pool": "scored.parquet"}
    assert stages["round-2/score"].inputs["pool"] == "out/round-2/verified.jsonl"
    with pytest.raises(RecipeError, match="round 1 has no pool to reuse"):
        plan(folder, score={"file": "scored.parquet"}, rounds=2, earlier_pool=0.5)
    pool = plan(folder, sample={"file": "pool.jsonl"}, problems=None, sft=None)
    assert "problems" not in pool
    assert pool["round-1/verify"].inputs == {"pool": "pool.jsonl"}
    assert pool["round-1/sample"].output == Path("pool.jsonl")


def changed_default(monkeypatch, setting):
    """Give a setting another default, as a release may."""
    field = setting.owner.__dataclass_fields__[setting.name]
    if setting.is_nested:
        monkeypatch.setattr(field, "default_factory", lambda: setting.kind(steps=0.9))
    elif setting.choices:
        monkeypatch.setattr(field, "default", next(value for value in setting.choices if value != setting.default))
    elif setting.is_list:
        monkeypatch.setattr(field, "default", ("other",))
    elif setting.is_from_file:
        monkeypatch.setattr(field, "default", (("a", "b"),))
    elif setting.kind is bool:
        monkeypatch.setattr(field, "default", not setting.default)
    elif setting.kind in (int, float):
        monkeypatch.setattr(field, "default", (setting.default or 0) + 1)
    else:
        monkeypatch.setattr(field, "default", "other")


SETTINGS = [(block, setting) for block, command in COMMANDS.items() for setting in command.settings]


@pytest.mark.parametrize(("block", "setting"), SETTINGS, ids=[f"{block}-{setting.key}" for block, setting in SETTINGS])
def test_a_changed_default_makes_a_stage_of_ours_stale(monkeypatch, block, setting):
    command = COMMANDS[block]
    before, _ = command.resolved({})
    changed_default(monkeypatch, setting)
    after, _ = command.resolved({})
    if setting.is_speed_only:
        assert after == before
    else:
        (change,) = changes(before, after)
        assert change.startswith((f"{setting.key} ", f"{setting.key}."))


def test_settings_of_commands_are_many():
    assert len(SETTINGS) >= 80
    assert sum(setting.is_speed_only for _, setting in SETTINGS) == 6


TRAINED = [*training_fields().values(), *settings_of(PairingConfig)]


@pytest.mark.parametrize("setting", TRAINED, ids=lambda setting: setting.name)
def test_a_changed_default_makes_training_stale(folder, monkeypatch, setting):
    recipes = [{}, {"train": AXOLOTL}, {"train": AXOLOTL, "mine": None, "weigh": None}]
    (folder / "dpo.yaml").write_text("sequence_len: 768\n")
    before = [plan(folder, **recipe)["round-1/train"].settings for recipe in recipes]
    changed_default(monkeypatch, setting)
    after = [plan(folder, **recipe)["round-1/train"].settings for recipe in recipes]
    found = [list(changes(*both)) for both in zip(before, after, strict=True)]
    # TRL, and Axolotl with pairs that were mined before, mine nothing.
    given = {"lambda_": []}.get(setting.name)
    mines = setting.owner is PairingConfig
    assert [len(reasons) for reasons in found] == [0 if mines or given == [] else 1, 0 if mines else 1, 1]
    assert all(setting.key in reason for reasons in found for reason in reasons)


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("sampling", ["round-1/sample", "evaluate"]),
        ("verifier", ["round-1/verify", "round-1/mine", "evaluate"]),
        ("scoring", ["round-1/score"]),
        ("mining", ["round-1/mine"]),
        ("weighting", ["round-1/weigh", "round-1/train"]),
    ],
)
def test_versions_that_decide_a_result_make_its_stage_stale(folder, monkeypatch, name, stale):
    before = plan(folder)
    versions = {**stages._results(), name: "other"}
    monkeypatch.setattr(stages, "_results", lambda: versions)
    after = plan(folder)
    found = {stage: list(changes(before[stage].result_versions, after[stage].result_versions)) for stage in before}
    assert [stage for stage, reasons in found.items() if reasons] == stale
    for stage in stale:
        (reason,) = found[stage]
        assert reason == f"{name} {before[stage].result_versions[name]} -> other"
