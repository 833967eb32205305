"""The prompt is the one that scoring and training see, with examples before it if there are any."""

from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.core.rendering import render_pair
from trl_weighted_dpo.core.tokens import tokenize_completions
from trl_weighted_dpo.sampling import SamplingConfig
from trl_weighted_dpo.sampling.prompts import render_prompt

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHOTS = (("1+1?", "It is 2.\nA: 2"), ("2+2?", "It is 4.\nA: 4"))


def chat_tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT
    return tokenizer


def test_without_examples_its_tokens_are_those_of_scoring_and_training():
    config = SamplingConfig(prompt_template="Q: {problem}\nA:", system_prompt="Be brief.")
    for tokenizer in (tiny_tokenizer(), chat_tokenizer()):
        prompt = render_prompt("Tom has 3 pens {x}.", tokenizer, config)
        pair = {"prompt": "Tom has 3 pens {x}.", "chosen": " 3", "rejected": " 4"}
        rendered = render_pair(pair, tokenizer, config.prompt_template, config.system_prompt)
        assert prompt == rendered["prompt"]
        [tokens] = tokenize_completions(rendered["prompt"], [rendered["chosen"]], tokenizer, None, "keep_start")
        assert tokenizer(prompt)["input_ids"] == tokens.ids[: tokens.prompt]


def test_examples_are_earlier_turns_of_a_conversation():
    config = SamplingConfig(few_shot=SHOTS, system_prompt="Be brief.")
    assert render_prompt("3+3?", chat_tokenizer(), config) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\nIt is 2.\nA: 2<|im_end|>\n"
        "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\nIt is 4.\nA: 4<|im_end|>\n"
        "<|im_start|>user\n3+3?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_examples_without_a_chat_template_stand_in_front():
    config = SamplingConfig(few_shot=SHOTS, prompt_template="Q: {problem}\n", system_prompt="not used")
    for tokenizer in (tiny_tokenizer(), None):
        assert render_prompt("3+3?", tokenizer, config) == (
            "Q: 1+1?\nIt is 2.\nA: 2\n\nQ: 2+2?\nIt is 4.\nA: 4\n\nQ: 3+3?\n"
        )
