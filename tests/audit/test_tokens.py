"""An audit counts the tokens that TRL's trainer trains on."""

import pytest
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from tests.audit.test_audit import clean_pairs
from tests.templates import QWEN3
from tests.tiny import tiny_model, tiny_tokenizer
from trl_weighted_dpo.audit import AuditConfig, audit_pairs
from trl_weighted_dpo.audit.pairs import read_pair
from trl_weighted_dpo.audit.truncation import TruncationChecks
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.pairs import layout_of


def test_completion_lengths_are_those_of_the_trainer(tmp_path):
    tokenizer = tiny_tokenizer()
    rows = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in clean_pairs(8)]
    arguments = DPOConfig(str(tmp_path), bf16=False, use_cpu=True, report_to=[], gradient_checkpointing=False)
    trainer = DPOTrainer(
        tiny_model(), args=arguments, ref_model=tiny_model(), processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
    )  # fmt: skip
    expected = [(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in trainer.train_dataset]
    checks = TruncationChecks(AuditConfig(), tokenizer, "pairs")
    assert [
        checks.lengths(read_pair(row, index, layout_of(row, "pairs"))) for index, row in enumerate(rows)
    ] == expected


def test_a_conversation_needs_a_chat_template():
    rows = clean_pairs(3)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    parts = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    rows[1] |= {name: [{"role": role, "content": rows[1][name]}] for name, role in parts.items()}
    message = r"pairs\.jsonl: row 1, column 'prompt': .*conversation, but the tokenizer has no chat template"
    with pytest.raises(SchemaError, match=message):
        audit_pairs(rows, AuditConfig(max_length=99), tokenizer=tokenizer, source="pairs.jsonl", progress=False)


def test_variables_of_the_chat_template_are_the_pair_s_own_or_the_settings():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = QWEN3
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    row = {name: [{"role": role, "content": "7."}] for name, role in roles.items()}
    without = {"chat_template_kwargs": {"enable_thinking": False}}

    def length(pair, **settings):
        return TruncationChecks(AuditConfig(**settings), tokenizer, "pairs").lengths(
            read_pair(pair, 0, layout_of(pair, "pairs"))
        )[0]

    # The empty thought is the prompt's, or the completion's.
    thought = len(tokenizer("<think>\n\n</think>\n\n")["input_ids"])
    assert length({**row, **without}) == length(row, **without) == length(row) - thought
