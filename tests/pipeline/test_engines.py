"""What SFT is trained on, token by token, what its keys are checked for, and adapters that are merged."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from tests.tiny import save_tiny_model, tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo.cli.problems import completion_rows
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.core.models import load_model, load_tokenizer
from trl_weighted_dpo.core.tokens import tokenize_completions
from trl_weighted_dpo.pipeline.checks import check_trl_sft, check_trl_train
from trl_weighted_dpo.pipeline.merge import merge
from trl_weighted_dpo.pipeline.sft import main, parse
from trl_weighted_dpo.settings import RenderingConfig


def flags(settings):
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def test_trl_s_sft_sees_the_tokens_of_scoring_and_dpo(tmp_path, monkeypatch):
    import trl_weighted_dpo.pipeline.sft as module

    trainers = []

    class Seen(module.SFTTrainer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            trainers.append(self)

    monkeypatch.setattr(module, "SFTTrainer", Seen)
    # As it is loaded, which may be another class than that which was saved.
    tokenizer = load_tokenizer(str(save_tiny_model(tmp_path / "model")))
    rows = completion_rows(tiny_pool(8), "pool", tokenizer, RenderingConfig())
    write_rows(tmp_path / "data.jsonl", rows)
    settings = {
        "model_name_or_path": tmp_path / "model", "dataset_name": tmp_path / "data.jsonl", "max_steps": 2,
        "output_dir": tmp_path / "out", "bf16": False, "use_cpu": True, "report_to": "none", "save_steps": 1,
    }  # fmt: skip
    main(flags(settings))
    dataset = trainers[0].train_dataset
    for row, text in zip(dataset, rows, strict=True):
        (tokens,) = tokenize_completions(text["prompt"], [text["completion"]], tokenizer, None, "keep_start")
        assert list(row["input_ids"]) == tokens.ids
        labels = row["labels"] if "labels" in row else [
            token if kept else -100 for token, kept in zip(row["input_ids"], row["completion_mask"], strict=True)
        ]  # fmt: skip
        assert list(labels) == [-100] * tokens.prompt + tokens.ids[tokens.prompt :]
    before, after = tiny_model(), AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert not torch.equal(before.lm_head.weight, after.lm_head.weight)
    # From its first checkpoint it takes one step more, and comes to the same.
    main(
        flags(
            settings | {"resume_from_checkpoint": tmp_path / "out" / "checkpoint-1", "output_dir": tmp_path / "again"}
        )
    )
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    for name, parameter in after.named_parameters():
        torch.testing.assert_close(again.get_parameter(name), parameter, rtol=1e-6, atol=1e-7)
    assert json.loads((tmp_path / "again" / "checkpoint-2" / "trainer_state.json").read_text())["global_step"] == 2


@pytest.mark.parametrize(
    ("check", "text", "message"),
    [
        (check_trl_sft, "learning_rte: 1.0e-5", "there is no key learning_rte in trl's .* Did you mean learning_rate"),
        (check_trl_sft, "max_steps: many", "max_steps"),
        (check_trl_train, "weight_lamda: 0.5", "Unknown flag or key of the YAML: --weight_lamda. Did you mean"),
        (check_trl_train, "weight_lambda: 3", "weight_lambda|lambda"),
    ],
)
def test_keys_are_checked_before_anything_is_trained(tmp_path, check, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(f"{text}\nbf16: false\n")
    with pytest.raises(ValueError, match=message):
        check(path)


def test_right_keys_pass(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("model_name_or_path: m\nlearning_rate: 1.0e-5\nbf16: false\nnum_processes: 2\nweight_lambda: 0.5\n")
    check_trl_train(path)
    path.write_text("model_name_or_path: m\nlearning_rate: 1.0e-5\nbf16: false\npacking: true\n")
    check_trl_sft(path)
    assert parse(["--config", str(path)])[1].packing is True


@pytest.mark.parametrize("in_4bit", [False, True])
def test_a_merged_adapter_is_the_model_that_was_trained(tmp_path, in_4bit):
    # A hidden size that fills bitsandbytes' blocks of 64.
    tiny_model(hidden_size=64).save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    base = load_model(str(tmp_path / "base"), load_in_4bit=in_4bit, double_quant=in_4bit)
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(base, lora)
    adapted.save_pretrained(tmp_path / "adapter")
    tiny_tokenizer().save_pretrained(tmp_path / "adapter")
    merge(tmp_path / "adapter", str(tmp_path / "base"), tmp_path / "merged", in_4bit, in_4bit)
    ids = torch.arange(5, 25).unsqueeze(0)

    def adapted_logits(**settings):
        return PeftModel.from_pretrained(load_model(str(tmp_path / "base"), **settings), tmp_path / "adapter")(
            ids
        ).logits

    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
        trained = adapted_logits(load_in_4bit=in_4bit, double_quant=in_4bit)
        without = AutoModelForCausalLM.from_pretrained(tmp_path / "base")(ids).logits
        unrounded = adapted_logits()
    assert (without - trained).abs().mean() > 0.1
    if in_4bit:
        # 4-bit matrices multiply in fewer bits; weights before rounding are another model altogether.
        assert (merged - trained).abs().mean() < 0.05 * (unrounded - trained).abs().mean()
    else:
        torch.testing.assert_close(merged, trained, rtol=1e-4, atol=1e-4)
