"""Chat templates: how turns end, their variables, and what is refused because text would be lost."""

import pytest

from tests.templates import CHATML, FORGETFUL, QWEN3, R1, byte_tokenizer, shipped_templates
from trl_weighted_dpo.core.rendering import check_conversation, render_completions, render_pair, turn_end

SHIPPED = shipped_templates()
WITHOUT_SYSTEM_PROMPT = {"axolotl/gemma"} | {
    f"trl/{name}{kind}" for name in ("gemma", "idefics3", "llava_next", "smolvlm") for kind in ("", "_training")
}
THOUGHT = "<think>\n3 + 4 = 7.\n</think>\n\nIt is 7."


def conversation(chosen, rejected="8."):
    roles = {"prompt": ("user", "3 + 4?"), "chosen": ("assistant", chosen), "rejected": ("assistant", rejected)}
    return {name: [{"role": role, "content": text}] for name, (role, text) in roles.items()}


ENDS = [
    (CHATML, "<|im_end|>", "<|im_end|>"),
    (CHATML, "<|endoftext|>", "<|im_end|>"),
    (R1, "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    ("trl/phi3", "<|endoftext|>", "<|end|>\n<|endoftext|>"),
    ("trl/glm4moe", "<|endoftext|>", ""),
    ("trl/gptoss", "<|return|>", "<|return|>"),
    ("axolotl/command_a", "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    ("axolotl/llava", "</s>", ""),
    ("{% for m in messages %}{{ m.content }}\n\n###\n\n{% endfor %}", "</s>", "\n\n###"),
    (None, "</s>", ""),
]
"""A template or the name of one, the tokenizer's EOS token, and the end of a turn."""


@pytest.mark.parametrize(
    ("template", "eos", "end"),
    [case for case in ENDS if not str(case[0]).startswith(("trl/", "axolotl/")) or case[0] in SHIPPED],
)
def test_a_turn_ends_as_the_template_ends_it(template, eos, end):
    template = SHIPPED.get(template, template)
    tokenizer = byte_tokenizer(template or "", eos)
    tokenizer.chat_template = template
    assert turn_end(tokenizer) == end


def test_a_text_that_has_its_end_gets_no_second_one():
    tokenizer = byte_tokenizer(CHATML, "<|im_end|>")
    given = ["7", "7<|im_end|>", "7<|im_end|>\n", "7 \n"]
    _, completions = render_completions("3 + 4?", given, tokenizer)
    assert completions == ["7<|im_end|>", "7<|im_end|>", "7<|im_end|>", "7 \n<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "variables", "prompt"),
    [
        (R1, {}, "<｜User｜>3 + 4?<｜Assistant｜><think>\n"),
        (QWEN3, {}, "<|im_start|>user\n3 + 4?<|im_end|>\n<|im_start|>assistant\n"),
        (
            QWEN3,
            {"enable_thinking": False},
            "<|im_start|>user\n3 + 4?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
    ],
)
def test_a_text_follows_the_prompt_as_it_is(template, variables, prompt):
    tokenizer = byte_tokenizer(template)
    end = turn_end(tokenizer)
    pair = {"prompt": "3 + 4?", "chosen": THOUGHT, "rejected": "8."}
    expected = {"prompt": prompt, "chosen": THOUGHT + end, "rejected": "8." + end}
    rendered = render_pair(pair, tokenizer, chat_template_kwargs=variables)
    assert {**rendered, "prompt": rendered["prompt"].removeprefix(tokenizer.bos_token)} == expected
    # The prompt may be a conversation.
    messages = conversation("")["prompt"]
    assert render_pair({**pair, "prompt": messages}, tokenizer, chat_template_kwargs=variables) == rendered


def test_a_pair_s_own_variables_go_first():
    tokenizer = byte_tokenizer(QWEN3)
    pair = {"prompt": "3 + 4?", "chosen": "7.", "rejected": "8."}
    own = {"chat_template_kwargs": {"enable_thinking": False, "other": None}}
    opened = render_pair({**pair, **own}, tokenizer, chat_template_kwargs={"enable_thinking": True})["prompt"]
    assert opened == render_pair(pair, tokenizer, chat_template_kwargs={"enable_thinking": False})["prompt"]
    assert opened != render_pair(pair, tokenizer)["prompt"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (R1, r"renders the prompt differently once an answer follows.*Give `prompt`, `chosen` and `rejected` as text"),
        (FORGETFUL, r"does not write all of a completion's text: of '<think>.*leave thinking out"),
    ],
)
def test_messages_that_lose_text_are_refused(template, message):
    tokenizer = byte_tokenizer(template)
    with pytest.raises(ValueError, match=message):
        render_pair(conversation(THOUGHT), tokenizer)


def test_messages_that_keep_their_text_are_rendered():
    tokenizer = byte_tokenizer(QWEN3, "<|im_end|>")
    rendered = render_pair(conversation(THOUGHT, "<think>\n\n3+5\n</think>8."), tokenizer)
    assert rendered["chosen"] == f"{THOUGHT}<|im_end|>"
    assert rendered["rejected"] == "<think>\n3+5\n</think>\n\n8.<|im_end|>"
    answer = [{"role": "assistant", "content": "7.", "reasoning_content": "3 + 4 is 7"}]
    with pytest.raises(ValueError, match="does not write all of a completion's text: of '3 \\+ 4 is 7'"):
        render_pair({**conversation("7."), "chosen": answer}, tokenizer)
    parts = [{"role": "assistant", "content": "7."}, {"role": "user", "content": "Sure?"}]
    assert render_pair({**conversation("7."), "chosen": parts}, tokenizer)["chosen"].count("Sure?") == 1


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_system_prompt_is_written_or_refused(name):
    tokenizer = byte_tokenizer(SHIPPED[name])
    if name in WITHOUT_SYSTEM_PROMPT:
        with pytest.raises(ValueError, match="Leave out the system prompt if it is that"):
            render_completions("3 + 4?", ["7"], tokenizer, system_prompt="Be brief.")
    else:
        assert "Be brief." in render_completions("3 + 4?", ["7"], tokenizer, system_prompt="Be brief.")[0]


def test_a_system_prompt_that_the_template_drops_is_refused():
    tokenizer = byte_tokenizer("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}")
    with pytest.raises(ValueError, match=r"does not write the text of a system message, 'Be brief\.'"):
        render_completions("3 + 4?", (), tokenizer, system_prompt="Be brief.")


def test_a_variable_that_the_template_lacks_is_refused():
    tokenizer = byte_tokenizer(QWEN3)
    with pytest.raises(ValueError, match="has no variable 'enable_thinkin', so that it would be ignored"):
        render_completions("3 + 4?", (), tokenizer, chat_template_kwargs={"enable_thinkin": False})


def test_an_answer_that_the_template_leaves_out_is_refused():
    tokenizer = byte_tokenizer("{{ messages[0].content }}")
    with pytest.raises(ValueError, match="does not write the text of an assistant's message"):
        render_completions("3 + 4?", ["7"], tokenizer)


@pytest.mark.parametrize("name", ["add_generation_prompt", "tokenize"])
def test_a_variable_that_rendering_sets_is_refused(name):
    tokenizer = byte_tokenizer(QWEN3)
    with pytest.raises(ValueError, match=f"sets '{name}', which rendering sets itself"):
        render_completions("3 + 4?", (), tokenizer, chat_template_kwargs={name: False})
    with pytest.raises(ValueError, match=f"sets '{name}', which rendering sets itself"):
        check_conversation(conversation("7.")["prompt"], [conversation("7.")["chosen"]], tokenizer, {name: False})
