"""`weighted-dpo plan` as a person runs it."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.planning.dimensions import KNOWN_COUNTS, save_known, tiny_config
from tests.tiny import tiny_pairs, tiny_tokenizer
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import write_rows

GIB = 2**30
RECIPE = {
    "base_model": "model", "rl": "weighted_dpo", "micro_batch_size": 4, "sequence_len": 512, "bf16": True,
    "weighted_dpo": {"ref_logps": "columns"},
}  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def run_json(*arguments, code=0):
    done = run(*arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Writes a recipe of a tiny model, with changes."""
    monkeypatch.chdir(tmp_path)
    tiny_config("Llama", vocab_size=2000, hidden_size=256, intermediate_size=512, num_hidden_layers=8).save_pretrained(
        "model"
    )

    def write(**changes):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**RECIPE, **changes}))
        return path

    return write


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "model", "gpu", "gpus", "states"),
    [
        # NF4 layers, bfloat16 embedding, adapter and its gradients in float32, paged state.
        ("qwen2.5-1.5b/weighted_dpo", "qwen2.5-1.5b", "4090", 1, 0.5 * 1.31 + 2 * 0.2334 + 8 * 0.0369),
        # bfloat16 weights, adapter, its gradients and Adam in float32.
        ("7b-lora", "qwen2.5-7b", "A100", 1, 2 * 7.616 + 16 * 0.1615),
        # Rajbhandari et al. (arXiv 1910.02054), section 5.3: 16 bytes a parameter, spread.
        ("7b-zero3", "qwen2.5-7b", "H100", 8, 16 * 7.616 / 8),
        # Weights, gradients, and two numbers of Adam in a byte each; a second model.
        ("70b-fsdp2", "llama-3-70b", "H100", 64, (2 + 2 + 2 + 2) * 70.55 / 64),
    ],
)
def test_recipes_fit_the_machines_that_they_are_for(tmp_path, name, model, gpu, gpus, states):
    path = REPOSITORY / "recipes" / f"{name}.yaml"
    plan = run_json(path, "--model", save_known(model, tmp_path), "--gpu", gpu, "--gpus", gpus)
    assert plan["memory"]["fits"]
    base = plan["parameters"]["total"] - plan["parameters"]["adapter"]
    assert base == KNOWN_COUNTS[model]
    kept = ("parameters", "gradients", "optimizer state", "master weights", "reference model")
    bytes_kept = sum(plan["memory"]["components"][component]["optimizer step"] for component in kept)
    assert bytes_kept / 1e9 == pytest.approx(states, rel=0.05)
    assert plan["memory"]["total"] == max(plan["memory"]["totals"].values())
    low, high = plan["time"]["run_seconds"]
    assert 0 < low < high


def test_tables_are_for_people(recipe):
    done = run(recipe(), "--gpus", 1)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    for part in (
        "embedding 512,000", "activations and work", "fits in 23.6 GiB", "gradient checkpointing",
        "The LM head works on", "assumed utilisation",
    ):  # fmt: skip
        assert part in text, part


def test_what_does_not_fit_says_what_to_change(recipe):
    path = recipe(micro_batch_size=16)
    plan = run_json(path, "--gpu-memory", 1.5, code=1)
    assert not plan["memory"]["fits"]
    assert plan["remedies"]
    assert any(line.startswith("Set `gradient_checkpointing: true`.") for line in plan["remedies"])
    assert all(line.endswith("fits.") for line in plan["remedies"])
    done = run(path, "--gpu-memory", 1.5)
    assert done.exit_code == 1
    assert "It does not fit. Each of these makes it fit:" in done.output
    assert "--gpu-tflops" in done.output  # of another card nothing is known


def test_changes_are_added_up_where_none_alone_is_enough(recipe):
    plan = run_json(recipe(micro_batch_size=16), "--gpu-memory", 0.95, code=1)
    assert len(plan["remedies"]) > 1
    totals = [float(line.split(" GiB:")[0].split()[-1]) for line in plan["remedies"]]
    assert totals == sorted(totals, reverse=True)
    done = run(recipe(micro_batch_size=16), "--gpu-memory", 0.1)
    assert done.exit_code == 1
    assert "does not fit yet" in done.output


