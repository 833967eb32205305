"""Settings of a run from an Axolotl YAML and from WeightedDPOConfig fields."""

import json

import pytest
import yaml

from trl_weighted_dpo.planning.config import Lora, Sharding
from trl_weighted_dpo.planning.recipe import read_recipe

AXOLOTL = {"base_model": "m", "rl": "weighted_dpo", "micro_batch_size": 2, "sequence_len": 512, "bf16": True}
TRL = {"model_name_or_path": "m"}


def read(tmp_path, content, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return read_recipe(path)


def test_an_axolotl_yaml(tmp_path):
    settings = read(
        tmp_path, AXOLOTL, adapter="qlora", load_in_4bit=True, lora_r=8, lora_target_linear=True, num_epochs=2,
        gradient_accumulation_steps=3, gradient_checkpointing=True, optimizer="paged_adamw_8bit",
        weighted_dpo={"ref_logps": "columns"},
    )  # fmt: skip
    assert settings.model == "m"
    assert (settings.dtype, settings.autocast) == ("bfloat16", "bfloat16")
    assert settings.lora == Lora(8, "all-linear")
    assert (settings.load_in_4bit, settings.double_quant, settings.upcast_rest) == (True, True, True)
    assert not settings.upcast_embeddings_and_norms
    assert (settings.micro_batch, settings.accumulation, settings.max_length, settings.epochs) == (2, 3, 512, 2.0)
    assert settings.checkpointing
    assert settings.optimizer == "paged_adamw_8bit"
    assert settings.reference == "columns"
    assert settings.share_prompt


def test_axolotl_keeps_embeddings_and_norms_in_float32_in_full_fine_tuning(tmp_path):
    assert read(tmp_path, AXOLOTL).upcast_embeddings_and_norms
    assert not read(tmp_path, AXOLOTL, attn_implementation="flash_attention_2").upcast_embeddings_and_norms
    assert not read(tmp_path, AXOLOTL, adapter="lora", lora_r=4).upcast_embeddings_and_norms


def test_prompts_may_be_kept_apart(tmp_path):
    assert not read(tmp_path, AXOLOTL, weighted_dpo={"share_prompt": False}).share_prompt
    assert not read(tmp_path, TRL, share_prompt="false").share_prompt


@pytest.mark.parametrize(
    ("changes", "dtype", "autocast"),
    [({"bf16": "auto"}, "bfloat16", "bfloat16"), ({"bf16": False, "fp16": True}, "float16", "float16"),
     ({"bf16": False}, "float32", None)],
)  # fmt: skip
def test_precision_in_axolotl(tmp_path, changes, dtype, autocast):
    settings = read(tmp_path, AXOLOTL, **changes)
    assert (settings.dtype, settings.autocast) == (dtype, autocast)


def test_fields_of_weighted_dpo_config_have_trls_defaults(tmp_path):
    settings = read(tmp_path, TRL)
    assert (settings.dtype, settings.autocast) == ("float32", "bfloat16")
    assert (settings.micro_batch, settings.accumulation, settings.max_length, settings.epochs) == (8, 1, 1024, 3.0)
    assert settings.checkpointing
    assert settings.lora is None
    assert (settings.optimizer, settings.reference) == ("adamw_torch_fused", "auto")
    assert settings.max_steps is None


def test_fields_that_are_given(tmp_path):
    settings = read(
        tmp_path, TRL, dtype="bfloat16", use_peft=True, load_in_4bit=True, use_bnb_nested_quant=True, lora_r=4,
        lora_target_modules=["q_proj", "v_proj"], per_device_train_batch_size=2, gradient_checkpointing=False,
        optim="adamw_8bit", max_steps=9, bf16=False, precompute_ref_log_probs=True,
    )  # fmt: skip
    assert settings.lora == Lora(4, ("q_proj", "v_proj"), dtype="bfloat16")
    assert (settings.load_in_4bit, settings.double_quant) == (True, True)
    assert (settings.dtype, settings.autocast, settings.compute_dtype) == ("bfloat16", None, "bfloat16")
    assert (settings.micro_batch, settings.max_steps, settings.checkpointing) == (2, 9, False)
    assert (settings.optimizer, settings.reference) == ("adamw_8bit", "computed")


def test_json_is_read_too(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps({**TRL, "use_peft": True, "lora_target_modules": ["all-linear"]}))
    assert read_recipe(path).lora == Lora(16, "all-linear")


def test_a_deepspeed_file_is_found_beside_the_recipe(tmp_path):
    zero = {"stage": 2, "reduce_bucket_size": 1e6, "overlap_comm": True, "offload_optimizer": {"device": "cpu"}}
    (tmp_path / "zero.json").write_text(json.dumps({"zero_optimization": zero}))
    settings = read(tmp_path, AXOLOTL, deepspeed="zero.json")
    assert settings.sharding == Sharding("deepspeed", 2, True, False, 1_000_000, 50_000_000, True)
    assert (settings.dtype, settings.autocast) == ("bfloat16", None)
    settings = read(tmp_path, TRL, deepspeed="zero.json")
    assert (settings.dtype, settings.autocast, settings.sharding.stage) == ("bfloat16", None, 2)


def test_fsdp(tmp_path):
    config = {"reshard_after_forward": True, "offload_params": True}
    assert read(tmp_path, AXOLOTL, fsdp_version=2, fsdp_config=config).sharding == Sharding(
        "fsdp", 3, offload_optimizer=True, offload_parameters=True
    )
    assert read(tmp_path, AXOLOTL, fsdp_config={"reshard_after_forward": False}).sharding == Sharding(
        "fsdp", 2, upcast=True
    )
    checkpointed = read(tmp_path, AXOLOTL, fsdp_version=2, fsdp_config={"activation_checkpointing": True})
    assert checkpointed.checkpointing
    assert read(tmp_path, TRL, fsdp="full_shard", fsdp_config={"version": 2}).sharding.upcast


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "neither `base_model`.* nor `model_name_or_path`"),
        ({**AXOLOTL, "rl": "dpo"}, "`rl` is 'dpo', but plans are for `rl: weighted_dpo`"),
        ({**AXOLOTL, "load_in_8bit": True}, "8-bit weights are not planned"),
        ({**AXOLOTL, "adapter": "lora", "lora_r": 0}, "`lora_r` is 0. Give a whole number"),
        ({**AXOLOTL, "adapter": "llama-adapter"}, "`adapter: llama-adapter` is not planned"),
        ({**AXOLOTL, "tensor_parallel_size": 2}, "`tensor_parallel_size: 2` is not planned"),
        ({**AXOLOTL, "deepspeed": "gone.json"}, "`deepspeed: gone.json`: there is no such file"),
        ({**AXOLOTL, "deepspeed": {"zero_optimization": {"stage": 4}}}, "is 4, and not 0, 1, 2 or 3"),
        ({**AXOLOTL, "weighted_dpo": {"ref_logps": "none"}}, "`ref_logps: none` is none of"),
        ({**TRL, "dtype": "int8"}, "`dtype: int8` is not planned"),
        ({**TRL, "load_in_4bit": True}, "4-bit weights cannot be trained: set `use_peft`"),
        ({**TRL, "fsdp": "hybrid_shard"}, "hybrid sharding is not planned"),
    ],
)
def test_what_cannot_be_planned_is_named_with_the_file(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'recipe.yaml'}: ")


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "there are no keys in it"), ("a: [", "this is no YAML or JSON")]
)
def test_files_that_are_no_recipes(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(tmp_path / "r.yaml")
