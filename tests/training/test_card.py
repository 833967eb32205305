"""The model card's part about the weights: its content, and where it is written."""

import json
import shutil

import pytest
from datasets import Dataset
from peft import LoraConfig

from tests.arena import make, weighted
from tests.tiny import tiny_model, tiny_pairs, tiny_tokenizer
from tests.training.columns import LORA
from tests.training.columns import make as make_from_folder
from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.training.card import card_section, extend_card


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """Folder of a trained model."""
    folder = tmp_path_factory.mktemp("card") / "my-model"
    trainer = make(
        folder, tiny_pairs(20), weight_lambda=0.8, weight_clip_max=4.0, loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, 0.5], label_smoothing=0.1, max_steps=1, save_steps=1,
    )  # fmt: skip
    trainer.train()
    return folder


def rows(text):
    """Cells of the tables, by the first cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines}


def test_a_checkpoint_brings_trls_card_with_settings_weights_and_data(card):
    text = (card / "README.md").read_text()
    content = json.loads((card / "checkpoint-1" / "weighted_dpo.json").read_text())
    summary = content["weighting"]["summary"]
    assert "# Model Card for my-model" in text
    assert "- weighted-dpo" in text.split("---")[1]
    assert (
        "[Hard Negative Sample-Augmented DPO Post-Training for Small Language Models](https://huggingface.co/papers/2512.19728)"
        in text
    )
    assert "eprint = {arXiv:2512.19728}" in text
    cells = rows(text)
    assert cells["weights"] == ["scheme auto, λ = 0.8"]
    assert cells["bounds of u"] == ["0.2 to 4.0"]
    assert cells["objective"] == ["1.0 × sigmoid + 0.5 × sft, β = 0.1"]
    assert cells["label_smoothing"] == ["0.1"]
    assert cells["reference log-probs"] == ["model"]
    assert cells["data fingerprint (SHA-256)"] == [f"`{content['data']['fingerprint']}`"]
    assert cells["scheme"] == ["verifier (λ = 0.8)"]
    assert cells["effective sample size"] == [f"{summary['ess']:.1%}"]
    assert summary["ess"] < 1
    histogram = {name: value for name, value in cells.items() if " to " in name and "bounds" not in name}
    assert [int(value[0]) for value in histogram.values()] == summary["histogram"]["counts"]
    fullest = max(range(10), key=lambda bin: summary["histogram"]["counts"][bin])
    assert list(histogram.values())[fullest][1] == "█" * 40
    assert f"trl-weighted-dpo {content['version']}, python" in text
    assert f"trl {content['versions']['trl']}" in text
    assert text.index("## Weighted DPO") < text.index("## Citations")


def test_a_model_that_is_on_no_hub_has_a_card_without_dead_links(card):
    text = (card / "README.md").read_text()
    assert "None" not in text
    assert "fine-tuned version of a local model" in text


def test_a_folder_is_extended_from_its_record_and_the_part_is_replaced(card, tmp_path):
    for name in ("README.md", "checkpoint-1/weighted_dpo.json"):
        shutil.copy(card / name, tmp_path)
    before = (tmp_path / "README.md").read_text()
    extend_card(tmp_path)
    assert (tmp_path / "README.md").read_text() == before
    content = json.loads((tmp_path / "weighted_dpo.json").read_text())
    content["objective"]["beta"] = 0.77
    extend_card(tmp_path, content)
    after = (tmp_path / "README.md").read_text()
    assert after == before.replace("β = 0.1", "β = 0.77")
    (tmp_path / "README.md").unlink()
    extend_card(tmp_path)
    assert (tmp_path / "README.md").read_text() == card_section(
        json.loads((tmp_path / "weighted_dpo.json").read_text())
    )


def test_a_card_without_citations_gets_the_part_at_its_end(card, tmp_path):
    shutil.copy(card / "checkpoint-1/weighted_dpo.json", tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n\nText.\n")
    extend_card(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\n---\n\n# Mine\n\nText.\n\n<!-- weighted-dpo: begin -->\n## Weighted DPO")
    assert text.endswith("<!-- weighted-dpo: end -->\n")


def test_an_adapter_keeps_the_part_when_peft_rewrites_the_card(folder, tmp_path):
    trainer = make_from_folder(
        folder,
        tmp_path,
        tiny_pairs(8),
        peft_config=LoraConfig(**LORA),
        max_steps=1,
        save_strategy="steps",
        save_steps=1,
    )
    trainer.train()
    trainer.save_model()
    text = (tmp_path / "out" / "README.md").read_text()
    assert "library_name: peft" in text
    assert text.count("## Weighted DPO") == 1
    assert trainer.run_record["data"]["fingerprint"] in text


def test_ready_weights_uniform_weights_and_streams_say_what_they_are(tmp_path):
    ready = card_section(make(tmp_path, weighted([0.5, 1.5])).run_record)
    assert rows(ready)["scheme"] == ["column (λ = 0.3)"]
    assert "bounds of u" not in rows(ready)
    uniform = card_section(make(tmp_path, weighted(), weight_scheme="uniform").run_record)
    assert rows(uniform)["1.000 to 1.000"] == ["4", "█" * 40]
    args = WeightedDPOConfig(str(tmp_path), use_cpu=True, bf16=False, max_steps=1, gradient_checkpointing=False)
    stream = WeightedDPOTrainer(
        tiny_model(), tiny_model(), args, train_dataset=Dataset.from_list(weighted()).to_iterable_dataset(),
        processing_class=tiny_tokenizer(),
    )  # fmt: skip
    cells = rows(card_section(stream.run_record))
    assert cells["pairs"] == ["a stream"]
    assert cells["scheme"] == ["column (λ = 0.3)"]
    assert not any("fingerprint" in name for name in cells)


def test_columns_that_act_in_the_loss_are_named(tmp_path):
    pairs = [{**pair, "dpo_margin": 0.5} for pair in weighted()]
    assert rows(card_section(make(tmp_path, pairs).run_record))["columns in the loss"] == ["dpo_margin"]
    assert "columns in the loss" not in rows(card_section(make(tmp_path).run_record))


def test_what_others_wrote_cannot_break_the_table(tmp_path):
    record = make(tmp_path).run_record
    text = card_section({**record, "reference": "computed: row 3 | column\n'x'"})
    assert "| reference log-probs | computed: row 3 \\| column 'x' |" in text


def test_a_card_is_written_by_the_main_process_alone(tmp_path, monkeypatch):
    trainer = make(tmp_path)
    monkeypatch.setattr(trainer, "is_world_process_zero", lambda: False)
    trainer.create_model_card(model_name="x")
    assert not (tmp_path / "README.md").exists()
