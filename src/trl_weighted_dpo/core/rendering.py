"""Problems and solutions as the text that is trained on: a plain prompt, or the tokenizer's chat template."""

from collections.abc import Mapping, Sequence
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.settings.common import DEFAULT_PROMPT_TEMPLATE
from trl_weighted_dpo.verifier.reading.thinking import after_thought, without_thought

Message = Mapping[str, Any]
"""A message of a conversation, with `role` and `content`."""


def trained_row(row: Mapping[str, Any], train_on: str) -> Mapping[str, Any]:
    """A pool row whose solutions are what is trained on of them, without the profiles of those that are shorter now.

    Args:
        row (`Mapping[str, Any]`):
            Pool row.
        train_on (`str`):
            `"all"` leaves it as it is; `"answer"` leaves out thoughts, of candidates and of the reference solution.
    """
    if train_on == "all":
        return row
    candidates = []
    for candidate in row[schema.CANDIDATES]:
        text = without_thought(candidate[schema.SOLUTION])
        own = {name: value for name, value in candidate.items() if name != schema.PROFILE}
        candidates.append(candidate if text == candidate[schema.SOLUTION] else {**own, schema.SOLUTION: text})
    reference = row.get(schema.REFERENCE_SOLUTION)
    answer = {schema.REFERENCE_SOLUTION: without_thought(reference) or reference} if reference else {}
    return {**row, **answer, schema.CANDIDATES: candidates}


def render_pair(
    pair: Mapping[str, Any],
    tokenizer: Any,
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE,
    system_prompt: str | None = None,
    train_on: str = "all",
) -> dict[str, Any]:
    """A copy of a pair whose `prompt`, `chosen` and `rejected` are ready for TRL as plain text.

    Args:
        pair (`Mapping[str, Any]`):
            Its `prompt` is the bare text of the problem, as mining leaves it; or all three are conversations, as lists
            of messages.
        tokenizer, prompt_template, system_prompt, train_on:
            As for [`render_completions`], which also says what is raised.
    """
    completions = pair[schema.CHOSEN], pair[schema.REJECTED]
    if train_on == "answer":
        _check_answers(*completions)
    prompt, (chosen, rejected) = render_completions(
        pair[schema.PROMPT], completions, tokenizer, prompt_template, system_prompt, train_on=train_on
    )
    return {**pair, schema.PROMPT: prompt, schema.CHOSEN: chosen, schema.REJECTED: rejected}


def render_completions(
    problem: str | Sequence[Message],
    completions: Sequence[str | Sequence[Message]],
    tokenizer: Any,
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE,
    system_prompt: str | None = None,
    train_on: str = "all",
) -> tuple[str, list[str]]:
    """A problem and completions of it as plain text for TRL.

    Args:
        problem (`str` or `list[dict]`):
            Bare text of the problem, or the messages before the answer.
        completions (`Sequence[str | list[dict]]`):
            Solutions of it, each as text or as messages.
        tokenizer (`PreTrainedTokenizerBase`):
            If it has a chat template, the problem becomes a user message and each completion the assistant's;
            otherwise `prompt_template` is used, and completions stay as they are.
        prompt_template (`str`, *optional*, defaults to `"{problem}\\n"`):
            Text with the placeholder `{problem}`; nothing else in braces is touched.
        system_prompt (`str`, *optional*):
            System message in front, with a chat template only, and unless the messages begin with one.
        train_on (`str`, *optional*, defaults to `"all"`):
            `"answer"` leaves the thought out of completions that are text, and closes the thought that a chat template
            opens in the prompt.

    Returns:
        The prompt and the completions.

    Raises:
        `ValueError`: If the template lacks `{problem}`, messages have no chat template to be rendered by, or the chat
            template refuses the messages or renders the prompt differently once an answer follows.
    """
    if train_on == "answer":
        answers = [without_thought(text) if isinstance(text, str) else text for text in completions]
        prompt, rendered = render_completions(problem, answers, tokenizer, prompt_template, system_prompt)
        return after_thought(prompt), rendered
    if not getattr(tokenizer, "chat_template", None):
        if "{problem}" not in prompt_template:
            raise ValueError(f"prompt_template {prompt_template!r} lacks the placeholder {{problem}}.")
        if not isinstance(problem, str) or not all(isinstance(completion, str) for completion in completions):
            raise ValueError(
                "The pairs are conversations, but the tokenizer has no chat template to render them by. Set "
                "`tokenizer.chat_template` (in Axolotl `chat_template`), or give texts."
            )
        return prompt_template.replace("{problem}", problem), [str(completion) for completion in completions]
    messages = _messages(problem, "user")
    if system_prompt and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system_prompt}, *messages]
    prompt = _rendered(messages, tokenizer, add_generation_prompt=True)
    rendered = []
    for completion in completions:
        answered = [*messages, *_messages(completion, "assistant")]
        text = _rendered(answered, tokenizer)
        if not text.startswith(prompt):
            raise ValueError(
                "The tokenizer's chat template renders the prompt differently once an answer follows, so that the "
                f"completion cannot be cut off: {text[: len(prompt)][-60:]!r} against {prompt[-60:]!r}. Train on "
                "conversations with WeightedDPOTrainer, or use another chat template."
            )
        rendered.append(_until_eos(text[len(prompt) :], tokenizer))
    return _without_bos(prompt, tokenizer), rendered


def _check_answers(chosen: Any, rejected: Any) -> None:
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        return
    answers = without_thought(chosen), without_thought(rejected)
    way_out = "Drop the pair, or train on all of it (train_on: all)."
    for name, whole, answer in zip((schema.CHOSEN, schema.REJECTED), (chosen, rejected), answers, strict=True):
        if whole.strip() and not answer:
            raise ValueError(f"{name} is a thought without an answer after it: {excerpt(whole)}. {way_out}")
    if chosen != rejected and answers[0] == answers[1]:
        raise ValueError(f"chosen and rejected differ in their thoughts only: {excerpt(answers[0])}. {way_out}")


def _rendered(messages: list[Message], tokenizer: Any, **settings: Any) -> str:
    from jinja2.exceptions import TemplateError

    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **settings))
    except TemplateError as error:
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise ValueError(
            f"The tokenizer's chat template refuses messages of the roles {roles}: {error}. Leave out the system "
            "prompt if it is that (Gemma's has none), or use another chat template."
        ) from error


def _messages(content: str | Sequence[Message], role: str) -> list[Message]:
    return [{"role": role, "content": content}] if isinstance(content, str) else list(content)


def _without_bos(text: str, tokenizer: Any) -> str:
    # The tokenizer adds its own BOS when the text is tokenised; a second one from the template would stay unnoticed.
    bos = tokenizer.bos_token
    adds_bos = bool(bos) and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(bos) if adds_bos else text


def _until_eos(text: str, tokenizer: Any) -> str:
    # TRL appends EOS unless the text ends with it; templates such as Qwen's write a line break after it.
    stripped = text.rstrip()
    return stripped if tokenizer.eos_token and stripped.endswith(tokenizer.eos_token) else text
