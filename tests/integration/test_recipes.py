"""The recipes as the libraries that read them understand them: accelerate, DeepSpeed, and Axolotl as on eight GPUs."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.launch import prepare_multi_gpu_env
from deepspeed.runtime.config import DeepSpeedConfig
from transformers.integrations import HfTrainerDeepSpeedConfig

from tests.conftest import REPOSITORY
from tests.integration.conftest import BASE
from tests.integration.launching import recipe
from tests.tiny import tiny_model
from trl_weighted_dpo import WeightedDPOConfig

ENGINES = {"ddp": "MULTI_GPU", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED", "fsdp2": "FSDP"}


@pytest.mark.parametrize(("name", "engine"), ENGINES.items())
def test_accelerate_reads_its_recipes(name, engine):
    config = load_config_from_file(str(recipe(f"accelerate/{name}.yaml")))
    assert config.distributed_type.value == engine
    # Precision, batch size and clipping are said once, in the training arguments.
    assert config.mixed_precision is None
    assert not {"gradient_accumulation_steps", "gradient_clipping"} & set(config.deepspeed_config)
    assert config.deepspeed_config.get("zero_stage") == {"zero2": 2, "zero3": 3}.get(name)


def test_accelerate_makes_fsdp2_of_its_recipe():
    given = ["--config_file", str(recipe("accelerate/fsdp2.yaml")), "--num_processes", "8", "train.py"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
    with patch_environment(**prepare_multi_gpu_env(arguments)):
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.cpu_ram_efficient_loading is True
    assert type(plugin.cpu_offload).__name__ == "OffloadPolicy"  # that of leaving things where they are
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert not plugin.activation_checkpointing


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_reads_its_recipes_filled_in_by_the_trainer(tmp_path, stage):
    args = WeightedDPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=True, per_device_train_batch_size=2, max_grad_norm=0.5,
        gradient_accumulation_steps=4,
    )  # fmt: skip
    filled = HfTrainerDeepSpeedConfig(str(recipe(f"deepspeed/zero{stage}.json")))
    filled.trainer_config_process(args)
    filled.trainer_config_finalize(args, tiny_model(), 10)
    assert "auto" not in json.dumps(filled.config)
    config = DeepSpeedConfig(filled.config)
    assert config.zero_config.stage == stage
    assert config.train_batch_size == 8
    assert config.gradient_accumulation_steps == 4
    assert config.gradient_clipping == 0.5
    assert config.bfloat16_config.enabled
    assert not config.float16_config.enabled
    assert config.zero_config.gather_16bit_weights_on_model_save == (stage == 3)
    assert config.zero_allow_untested_optimizer


AXOLOTL = """
import json, sys, yaml
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault

found = []
for config in json.load(sys.stdin):
    config = DictDefault(config)
    prepare_plugins(config)
    gpus = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 8, "compute_capability": "sm_90"}
    try:
        checked = validate_config(config, capabilities=gpus, env_capabilities={"torch_version": "2.13.0"})
    except ValueError as error:
        found.append({"error": str(error)})
    else:
        names = ("rl", "trainer_cls", "deepspeed", "fsdp_version", "fsdp_config")
        found.append(json.loads(json.dumps({name: checked[name] for name in names}, default=dict)))
print("FOUND" + json.dumps(found))
"""


def test_axolotl_takes_them_with_weighted_dpo():
    """The block for FSDP2 is the one of the docs."""
    docs = (REPOSITORY / "docs" / "scaling.md").read_text()
    fsdp = next(yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", docs, re.DOTALL) if "fsdp" in block)
    base = {**BASE, "base_model": "model", "datasets": [{"path": "pairs.jsonl", "ds_type": "json"}], "bf16": "auto"}
    base = {**base, "output_dir": "out", "use_cpu": None}
    zero = [{**base, "deepspeed": str(recipe(f"deepspeed/zero{stage}.json"))} for stage in (2, 3)]
    qlora = {**base, **fsdp, "adapter": "qlora", "load_in_4bit": True}
    configs = [*zero, {**base, **fsdp}, qlora]
    done = subprocess.run([sys.executable, "-c", AXOLOTL], input=json.dumps(configs), capture_output=True, text=True)
    assert "FOUND" in done.stdout, done.stderr[-4000:]
    *accepted, refused = json.loads(done.stdout.split("FOUND")[1])
    for config in accepted:
        assert config["rl"] == "dpo"
        assert config["trainer_cls"] == "trl_weighted_dpo.axolotl.trainer.AxolotlWeightedDPOTrainer"
    assert [config["deepspeed"] for config in accepted] == [config["deepspeed"] for config in zero] + [None]
    assert accepted[2]["fsdp_version"] == 2
    settings = {name: value for name, value in accepted[2]["fsdp_config"].items() if value is not None}
    assert settings == {**fsdp["fsdp_config"], "fsdp_version": 2}
    assert "FSDP2 does not support load_in_8bit or load_in_4bit" in refused["error"]
