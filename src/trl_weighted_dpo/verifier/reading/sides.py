"""Items of an expression to its tree and exact value."""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache

from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.grammar import Node, Number, Operation, number, parse
from trl_weighted_dpo.verifier.reading.items import Item, ItemKind
from trl_weighted_dpo.verifier.reading.tokens import Token, UnreadableError

_MAX_FLAT_ITEMS = 60
_MAX_FLAT_DIGITS = 20
# Only short texts are remembered, so that hostile ones cannot fill the memory.
_MAX_REMEMBERED = 64
_SEPARATOR = "\n"
_OPERATOR = re.compile(r"(?<![eE])([-+*/^])")
_ALTERNATING = frozenset(ItemKind.NUMBER + (ItemKind.OPERATOR + ItemKind.NUMBER) * count for count in range(1, 20))
"""Kinds of numbers with an operator between each two."""


def written(text: str) -> Number:
    """The number that a lexeme writes.

    Raises:
        `UnreadableError`: If it is longer than the grammar allows.
    """
    return _written(text) if len(text) <= _MAX_REMEMBERED else number(_without_latex(text))


@lru_cache(maxsize=4096)
def _written(text: str) -> Number:
    if text.isdecimal() and len(text) <= _MAX_FLAT_DIGITS:
        return Number(_fraction(int(text)), 0)
    return number(_without_latex(text))


@lru_cache(maxsize=4096)
def _plain_number(text: str) -> tuple[Number, int | Fraction]:
    """The same, with its value as an integer where it is one, which is much faster to compute with."""
    node = _written(text)
    return node, node.value.numerator if node.value.denominator == 1 else node.value


@lru_cache(maxsize=4096)
def _fraction(value: int) -> Fraction:
    return Fraction(value)


def _without_latex(text: str) -> str:
    for mark in ("{", "}", "\\", "!"):
        text = text.replace(mark, "")
    return text.replace(",", "")


def kinds_of(items: Iterable[Item]) -> str:
    """The kinds of items, one character for each."""
    return "".join([item[0] for item in items])


def expression(items: Sequence[Item], kinds: str) -> tuple[Node | None, Fraction | None]:
    """The tree and the exact value of an expression; `None` for what cannot be read or has no exact value.

    Args:
        items (`Sequence[Item]`): The items.
        kinds (`str`): Their kinds.
    """
    if kinds == ItemKind.NUMBER and len(items[0][1]) <= _MAX_FLAT_DIGITS:
        node = _written(items[0][1])
        return node, node.value
    texts = [item[1] for item in items]
    if kinds in _ALTERNATING:
        text = "".join(texts)
        if len(text) <= _MAX_REMEMBERED:
            return calculated(text)
    text = _SEPARATOR.join(texts)
    return _remembered(text, kinds) if len(text) <= _MAX_REMEMBERED else _read(zip(kinds, texts, strict=True))


@lru_cache(maxsize=4096)
def calculated(text: str) -> tuple[Node | None, Fraction | None]:
    """The tree and the exact value of numbers with an operator between each two, such as `3*4`.

    Solutions say most of what they compute twice (`3 * 4 = <<3*4=12>>12`), and other solutions say it again.

    Args:
        text (`str`): The numbers and operators, 64 characters at most.
    """
    texts = _OPERATOR.split(text)
    if len(texts) == 1:
        node = _written(text)
        return node, node.value
    return _read([(ItemKind.OPERATOR if index % 2 else ItemKind.NUMBER, piece) for index, piece in enumerate(texts)])


@lru_cache(maxsize=4096)
def _remembered(text: str, kinds: str) -> tuple[Node | None, Fraction | None]:
    return _read(zip(kinds, text.split(_SEPARATOR), strict=True))


def _read(pairs: Iterable[tuple[str, str]]) -> tuple[Node | None, Fraction | None]:
    """Reads an expression from kinds and texts."""
    items = list(pairs)
    try:
        flat = _flat(items)
        if flat is not None:
            return flat
        node = parse([_token(kind, text) for kind, text in items])
    except UnreadableError:
        return None, None
    try:
        return node, exact(node)
    except (NotExactError, UnreadableError):
        return node, None


def _flat(items: Sequence[tuple[str, str]]) -> tuple[Node, Fraction | None] | None:
    """Sums of products of plain numbers, read without the grammar as most of what solutions compute; `None` for others.

    The tree is the one that the grammar gives.
    """
    if len(items) > _MAX_FLAT_ITEMS:
        return None
    terms: list[Node] = []
    total: int | Fraction = 0
    node: Node | None = None
    value: int | Fraction = 0
    is_defined = True
    is_negative = False
    sign = "+"
    for kind, text in items:
        if kind == ItemKind.NUMBER:
            if not sign or len(text) > _MAX_FLAT_DIGITS:
                return None
            factor, factor_value = _plain_number(text)
            if sign == "+" or sign == "-" or node is None:
                node, value = factor, factor_value
            elif sign == "*":
                node, value = Operation("*", (node, factor)), value * factor_value
            elif factor_value:
                node, value = Operation("/", (node, factor)), _quotient(value, factor_value)
            else:
                node, is_defined = Operation("/", (node, factor)), False
            sign = ""
        elif kind == ItemKind.OPERATOR and text != "^" and not sign:
            if text == "+" or text == "-":
                assert node is not None
                terms.append(_signed(node, is_negative))
                total = total - value if is_negative else total + value
                is_negative = text == "-"
            sign = text
        elif kind == ItemKind.OPERATOR and text == "-" and node is None and not is_negative:
            is_negative = True
        elif kind == ItemKind.PERCENT and not sign and isinstance(node, Number):
            node, value = Operation("%", (node,)), Fraction(value) / 100
        else:
            return None
    if node is None or sign:
        return None
    terms.append(_signed(node, is_negative))
    total = total - value if is_negative else total + value
    exact_total = _fraction(total) if isinstance(total, int) else total
    return terms[0] if len(terms) == 1 else Operation("+", tuple(terms)), exact_total if is_defined else None


def _quotient(value: int | Fraction, divisor: int | Fraction) -> int | Fraction:
    if isinstance(value, int) and isinstance(divisor, int):
        whole, rest = divmod(value, divisor)
        return Fraction(value, divisor) if rest else whole
    return Fraction(value) / divisor


def _signed(node: Node, is_negative: bool) -> Node:
    if not is_negative:
        return node
    return Number(-node.value, node.places) if isinstance(node, Number) else Operation("neg", (node,))


def _token(kind: str, text: str) -> Token:
    if kind == ItemKind.NUMBER:
        return Token("number", _without_latex(text))
    if kind == ItemKind.NAME:
        return Token("name", text)
    if kind == ItemKind.FUNCTION:
        return Token("function", text)
    return Token("mark", text)