def test_a_change_saves_what_it_says(recipe):
    """Each number of the advice is that of a plan of the changed recipe."""
    line = next(
        line
        for line in run_json(recipe(micro_batch_size=16), "--gpu-memory", 1.5, code=1)["remedies"]
        if line.startswith("Set `gradient_checkpointing")
    )
    changed = run_json(recipe(micro_batch_size=16, gradient_checkpointing=True), "--gpu-memory", 1.5)
    assert f"{changed['memory']['total'] / GIB:.2f} GiB" in line


def test_pairs_of_a_file_are_counted(recipe, tmp_path):
    tiny_tokenizer().save_pretrained("model")
    write_rows(tmp_path / "pairs.jsonl", tiny_pairs(12))
    given = run_json(recipe(), "--pairs", tmp_path / "pairs.jsonl")
    assert given["pairs"]["count"] == 12
    mean = given["pairs"]["mean"]
    assumed = run_json(
        recipe(), "--pairs", 12, "--prompt-tokens", mean["prompt"],
        "--completion-tokens", (mean["chosen"] + mean["rejected"]) / 2,
    )  # fmt: skip
    assert given["time"]["tokens_per_step"] == pytest.approx(assumed["time"]["tokens_per_step"])
    assert given["memory"]["total"] < assumed["memory"]["total"]  # none is as long as `sequence_len`


def test_prompts_are_computed_twice_where_training_does_so(recipe):
    """Flash-attention takes no mask that could keep the completions of a pair apart."""
    shared, plain, flash = (
        run_json(recipe(**changes))
        for changes in (
            {},
            {"weighted_dpo": {"ref_logps": "columns", "share_prompt": False}},
            {"attn_implementation": "flash_attention_2"},
        )
    )
    assert shared["time"]["tokens_per_step"] == 4 * (150 - 1 + 2 * 250)
    assert plain["time"]["tokens_per_step"] == flash["time"]["tokens_per_step"] == 4 * 2 * 400
    assert plain["batch"] == flash["batch"] == {"rows": 8, "tokens": 512, "positions": 4 * 2 * 362}


def test_the_reference_model_is_counted_unless_columns_are_there(recipe):
    columns, model = (run_json(recipe(weighted_dpo={"ref_logps": mode})) for mode in ("columns", "model"))
    second = model["memory"]["components"]["reference model"]["head"]
    assert columns["memory"]["components"]["reference model"]["head"] == 0
    assert second == columns["memory"]["components"]["parameters"]["head"]
    assert model["time"]["flops_per_step"] > 1.2 * columns["time"]["flops_per_step"]
    lora = run_json(recipe(adapter="lora", lora_r=4, lora_target_linear=True, weighted_dpo={"ref_logps": "model"}))
    assert lora["reference"] == "adapter off"
    assert lora["memory"]["components"]["reference model"]["head"] == 0


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, ["--gpu", "H1000"], "The GPU 'H1000' is not known; 3090, 4090"),
        ({}, ["--pairs", "gone.jsonl"], "gone.jsonl: there is no such file"),
        ({}, ["--pairs", "0"], "--pairs 0: give at least one pair"),
        ({}, ["--prompt-tokens", "500"], "is longer than the 512 that training keeps"),
        ({}, ["--model", "gone"], "gone: no model config could be read there"),
        ({"optimizer": "adam_w"}, [], "The optimizer 'adam_w' is not among those that can be planned"),
        ({"rl": "dpo"}, [], "recipe.yaml: `rl` is 'dpo'"),
        ({"fsdp_config": {"version": 2}}, [], "`ref_logps: columns` does not go with FSDP"),
    ],
)
def test_what_cannot_be_planned_is_explained(recipe, changes, options, message):
    done = run(recipe(**changes), *options)
    assert done.exit_code == 2
    assert message in done.output
