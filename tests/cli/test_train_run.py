"""`weighted-dpo train` for real: in one process and in two, with the losses of the Python API on the same pairs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny import save_tiny_model, tiny_model, tiny_pairs, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import PairingConfig, WeightedDPOConfig, WeightedDPOTrainer, mine_pairs, render_pair
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.training.card import card_section
from trl_weighted_dpo.training.run import main

pytestmark = pytest.mark.long

MINED, _ = mine_pairs(tiny_pool(24), config=PairingConfig(pairs_per_problem=2), progress=False)
SETTINGS = {
    "max_steps": 4, "save_steps": 2, "logging_steps": 1, "learning_rate": 1e-3, "weight_lambda": 0.8, "beta": 0.2,
    "max_length": 512, "eval_steps": 2, "eval_strategy": "steps",
}  # fmt: skip
METRICS = ("loss", "loss/unweighted", "weights/ess", "rewards/margins", "logps/chosen")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a model, mined pairs and two evaluation sets."""
    folder = tmp_path_factory.mktemp("train")
    save_tiny_model(folder / "model")
    write_rows(folder / "pairs.parquet", MINED)
    write_rows(folder / "easy.jsonl", tiny_pairs(4, seed=5))
    write_rows(folder / "hard.jsonl", tiny_pairs(4, seed=6))
    return folder


def flags(world, output, batch_size=4, **changes):
    values = {
        "model_name_or_path": world / "model", "dataset_name": world / "pairs.parquet", "output_dir": world / output,
        "per_device_train_batch_size": batch_size, "per_device_eval_batch_size": batch_size, "bf16": False,
        "gradient_checkpointing": False, **SETTINGS, **changes,
    }  # fmt: skip
    sets = ["--eval_datasets", f"easy={world / 'easy.jsonl'}", f"hard={world / 'hard.jsonl'}"]
    return [*(text for name, value in values.items() for text in (f"--{name}", str(value))), *sets, "--use_cpu"]


def run(*arguments):
    """Exit code and output of the command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    program = Path(sys.executable).with_name("weighted-dpo")
    return subprocess.run([program, "train", *arguments], env=environment, capture_output=True, text=True, timeout=600)


def history(folder):
    state = json.loads((folder / "checkpoint-4" / "trainer_state.json").read_text())
    return state["log_history"]


@pytest.fixture(scope="module")
def one(world):
    done = run(*flags(world, "one"))
    assert done.returncode == 0, done.stdout + done.stderr
    return world / "one", done.stdout


@pytest.fixture(scope="module")
def python(world):
    """The same run by the Python API."""
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    args = WeightedDPOConfig(
        str(world / "python"), use_cpu=True, bf16=False, gradient_checkpointing=False, per_device_train_batch_size=4,
        per_device_eval_batch_size=4, **SETTINGS,
    )  # fmt: skip
    trainer = WeightedDPOTrainer(
        str(world / "model"), args=args, train_dataset=Dataset.from_list([render_pair(p, tokenizer) for p in MINED]),
        eval_dataset={"easy": Dataset.from_list(tiny_pairs(4, 5)), "hard": Dataset.from_list(tiny_pairs(4, 6))},
    )  # fmt: skip
    trainer.train()
    return trainer


def assert_same_history(ours, theirs):
    for name in METRICS:
        expected = [entry[name] for entry in theirs if name in entry]
        assert [entry[name] for entry in ours if name in entry] == pytest.approx(expected, rel=1e-5, abs=1e-6), name
        assert len(expected) == 4
        for key in (f"eval_easy_{name}", f"eval_hard_{name}"):
            expected = [entry[key] for entry in theirs if key in entry]
            assert [entry[key] for entry in ours if key in entry] == pytest.approx(expected, rel=1e-5, abs=1e-6), key
            assert len(expected) == 2


def test_one_process_trains_as_the_python_api(one, python):
    folder, output = one
    assert_same_history(history(folder), python.state.log_history)
    losses = [entry["loss"] for entry in history(folder) if "loss" in entry]
    assert abs(losses[3] - losses[0]) > 1e-3
    model = AutoModelForCausalLM.from_pretrained(folder)
    for name, parameter in python.model.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-5, atol=1e-6)
    record = json.loads((folder / "weighted_dpo.json").read_text())
    assert record["data"]["fingerprint"] == python.run_record["data"]["fingerprint"]
    assert card_section(record) in (folder / "README.md").read_text()
    for place in (f"Model: {folder}", f"{folder / 'weighted_dpo.json'}", f"Model card: {folder / 'README.md'}"):
        assert place in output
    assert "verifier (λ = 0.8)" in output
    assert f"{record['weighting']['summary']['ess']:.1%}" in output
    (note,) = record["weighting"]["summary"]["notes"]
    assert note in output


def test_two_processes_train_as_one(world, one):
    done = run(*flags(world, "two", 2), "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_history(history(world / "two"), history(one[0]))
    assert done.stdout.count("Model card:") == 1
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (world / "two", one[0]))
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-5, atol=1e-6)


def test_a_bad_row_ends_two_processes_with_one_line(world, tmp_path):
    path = tmp_path / "bad.jsonl"
    write_rows(path, [*tiny_pairs(3), {**tiny_pairs(1)[0], "rejected": None}])
    launch = ("--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    done = run(*flags(world, "bad", dataset_name=path), *launch)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == [
        f"Error: {path}: row 3, column 'rejected': got null. Give a non-empty text or a non-empty list of messages. "
        "(Rows are counted from 0.)"
    ]
    assert "Traceback" not in done.stdout + done.stderr


def test_a_process_resumes_where_it_was(world, one):
    main(flags(world, "one-again", resume_from_checkpoint=one[0] / "checkpoint-2"))
    before, after = history(one[0]), history(world / "one-again")
    assert [entry["loss"] for entry in after if "loss" in entry] == pytest.approx(
        [entry["loss"] for entry in before if "loss" in entry], rel=1e-6
    )
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (world / "one-again", one[0]))
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-6, atol=1e-7)


def test_an_adapter_on_four_bits(world):
    """With a hidden size that fills bitsandbytes' blocks of 64."""
    base = world / "wide"
    tiny_model(hidden_size=64).save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    lora = ("--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj", "--load_in_4bit")
    main([*flags(world, "lora", model_name_or_path=base), *lora])
    config = json.loads((world / "lora" / "adapter_config.json").read_text())
    assert (config["r"], sorted(config["target_modules"])) == (4, ["q_proj", "v_proj"])
    losses = [entry["loss"] for entry in history(world / "lora") if "loss" in entry]
    assert losses[0] == pytest.approx(0.693147 * history(world / "lora")[0]["weights/mean"], rel=2e-2)
    adapter = load_file(world / "lora" / "adapter_model.safetensors")
    assert max(value.abs().max() for name, value in adapter.items() if "lora_B" in name) > 0
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), world / "lora")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name_or_path": "no-such-model"}, "no-such-model: no tokenizer could be loaded"),
        ({"loss_type": "aot"}, "loss_type 'aot' cannot be weighted per pair"),
        ({"foo": "1"}, "Unknown flags: --foo 1"),
    ],
)
def test_what_a_process_finds_wrong_is_one_line(world, capsys, changes, message):
    with pytest.raises(SystemExit) as ended:
        main(flags(world, "bad", **changes))
    assert ended.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert message in lines[0]
