"""The plugin on raw and validated configs, with the real Axolotl in process."""

import subprocess
import sys

import pytest
import yaml
from axolotl.utils.dict import DictDefault

from tests.tiny import save_tiny_model
from trl_weighted_dpo.axolotl import plugin
from trl_weighted_dpo.axolotl.plugin import TRAINER, WeightedDPOPlugin, is_active
from trl_weighted_dpo.axolotl.support import LORA_KERNELS

PLUGINS = ["trl_weighted_dpo.axolotl.WeightedDPOPlugin"]


def config(**changes):
    cfg = {"base_model": "m", "plugins": PLUGINS, "rl": "weighted_dpo", "datasets": [{"path": "nowhere"}], **changes}
    return DictDefault({key: value for key, value in cfg.items() if value is not None})


def registered(**changes):
    cfg = config(**changes)
    WeightedDPOPlugin().register(cfg)
    return cfg


def test_mode_becomes_dpo_with_our_trainer():
    cfg = registered()
    assert cfg["rl"] == "dpo"
    assert cfg["trainer_cls"] == TRAINER
    assert is_active(cfg)
    assert all(cfg[kernel] is False for kernel in LORA_KERNELS)


def test_registering_twice_changes_nothing():
    cfg = registered(weighted_dpo={"lambda": 0.5})
    once = cfg.to_dict()
    WeightedDPOPlugin().register(cfg)
    assert cfg.to_dict() == once


def test_registering_the_validated_config_again_keeps_the_cache(tmp_path):
    """Ray workers register the config that the driver has already validated."""
    code = f"""
import yaml
from axolotl.cli.config import load_cfg, prepare_plugins
cfg = load_cfg({str(tmp_path / "config.yaml")!r})
path = cfg.dataset_prepared_path
prepare_plugins(cfg)
assert cfg.dataset_prepared_path == path, (path, cfg.dataset_prepared_path)
assert "weighted-dpo-" in path
print("SAME" + path)
"""
    model = save_tiny_model(tmp_path / "model")
    dataset = {"path": str(tmp_path), "ds_type": "json", "type": "trl_weighted_dpo.hard_negatives"}
    raw = config(
        base_model=str(model), datasets=[dataset], use_cpu=True, bf16=False, fp16=False, tf32=False, learning_rate=1e-4,
        micro_batch_size=1, gradient_accumulation_steps=1, max_steps=1, output_dir=str(tmp_path / "out"),
        weighted_dpo={"seed": 3},
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw.to_dict()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "SAME" in done.stdout, done.stderr[-3000:]


def test_a_validation_split_of_several_pairs_a_problem_is_remarked_on(monkeypatch):
    warnings = []
    monkeypatch.setattr(plugin.LOG, "warning", lambda message, *_: warnings.append(message))
    registered(val_set_size=0.1)
    assert warnings == []
    registered(val_set_size=0.1, weighted_dpo={"pairs_per_problem": 2})
    assert "splits pairs, not problems" in warnings[0]


@pytest.mark.parametrize("changes", [{"plugins": []}, {"plugins": ["other.Plugin"]}, {"plugins": None}])
def test_configs_that_do_not_list_the_plugin_are_left_alone(changes):
    """Axolotl registers every plugin it has ever loaded in the process."""
    cfg = registered(**changes)
    assert cfg["rl"] == "weighted_dpo"
    assert not is_active(cfg)


def test_other_modes_are_left_alone():
    cfg = registered(rl="dpo")
    assert cfg.to_dict() == config(rl="dpo").to_dict()
    assert WeightedDPOPlugin().get_training_args(cfg) is None


def test_block_without_the_mode_is_refused():
    with pytest.raises(ValueError, match="Set `rl: weighted_dpo`, or remove the block"):
        registered(rl="dpo", weighted_dpo={"lambda": 0.5})


def test_a_trainer_of_the_users_own_is_refused():
    with pytest.raises(ValueError, match=r"sets `trainer_cls: my\.Trainer`"):
        registered(trainer_cls="my.Trainer")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plugins": [*PLUGINS, "axolotl.integrations.liger.LigerPlugin"]}, "LigerPlugin` does not go with"),
        (
            {"plugins": [*PLUGINS, "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"]},
            "CutCrossEntropyPlugin` does not go with",
        ),
        ({"dpo_use_liger_kernel": True}, "`dpo_use_liger_kernel` does not go with"),
        ({"dpo_padding_free": True}, "`dpo_padding_free` does not go with"),
        ({"lora_mlp_kernel": True}, "`lora_mlp_kernel` does not go with"),
        ({"context_parallel_size": 2}, "`context_parallel_size: 2` does not go with"),
        ({"processor_type": "AutoProcessor"}, "`processor_type` does not go with"),
    ],
)
def test_options_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        registered(**changes)


def test_options_switched_on_by_validation_are_refused_before_the_model_is_loaded():
    cfg = registered()
    cfg["dpo_padding_free"] = True
    with pytest.raises(ValueError, match="dpo_padding_free"):
        WeightedDPOPlugin().pre_model_load(cfg)


SETTINGS = {
    "scheme": "verifier", "lambda": 0.5, "clip_max": 3.0, "nll": 0.0, "pairs_per_problem": 2, "dpop_lambda": 5,
    "health_early_stop": True, "share_prompt": False,
}  # fmt: skip

FIELDS = """
import json, sys
from axolotl.integrations.base import PluginManager
from axolotl.utils.dict import DictDefault
if {early}:
    import axolotl.core.training_args
PluginManager.get_instance().register("trl_weighted_dpo.axolotl.WeightedDPOPlugin")
assert "axolotl.core.training_args" not in sys.modules or {early}
plugin = next(iter(PluginManager.get_instance().plugins.values()))
cfg = DictDefault(json.loads('''{cfg}'''))
plugin.register(cfg)
print("FIELDS" + json.dumps(plugin.get_training_args(cfg)))
"""


def run_fields(early):
    import json

    cfg = json.dumps(config(weighted_dpo=SETTINGS).to_dict())
    code = FIELDS.format(early=early, cfg=cfg)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_settings_reach_the_training_arguments():
    import json

    done = run_fields(early=False)
    assert done.returncode == 0, done.stderr[-3000:]
    fields = json.loads(done.stdout.split("FIELDS")[1])
    assert fields == {
        "weight_scheme": "verifier", "weight_lambda": 0.5, "weight_clip_min": 0.2, "weight_clip_max": 3.0,
        "weight_severity": 1.0, "weight_confidence_gap": 1.0, "weight_nll": 0.0, "weight_normalize_column": False,
        "weight_score_direction": "rising",
        "weight_control_of": "verifier", "weight_shuffle_seed": 42, "ref_logps": "auto", "dpop_lambda": 5.0,
        "health_check": True, "health_early_stop": True, "share_prompt": False,
    }  # fmt: skip


def test_training_arguments_frozen_too_early_are_explained():
    done = run_fields(early=True)
    assert done.returncode != 0
    assert "imported before the weighted-DPO plugin was registered" in done.stderr
