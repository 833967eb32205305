"""Where completions end, in tokens and in text."""

from collections.abc import Mapping, Sequence
from typing import Any

from trl_weighted_dpo.core.rendering import turn_end


def cut(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop string."""
    return text[: min((at for at in (text.find(end) for end in stop) if at >= 0), default=len(text))]


def ended(text: str, stop: Sequence[str], is_cut: bool) -> tuple[str, bool]:
    """The text up to the first stop string, and whether the maximum length cut it.

    A stop string ends a completion even where the backend has passed over it, as a server does that does not know
    `stop`: what comes after it is not the solution's, so nothing of that was cut.
    """
    solution = cut(text, stop)
    return solution, is_cut and len(solution) == len(text)


def eos_ids(config: Any, tokenizer: Any) -> list[int]:
    """The ids that end a completion: those of a model's generation settings, the tokenizer's EOS, and the token with
    which the chat template ends a turn."""
    found = getattr(config, "eos_token_id", None)
    listed = found if isinstance(found, list) else [found]
    ends = (*listed, tokenizer.eos_token_id, _turn_end_id(tokenizer, turn_end(tokenizer)))
    return [*dict.fromkeys(token for token in ends if token is not None)]


def turn_end_stops(tokenizer: Any, chat_template_kwargs: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The text with which the chat template ends a turn, where [`eos_ids`] has no token for it."""
    end = turn_end(tokenizer, chat_template_kwargs)
    return (end,) if end and _turn_end_id(tokenizer, end) is None else ()


def decoded(ids: Sequence[int], tokenizer: Any) -> str:
    """The text of sampled tokens. Special tokens stay, since they mark thinking up in some models; tokenising the text
    gives them again."""
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _turn_end_id(tokenizer: Any, end: str) -> int | None:
    """The first token of a turn's end, if it is an added one: no text has it by chance."""
    first = next(iter(tokenizer(end, add_special_tokens=False)["input_ids"]), None) if end else None
    return first if first in tokenizer.added_tokens_decoder else None
