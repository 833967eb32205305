"""Pair rows of any of TRL's preference formats, read once for all checks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import is_encodable
from trl_weighted_dpo.core.pairs import PairError, PairLayout, as_pair


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as checks look at it.

    Args:
        row (`int`): 0-based row.
        columns (`Mapping[str, Any]`): All columns of the row.
        parts (`tuple[Any, Any, Any]`): Prompt, chosen and rejected: texts, or lists of messages.
        prompt, chosen, rejected (`str`): Their texts; messages are joined by line breaks.
        problem (`str`): The last user message, or the prompt if it is a text.
        prompt_key, chosen_key, rejected_key (`str`): The texts as they are compared: see [`comparable`].
    """

    row: int
    columns: Mapping[str, Any]
    parts: tuple[Any, Any, Any]
    prompt: str
    chosen: str
    rejected: str
    problem: str
    prompt_key: str
    chosen_key: str
    rejected_key: str


_PARTS = (schema.PROMPT, schema.CHOSEN, schema.REJECTED)


def comparable(text: str) -> str:
    """The text without what makes no difference: case, and how much white space there is."""
    return " ".join(text.casefold().split())


def text_digest(*texts: str) -> bytes:
    """Identity of texts in 16 bytes: BLAKE2b, so that two of a million collide with probability below 1e-26."""
    return hashlib.blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=16).digest()


def read_pair(columns: Mapping[str, Any], index: int, layout: PairLayout) -> Pair:
    """Read one row.

    Args:
        columns (`Mapping[str, Any]`): A pair row.
        index (`int`): Its 0-based position.
        layout ([`~core.pairs.PairLayout`]): What its columns mean.

    Raises:
        [`PairError`]: If it is no pair.
    """
    row = as_pair(columns, layout)
    for column in _PARTS:
        _check(column, row.get(column))
    prompt, chosen, rejected = (row[column] for column in _PARTS)
    if len({isinstance(part, str) for part in (prompt, chosen, rejected)}) > 1:
        raise PairError(f"{', '.join(_PARTS)} mix texts and conversations")
    texts = {schema.PROMPT: _text(prompt), schema.CHOSEN: _text(chosen), schema.REJECTED: _text(rejected)}
    for column in (schema.CHOSEN, schema.REJECTED):
        if not texts[column].strip():
            raise PairError(f"{column} is blank")
    keys = {f"{column}_key": comparable(text) for column, text in texts.items()}
    problem = texts[schema.PROMPT] if isinstance(prompt, str) else _last_user_message(prompt)
    return Pair(row=index, columns=columns, parts=(prompt, chosen, rejected), problem=problem, **texts, **keys)


def _check(column: str, value: object) -> None:
    if value is None:
        raise PairError(f"{column} is missing")
    if isinstance(value, list):
        for position, message in enumerate(value):
            if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
                raise PairError(f"{column}[{position}] is no message with a role")
    elif not isinstance(value, str):
        raise PairError(f"{column} is of type {type(value).__name__}: neither a text nor a list of messages")
    text = _text(value)
    if not text.strip():
        raise PairError(f"{column} is blank")
    if not is_encodable(text):
        raise PairError(f"{column} holds a broken surrogate, which no tokenizer reads")


def _text(part: Any) -> str:
    return part if isinstance(part, str) else "\n".join(_content(message) for message in part)


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    if not content and message.get("tool_calls"):
        return json.dumps(message["tool_calls"], default=str)
    return content if isinstance(content, str) else ""


def _last_user_message(prompt: list[Mapping[str, Any]]) -> str:
    asked = (_content(message) for message in reversed(prompt) if message["role"] == "user")
    return next((content for content in asked if content.strip()), _text(prompt))
