"""Pairs as the text that is trained on: a plain prompt, or the tokenizer's chat template."""

from collections.abc import Mapping
from typing import Any

from trl_weighted_dpo import schema

DEFAULT_PROMPT_TEMPLATE = "{problem}\n"


def render_pair(
    pair: Mapping[str, Any],
    tokenizer: Any,
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE,
    system_prompt: str | None = None,
) -> dict[str, Any]:
    """A copy of a mined pair whose `prompt`, `chosen` and `rejected` are ready for TRL as plain text.

    Args:
        pair (`Mapping[str, Any]`):
            Its `prompt` is the bare text of the problem, as mining leaves it.
        tokenizer (`PreTrainedTokenizerBase`):
            If it has a chat template, the problem becomes a user message and the completions the assistant's;
            otherwise `prompt_template` is used.
        prompt_template (`str`, *optional*, defaults to `"{problem}\\n"`):
            Text with the placeholder `{problem}`; nothing else in braces is touched.
        system_prompt (`str`, *optional*):
            System message in front, with a chat template only.

    Raises:
        `ValueError`: If the template lacks `{problem}`, or the chat template renders the prompt differently once an
            answer follows.
    """
    if not getattr(tokenizer, "chat_template", None):
        if "{problem}" not in prompt_template:
            raise ValueError(f"prompt_template {prompt_template!r} lacks the placeholder {{problem}}.")
        return {**pair, schema.PROMPT: prompt_template.replace("{problem}", pair[schema.PROMPT])}
    messages = [{"role": "system", "content": system_prompt}] if system_prompt else []
    messages.append({"role": "user", "content": pair[schema.PROMPT]})
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    rendered = {**pair, schema.PROMPT: _without_bos(prompt, tokenizer)}
    for column in (schema.CHOSEN, schema.REJECTED):
        answered = [*messages, {"role": "assistant", "content": pair[column]}]
        text = tokenizer.apply_chat_template(answered, tokenize=False)
        if not text.startswith(prompt):
            raise ValueError(
                "The tokenizer's chat template renders the prompt differently once an answer follows, so that the "
                f"completion cannot be cut off: {text[: len(prompt)][-60:]!r} against {prompt[-60:]!r}. Train on "
                "conversations with WeightedDPOTrainer, or use another chat template."
            )
        rendered[column] = _until_eos(text[len(prompt) :], tokenizer)
    return rendered


def _without_bos(text: str, tokenizer: Any) -> str:
    # The tokenizer adds its own BOS when the text is tokenised; a second one from the template would stay unnoticed.
    bos = tokenizer.bos_token
    adds_bos = bool(bos) and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(bos) if adds_bos else text


def _until_eos(text: str, tokenizer: Any) -> str:
    # TRL appends EOS unless the text ends with it; templates such as Qwen's write a line break after it.
    stripped = text.rstrip()
    return stripped if tokenizer.eos_token and stripped.endswith(tokenizer.eos_token) else text
