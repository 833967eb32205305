"""Lists of tokens taken apart at brackets, environments and separators."""

from collections.abc import Sequence

from trl_weighted_dpo.verifier.reading.tokens import Token

MAX_GROUPS = 8
"""TeX groups around everything that are taken off."""

BRACKETS = frozenset({"(", "[", "{", "{set"})
OPENING = BRACKETS | {"floor(", "ceil("}
CLOSING = frozenset({")", "]", "}", "set}", "floor)", "ceil)"})


def is_mark(token: Token, *texts: str) -> bool:
    return token.kind == "mark" and token.text in texts


def top_level(tokens: Sequence[Token], texts: frozenset[str]) -> list[int]:
    """Positions of the marks `texts` outside brackets and environments."""
    positions, depth = [], 0
    for index, token in enumerate(tokens):
        if token.kind == "environment":
            depth += 1 if token.text.startswith("begin") else -1
        elif token.kind == "mark":
            if token.text in OPENING:
                depth += 1
            elif token.text in CLOSING:
                depth -= 1
            elif depth == 0 and token.text in texts:
                positions.append(index)
    return positions


def split(tokens: Sequence[Token], texts: frozenset[str]) -> list[Sequence[Token]]:
    pieces, start = [], 0
    for position in top_level(tokens, texts):
        pieces.append(tokens[start:position])
        start = position + 1
    pieces.append(tokens[start:])
    return pieces


def strip(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without separators, full stops and markup at the ends, and without TeX groups around everything."""
    for _ in range(MAX_GROUPS):
        if len(tokens) > 2 and is_mark(tokens[0], "*") and is_mark(tokens[-1], "*"):
            tokens = tokens[1:-1]
        start, end = 0, len(tokens)
        while start < end and is_mark(tokens[start], ",", ";", "and", ".", ":", "?"):
            start += 1
        while end > start and is_mark(tokens[end - 1], ",", ";", "and", ".", ":", "?", "\\\\"):
            end -= 1
        tokens = tokens[start:end]
        if len(tokens) < 2 or not is_mark(tokens[0], "{") or not encloses(tokens):
            break
        tokens = tokens[1:-1]
    return tokens


def encloses(tokens: Sequence[Token]) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0:
            return index == len(tokens) - 1
    return False
