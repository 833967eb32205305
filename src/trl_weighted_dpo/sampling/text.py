"""Where completions end, in tokens and in text."""

from collections.abc import Sequence
from typing import Any


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
    """The ids that end a completion: the tokenizer's EOS, and those of a model's generation settings."""
    found = getattr(config, "eos_token_id", None)
    listed = found if isinstance(found, list) else [found]
    return [*dict.fromkeys(token for token in (*listed, tokenizer.eos_token_id) if token is not None)]
