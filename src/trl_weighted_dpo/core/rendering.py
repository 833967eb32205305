"""Problems and solutions as the text that is trained on: a plain prompt, or the tokenizer's chat template."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.core.thinking import after_thought, without_thought
from trl_weighted_dpo.settings.common import DEFAULT_PROMPT_TEMPLATE

Message = Mapping[str, Any]
"""A message of a conversation, with `role` and `content`."""

_RESERVED = frozenset(
    {
        "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "padding",
        "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs", "truncation",
    }
)  # fmt: skip
"""Arguments of `apply_chat_template` that decide what it returns rather than what the template writes."""

_STAND_IN = "The answer stands here."
"""A completion that a chat template renders to show how it ends a turn."""

_CONTENT = ("content", "reasoning_content", "reasoning", "thinking")
"""Keys of a message whose text must survive rendering."""


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
    chat_template_kwargs: Mapping[str, Any] | None = None,
    train_on: str = "all",
) -> dict[str, Any]:
    """A copy of a pair whose `prompt`, `chosen` and `rejected` are ready for TRL as plain text.

    Args:
        pair (`Mapping[str, Any]`):
            Its `prompt` is the bare text of the problem, as mining leaves it; or all three are conversations, as lists
            of messages. Its own `chat_template_kwargs`, as TRL reads them, take precedence.
        tokenizer, prompt_template, system_prompt, chat_template_kwargs, train_on:
            As for [`render_completions`], which also says what is raised.
    """
    completions = pair[schema.CHOSEN], pair[schema.REJECTED]
    if train_on == "answer":
        _check_answers(*completions)
    prompt, (chosen, rejected) = render_completions(
        pair[schema.PROMPT],
        completions,
        tokenizer,
        prompt_template,
        system_prompt,
        pair_variables(pair, chat_template_kwargs),
        train_on,
    )
    return {**pair, schema.PROMPT: prompt, schema.CHOSEN: chosen, schema.REJECTED: rejected}


def render_completions(
    problem: str | Sequence[Message],
    completions: Sequence[str | Sequence[Message]],
    tokenizer: Any,
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE,
    system_prompt: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    train_on: str = "all",
) -> tuple[str, list[str]]:
    """A problem and completions of it as plain text for TRL.

    With a chat template, the prompt is the problem as a user message and the template's generation prompt. A completion
    that is text follows the prompt as it was sampled, thinking included, with what the template ends a turn with; it
    never passes through the template, which may drop, move or add thinking. One that is messages has to pass.

    Args:
        problem (`str` or `list[dict]`):
            Bare text of the problem, or the messages before the answer.
        completions (`Sequence[str | list[dict]]`):
            Solutions of it, each as text or as messages.
        tokenizer (`PreTrainedTokenizerBase`):
            If it has no chat template, `prompt_template` is used, and completions stay as they are.
        prompt_template (`str`, *optional*, defaults to `"{problem}\\n"`):
            Text with the placeholder `{problem}`; nothing else in braces is touched.
        system_prompt (`str`, *optional*):
            System message in front, with a chat template only, and unless the messages begin with one.
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            Variables of the chat template, such as `{"enable_thinking": False}`.
        train_on (`str`, *optional*, defaults to `"all"`):
            `"answer"` leaves the thought out of completions that are text, and closes the thought that a chat template
            opens in the prompt.

    Returns:
        The prompt and the completions.

    Raises:
        `ValueError`: If the template lacks `{problem}`, messages have no chat template to be rendered by, or the chat
            template refuses the messages, has no variable of `chat_template_kwargs`, loses text of the problem or of
            messages, or renders the prompt differently once messages follow.
    """
    if train_on == "answer":
        answers = [without_thought(text) if isinstance(text, str) else text for text in completions]
        prompt, rendered = render_completions(
            problem, answers, tokenizer, prompt_template, system_prompt, chat_template_kwargs
        )
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
    variables = chat_template_kwargs or {}
    _check_variables(variables, tokenizer)
    messages = _messages(problem, "user")
    if system_prompt and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system_prompt}, *messages]
    prompt = _rendered(messages, tokenizer, add_generation_prompt=True, **variables)
    _check_prompt(prompt, messages)
    written, end = _turn_end(messages, tokenizer, variables) if completions else ("", "")
    rendered = []
    for completion in completions:
        if isinstance(completion, str):
            rendered.append(_ended(completion, end))
        else:
            answer = _answer(prompt, messages, completion, tokenizer, variables)
            rendered.append(answer.removesuffix(written) + end if answer.endswith(written) else answer)
    return _without_bos(prompt, tokenizer), rendered


def pair_variables(pair: Mapping[str, Any], chat_template_kwargs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Variables of the chat template for a pair: those given, and the pair's own in their place."""
    own = pair.get(schema.CHAT_TEMPLATE_KWARGS) or {}
    # A column of mappings has each row's keys in every row, null where a row lacks them.
    return {**(chat_template_kwargs or {}), **{name: value for name, value in own.items() if value is not None}}


