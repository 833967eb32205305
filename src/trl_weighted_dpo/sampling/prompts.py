"""A problem as the prompt that the model continues."""

from typing import Any

from trl_weighted_dpo.core.rendering import render_completions
from trl_weighted_dpo.settings.sampling import SamplingConfig


def render_prompt(problem: str, tokenizer: Any, config: SamplingConfig) -> str:
    """The prompt of a problem: without few-shot examples the one that scoring and training see.

    With a chat template the examples are earlier turns of the conversation. Without, each is the prompt template
    and the solution, an empty line after it, in front of the problem's own.

    Args:
        problem (`str`):
            Bare text.
        tokenizer (`PreTrainedTokenizerBase` or `None`):
            `None` is one without a chat template.
        config ([`SamplingConfig`]):
            Its template, system prompt, variables of the chat template and examples are used.

    Raises:
        `ValueError`: As [`~core.rendering.render_completions`].
    """
    if getattr(tokenizer, "chat_template", None):
        turns = [
            {"role": role, "content": text}
            for shot in config.few_shot
            for role, text in zip(("user", "assistant"), shot, strict=True)
        ]
        messages = [*turns, {"role": "user", "content": problem}]
        return render_completions(
            messages, (), tokenizer,
            system_prompt=config.system_prompt, chat_template_kwargs=config.chat_template_kwargs,
        )[0]  # fmt: skip
    template = config.prompt_template
    shown = [
        render_completions(text, (), tokenizer, template)[0] + solution + "\n\n" for text, solution in config.few_shot
    ]
    return "".join(shown) + render_completions(problem, (), tokenizer, template)[0]
