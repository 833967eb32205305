"""Where completions end, in tokens and in text."""

from collections.abc import Sequence
from typing import Any


def cut(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop string."""
    return text[: min((at for at in (text.find(end) for end in stop) if at >= 0), default=len(text))]


def eos_ids(config: Any, tokenizer: Any) -> list[int]:
    """The ids that end a completion: the tokenizer's EOS, and those of a model's generation settings."""
    found = getattr(config, "eos_token_id", None)
    listed = found if isinstance(found, list) else [found]
    return [*dict.fromkeys(token for token in (*listed, tokenizer.eos_token_id) if token is not None)]