def turn_end(tokenizer: Any, chat_template_kwargs: Mapping[str, Any] | None = None) -> str:
    """What the chat template writes after an answer, such as `"<|im_end|>"`; `""` if there is nothing or no template.

    White space at its end is left out, and so is what follows the tokenizer's EOS token.

    Raises:
        `ValueError`: If the template does not render a question and an answer.
    """
    if not getattr(tokenizer, "chat_template", None):
        return ""
    return _turn_end(_messages("?", "user"), tokenizer, chat_template_kwargs or {})[1]


def check_conversation(
    prompt: Sequence[Message],
    completions: Sequence[Sequence[Message]],
    tokenizer: Any,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Check that the chat template renders completions after their prompt, and all of their text.

    Raises:
        `ValueError`: As [`render_completions`].
    """
    variables, messages = chat_template_kwargs or {}, list(prompt)
    _check_reserved(variables)
    rendered = _rendered(messages, tokenizer, add_generation_prompt=True, **variables)
    for completion in completions:
        _answer(rendered, messages, completion, tokenizer, variables)


def _answer(
    prompt: str, messages: list[Message], completion: Sequence[Message], tokenizer: Any, variables: Mapping[str, Any]
) -> str:
    """The messages of a completion as the template renders them after the prompt."""
    text = _rendered([*messages, *completion], tokenizer, **variables)
    way_out = (
        "Give `prompt`, `chosen` and `rejected` as text, rendered as the model writes it, or use another chat template."
    )
    if not text.startswith(prompt):
        raise ValueError(
            "The tokenizer's chat template renders the prompt differently once an answer follows, so that the "
            f"completion cannot be cut off: {text[: len(prompt)][-60:]!r} against {prompt[-60:]!r}. {way_out}"
        )
    answer = text[len(prompt) :]
    squeezed = _squeezed(answer)
    for part in _texts(completion):
        # Templates strip and join with white space of their own; what is lost otherwise is text.
        if _squeezed(part) not in squeezed:
            raise ValueError(
                f"The tokenizer's chat template does not write all of a completion's text: of {_short(part)} there is "
                f"{_short(answer)}. Templates of thinking models leave thinking out of messages. {way_out}"
            )
    return answer


def _check_prompt(prompt: str, messages: Sequence[Message]) -> None:
    squeezed = _squeezed(prompt)
    # Templates may leave thinking out of earlier answers.
    for message in (message for message in messages if message.get("role") in ("system", "user")):
        for text in _texts([message]):
            if _squeezed(text) not in squeezed:
                raise ValueError(
                    f"The tokenizer's chat template does not write the text of a {message['role']} message, "
                    f"{_short(text)}: it has no such role, or takes messages with images only. Leave out the system "
                    "prompt if it is that, or use another chat template."
                )


def _check_reserved(variables: Mapping[str, Any]) -> None:
    for name in variables:
        if name in _RESERVED:
            raise ValueError(f"chat_template_kwargs sets {name!r}, which rendering sets itself. Leave it out.")


def _check_variables(variables: Mapping[str, Any], tokenizer: Any) -> None:
    _check_reserved(variables)
    for name in variables:
        if not re.search(rf"\b{re.escape(name)}\b", str(tokenizer.chat_template)):
            raise ValueError(
                f"The tokenizer's chat template has no variable {name!r}, so that it would be ignored. Correct "
                "chat_template_kwargs, or leave it out."
            )


def _turn_end(messages: list[Message], tokenizer: Any, variables: Mapping[str, Any]) -> tuple[str, str]:
    """What the template writes after an answer, and what of it ends the turn."""
    answered = [*messages, {"role": "assistant", "content": _STAND_IN}]
    _, found, end = _rendered(answered, tokenizer, **variables).rpartition(_STAND_IN)
    if not found:
        raise ValueError(
            "The tokenizer's chat template does not write the text of an assistant's message, so that there is no "
            "telling how it ends a turn. Use another chat template."
        )
    # Models stop at their end token: some templates write a line break or the next turn's beginning after it.
    before, eos, _ = end.partition(tokenizer.eos_token) if tokenizer.eos_token else (end, "", "")
    return end, (before + eos).rstrip()


def _ended(text: str, end: str) -> str:
    stripped = text.rstrip()
    return stripped if end and stripped.endswith(end) else text + end


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


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        for content in (message.get(name) for name in _CONTENT):
            parts = content if isinstance(content, list) else [content]
            yield from (text for part in parts if isinstance(text := _text(part), str))


def _text(part: Any) -> Any:
    return part.get("text") if isinstance(part, Mapping) else part


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:50]}...{text[-27:]}")


def _without_bos(text: str, tokenizer: Any) -> str:
    # The tokenizer adds its own BOS when the text is tokenised; a second one from the template would stay unnoticed.
    bos = tokenizer.bos_token
    adds_bos = bool(bos) and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(bos) if adds_bos else text
