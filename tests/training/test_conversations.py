"""Conversations that TRL renders: refused where the chat template would lose text of them."""

import pytest
from datasets import Dataset, IterableDataset

from tests.arena import Arena
from tests.templates import CHATML, FORGETFUL, QWEN3, R1, byte_tokenizer
from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.training.support import check_conversations

THOUGHT = "<think>\n3 + 4 = 7.\n</think>\n\nIt is 7."


def talk(chosen, **more):
    roles = {"prompt": ("user", "3 + 4?"), "chosen": ("assistant", chosen), "rejected": ("assistant", "8.")}
    return {name: [{"role": role, "content": text}] for name, (role, text) in roles.items()} | more


def trainer_over(folder, rows, template):
    arena = Arena(folder, rows)
    arena.tokenizer = tiny_tokenizer()
    arena.tokenizer.chat_template = template
    return arena.ours(weight_scheme="uniform")


@pytest.mark.parametrize(
    ("template", "texts", "message"),
    [
        (R1, ["It is 7."], r"the train dataset: row 0, column 'chosen': .* renders the prompt differently"),
        (
            FORGETFUL,
            ["It is 7.", THOUGHT],
            r"the train dataset: row 1, column 'chosen': .* does not write all of a completion's text",
        ),
    ],
)
def test_lost_text_is_refused_with_its_row(tmp_path, template, texts, message):
    with pytest.raises(SchemaError, match=message):
        trainer_over(tmp_path, [talk(text) for text in texts], template)


def test_variables_in_trls_column_decide_the_prompt(tmp_path):
    rows = [talk(text, chat_template_kwargs={"enable_thinking": False}) for text in ("It is 7.", "So 7.")]
    trainer = trainer_over(tmp_path, rows, QWEN3)
    decode = trainer.processing_class.decode
    for row, text in zip(trainer.train_dataset, ("It is 7.", "So 7."), strict=True):
        assert decode(row["prompt_ids"]).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
        assert decode(row["chosen_ids"]) == f"{text}<|im_end|>\n"


def test_streams_and_implicit_prompts_are_checked_too():
    tokenizer = byte_tokenizer(R1)
    whole = [{name: row["prompt"] + row[name] for name in ("chosen", "rejected")} for row in [talk("7."), talk("7")]]
    with pytest.raises(SchemaError, match=r"pairs: row 0, column 'chosen': .*renders the prompt differently"):
        check_conversations(Dataset.from_list(whole), tokenizer, "pairs")
    stream = check_conversations(IterableDataset.from_generator(lambda: iter(whole)), tokenizer, "pairs")
    with pytest.raises(SchemaError, match=r"pairs: row 0, column 'chosen'"):
        next(iter(stream))
    fitting = byte_tokenizer(CHATML)
    assert check_conversations(Dataset.from_list(whole), fitting, "pairs").to_list() == whole
    stream = check_conversations(IterableDataset.from_generator(lambda: iter(whole)), fitting, "pairs")
    assert list(stream) == whole


def test_texts_are_left_alone():
    rows = Dataset.from_list([{"prompt": "p", "chosen": "c", "rejected": "r"}])
    assert check_conversations(rows, tiny_tokenizer(), "pairs") is rows
