"""What a recipe says, and what is refused, before anything is run."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.pipeline.recipes import content, read
from trl_weighted_dpo.pipeline.reading import read_recipe
from trl_weighted_dpo.pipeline.recipe import RecipeError
from trl_weighted_dpo.pipeline.stages import plan_stages


def test_a_whole_recipe(folder):
    recipe = read(folder, seed=7, rounds=2, earlier_pool=0.25, system_prompt="Think.", format="parquet")
    assert (recipe.seed, recipe.rounds, recipe.earlier_pool, recipe.format) == (7, 2, 0.25, "parquet")
    assert recipe.output_dir == Path("out")
    assert (recipe.problems.path, recipe.problems.options) == ("train.jsonl", {"preset": "gsm8k"})
    assert recipe.evaluation_problems.path == "test.jsonl"
    assert recipe.evaluation.options == {"completions": 4}
    assert recipe.sft.settings == {"sequence_len": 512, "learning_rate": 1e-4}
    assert recipe.sample.options == {"completions": 8, "temperature": 0.8}
    assert recipe.train.settings == {"bf16": False, "weight_lambda": 0.5}


def test_settings_go_before_the_engine_s_own_yaml_key_by_key(folder):
    settings = {"weighted_dpo": {"lambda": 0.9}, "sequence_len": 9}
    train = {"engine": "axolotl", "recipe": "dpo.yaml", "settings": settings}
    assert read(folder, train=train).train.settings == {
        "sequence_len": 9, "rl": "weighted_dpo", "weighted_dpo": {"lambda": 0.9, "nll": 2.0},
    }  # fmt: skip


def test_a_block_that_is_skipped_is_as_one_that_is_left_out(folder):
    recipe = read(folder, verify={"skip": True, "workers": 2}, score=None, weigh={"skip": True})
    assert (recipe.verify, recipe.score, recipe.weigh) == (None, None, None)
    assert read(folder, verify={"skip": False, "workers": 2}).verify.options == {"workers": 2}


REFUSED = [
    ({"modle": "x"}, "`modle: 'x'`. There is no such key. Did you mean `model`?"),
    ({"model": None}, "`model: null`. Give the model to start from"),
    ({"model": "./nothing"}, "`model: './nothing'`. There is no such file or folder, as seen from "),
    ({"sample": {"temprature": 1.0}}, "`sample.temprature: 1.0`. There is no such key. Did you mean `temperature`?"),
    ({"sample": {"temperature": "hot"}}, "`sample.temperature: 'hot'`. "),
    ({"sample": {"temperature": [1.0]}}, "`sample.temperature: [1.0]`. Give one value."),
    ({"sample": {"model": "x"}}, "`sample.model: 'x'`. The pipeline fills this in"),
    ({"mine": {"match_lengths": 1}}, "`mine.match_lengths: 1`. Give true or false."),
    ({"mine": {"max_candidates": 1}}, "`mine.max_candidates: 1`. "),
    ({"mine": {"launch": "python"}}, "`mine.launch: 'python'`. There is no such key."),
    ({"score": {"launch": 4}}, "`score.launch: 4`. Give a text, such as `accelerate launch --num_processes 4`."),
    ({"verify": []}, "`verify: []`. Give a mapping of keys to values; `{}` takes all defaults."),
    ({"verify": {"skip": "yes"}}, "`verify.skip: 'yes'`. Give true or false."),
    ({"rounds": 0}, "`rounds: 0`. Give a whole number of at least 1."),
    ({"rounds": True}, "`rounds: True`. Give a whole number of at least 1."),
    ({"rounds": 2, "earlier_pool": 1.5}, "`earlier_pool: 1.5`. Give a number in [0.0, 1.0]."),
    ({"earlier_pool": 0.5}, "`earlier_pool: 0.5` is for later rounds"),
    ({"format": "csv"}, "`format: 'csv'`. Give jsonl or parquet."),
    ({"problems": {"path": "trian.jsonl"}}, "`problems.path: 'trian.jsonl'`. There is no such file or folder"),
    ({"problems": {"path": "train.jsonl", "presett": "math"}}, "`problems.presett: 'math'`. There is no such key. Did"),
    ({"evaluation": {"completions": 2}}, "`evaluation.problems: null`. Give what models are compared on"),
    ({"train": {"engine": "axolotl", "recipe": "no.yaml"}}, "`train.recipe: 'no.yaml'`. There is no such file"),
    ({"train": {"engine": "ray"}}, "`train.engine: 'ray'`. Give axolotl or trl."),
    ({"train": {"engine": "trl", "setings": {}}}, "`train.setings: {}`. There is no such key. Did you mean `sett"),
    ({"sample": {"file": "pool.json"}}, "`sample.file: 'pool.json'`. There is no such file"),
    ({"sample": {"file": "sft.yaml"}}, "`sample.file: 'sft.yaml'`. Rows are read from *.jsonl or *.parquet."),
    ({"sample": {"file": "pool.jsonl", "seed": 1}}, "`sample`: its options have no effect, since `sample.file`"),
    ({"score": {"file": "scored.parquet"}}, "`sample`: its options have no effect, since `score.file` stands in"),
    ({"sample": None}, "`verify` has no pool: add `sample:`, or a pool by `sample: {file: pool.jsonl}`"),
    ({"problems": None}, "`sample` has no problems: add `problems: {path: FILE}`"),
    ({"problems": None, "sample": {"file": "pool.jsonl"}}, "`sft` has nothing to learn from"),
    ({"mine": None, "weigh": None}, "`train` with `engine: trl` takes pairs: add `mine:`"),
    ({"chat_template_kwargs": [1]}, "`chat_template_kwargs: [1]`. Give a mapping or its JSON"),
    (
        {"train": {"engine": "trl", "settings": {"chat_template_kwargs": {"enable_thinking": False}}}},
        "`train`: its chat_template_kwargs is {'enable_thinking': False}, but that of the recipe is None",
    ),
    (
        {"train": {"engine": "axolotl", "settings": {"chat_template_kwargs": {"enable_thinking": False}}}},
        "`train`: its chat_template_kwargs is {'enable_thinking': False}, but that of the recipe is None",
    ),
    ({"rounds": 2, "train": None}, "`rounds: 2`: a later round samples from the model"),
    (
        {"system_prompt": "A", "train": {"engine": "trl", "settings": {"system_prompt": "B"}}},
        "`train`: its system_prompt is 'B', but that of the recipe is 'A'",
    ),
    (
        {"train": {"engine": "trl", "settings": {"train_on": "answer"}}},
        "`train`: its train_on is 'answer', but that of the recipe is None, by which pairs are mined. Set `train_on`",
    ),
    ({"train_on": "thought"}, "`train_on: 'thought'`. Give all or answer."),
    ({"mine": {"train_on": "answer"}}, "`mine.train_on: 'answer'`."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_is_refused_names_the_file_the_key_the_value_and_a_way_out(folder, changes, message):
    with pytest.raises(RecipeError) as error:
        read(folder, **changes)
    assert str(error.value).startswith(f"{folder / 'run.yaml'}: ")
    assert message in str(error.value)


def test_an_adapter_is_no_model_to_start_from(folder):
    (folder / "model" / "adapter_config.json").write_text("{}")
    with pytest.raises(RecipeError, match="This is an adapter"):
        read(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n", "give a YAML mapping of keys to values"), ("a: [\n", "this is no YAML"), ("", "there is None")],
)
def test_what_is_no_recipe(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_the_example_recipe_is_read_and_names_every_key(monkeypatch):
    """From the root of the repository, whose Axolotl YAMLs it names."""
    monkeypatch.chdir(REPOSITORY)
    recipe = read_recipe(Path("recipes/run.yaml"))
    text = Path("recipes/run.yaml").read_text()
    assert all(f"\n{key}:" in text for key in content() | {"seed": 0, "rounds": 1, "earlier_pool": 0.0, "format": ""})
    above, keys = [], []
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            keys.append(line.split(":")[0])
            assert above, f"{keys[-1]} has no comment above it"
        above = [*above, line] if line.startswith("#") else []
    assert set(keys) == set(yaml.safe_load(text))
    # QLoRA: the adapters of SFT and of DPO are merged.
    names = [stage.name for stage in plan_stages(recipe)]
    assert names == [
        "problems", "sft", "sft-merge", "round-1/sample", "round-1/verify", "round-1/score", "round-1/mine",
        "round-1/weigh", "round-1/train", "round-1/merge", "evaluate",
    ]  # fmt: skip
    score = next(stage for stage in plan_stages(recipe) if stage.name == "round-1/score")
    given = {"dtype": "bfloat16", "load_in_4bit": True, "double_quant": True, "max_length": 1024}
    assert {key: score.settings[key] for key in given} == given
