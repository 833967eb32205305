"""An expression with what is written around it: currency, unit, percent sign, `million`, number base."""

from collections.abc import Sequence

from trl_weighted_dpo.verifier.reading.grammar import Name, Node, parse
from trl_weighted_dpo.verifier.reading.languages import is_bounded, leaves, split_scale
from trl_weighted_dpo.verifier.reading.nesting import is_mark
from trl_weighted_dpo.verifier.reading.tokens import Token, UnreadableError
from trl_weighted_dpo.verifier.reading.units import unit_name

_CURRENCIES = ("$", "\u20ac", "\u00a3", "\u00a5", "\u20b9")
# `\\$5k`: letters that multiply an amount of money only.
_MONEY_SCALES = {"k": 10**3, "K": 10**3, "m": 10**6, "M": 10**6, "b": 10**9, "B": 10**9}
# What follows an amount without telling what it is an amount of.
_NO_UNITS = frozenset({"each", "total", "altogether", "in", "all", "left", "more", "apiece", "remaining"})
# Words after an amount that change it: `42 or more`, `42 at most`.
_CHANGES = frozenset({
    "or", "at", "than", "not", "minus", "plus", "times", "below", "above", "under", "over", "maximum", "minimum",
    "most", "least", "higher", "lower", "upward", "upwards", "beyond", "wrong", "incorrect", "except", "but", "divided",
    "multiplied", "factorial", "mod", "modulo", "remainder", "choose", "to",
})  # fmt: skip
_POWERS = frozenset({"squared", "cubed"})
_ANGLE_FUNCTIONS = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})
MAX_BASE = 36


def read_quantity(tokens: Sequence[Token]) -> tuple[Node, bool, str | None, int]:
    """Returns the expression that `tokens` are, whether it is a percentage, its unit and the number that a word such as
    `million` multiplies it with.

    Raises:
        `UnreadableError`: If they are not one quantity.
    """
    based = _in_base(tokens)
    if based is not None:
        return based
    unit: list[Token] = []
    has_angle = any(token.kind == "function" and token.text in _ANGLE_FUNCTIONS for token in tokens)
    tokens = tokens if has_angle else _without_degree_group(tokens)
    start, end = 0, len(tokens)
    if is_mark(tokens[0], "-") and end > 2 and is_mark(tokens[1], *_CURRENCIES):
        tokens = [tokens[1], tokens[0], *tokens[2:]]
    if is_mark(tokens[0], *_CURRENCIES) and end > 1:
        unit.append(tokens[0])
        start = 1
    while start < end - 1 and tokens[start].kind in ("text", "word"):
        if leaves(tokens[start].text):
            start += 1
        elif tokens[start].kind == "text":
            raise UnreadableError("words before a value")
        else:
            break
    percent, scale = False, 1
    if (
        unit
        and tokens[end - 1].kind == "name"
        and tokens[end - 1].text in _MONEY_SCALES
        and tokens[end - 2].kind == "number"
    ):
        scale = _MONEY_SCALES[tokens[end - 1].text]
        end -= 1
    while end > start + 1:
        token = tokens[end - 1]
        if is_mark(token, "%") and not percent and not unit:
            percent = True
        elif is_mark(token, "degree") and has_angle:
            break
        elif is_mark(token, *_CURRENCIES, "degree") or token.kind == "text" or _is_unit_word(token, tokens[end - 2]):
            unit.insert(0, token)
        elif _is_rate(tokens[start:end]):
            unit = [*tokens[end - 3 : end], *unit]
            end -= 2
        else:
            cut = _raised_unit(tokens, start, end)
            if cut is None:
                break
            unit = [*tokens[cut:end], *unit]
            end = cut + 1
        end -= 1
        if end > start + 1 and is_mark(tokens[end - 1], "^") and is_mark(tokens[end], "degree"):
            end -= 1
    node = parse(tokens[start:end])
    if percent and isinstance(node, Name):
        raise UnreadableError("percent of a name")
    multiple, name = _scale(unit_name(unit).split())
    return node, percent, name or None, scale * multiple


def _scale(unit: list[str]) -> tuple[int, str]:
    """The number that the first word of a unit stands for, and the unit without it and without words that say
    nothing."""
    position = 1 if unit[:1] == ["dollar"] and len(unit) > 1 else 0
    if position < len(unit) and unit[position] in _POWERS:
        raise UnreadableError("a power in words")
    if not _CHANGES.isdisjoint(unit) or is_bounded(" ".join(unit)):
        raise UnreadableError("words that change a value")
    scale = 1
    if position < len(unit):
        scale, rest = split_scale(unit[position])
        unit = [*unit[:position], *([rest] if rest else []), *unit[position + 1 :]]
    while unit and unit[-1] in _NO_UNITS:
        unit = unit[:-1]
    if len(unit) > 1 and unit[0] == unit[-1] == "dollar":
        unit = unit[1:]
    return scale, " ".join(unit)


def _in_base(tokens: Sequence[Token]) -> tuple[Node, bool, str | None, int] | None:
    """`1011_2` and `1011_{2}`: the digits as a number, and their base as its unit."""
    body = [token for token in tokens if not is_mark(token, "{", "}")]
    if len(body) != 3 or not is_mark(body[1], "_") or not body[0].text.isdigit() or not body[2].text.isdigit():
        return None
    base = int(body[2].text[:3])
    if not 2 <= base <= MAX_BASE or max(map(int, body[0].text)) >= base:
        raise UnreadableError("unusual base")
    return parse(body[:1]), False, f"base {base}", 1


def _is_unit_word(token: Token, previous: Token) -> bool:
    return token.kind == "word" and (len(token.text) > 2 or previous.kind in ("number", "word", "text"))


def _is_rate(tokens: Sequence[Token]) -> bool:
    """Whether tokens end in a unit per another: `120 km/h`, `60 miles/hour`, but not in names as `5 xy/z` does."""
    if len(tokens) < 4 or not is_mark(tokens[-2], "/") or tokens[-4].kind != "number" or tokens[-3].kind != "word":
        return False
    return tokens[-1].kind == "word" or tokens[-1].text in ("h", "s")


def _raised_unit(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """Where a unit with an exponent begins that ends at `end`: `cm^2`, `\\text{m}^{3}`."""
    for size in (2, 4):
        cut = end - size - 1
        tail = tokens[cut + 1 : end]
        if (
            cut > start
            and len(tail) == size
            and is_mark(tail[0], "^")
            and tokens[cut].kind in ("text", "word")
            and any(token.kind == "number" for token in tail)
        ):
            return cut
    return None


def _without_degree_group(tokens: Sequence[Token]) -> Sequence[Token]:
    """With a plain degree sign for `^{\\circ}` at the end."""
    if len(tokens) > 4 and [token.text for token in tokens[-4:]] == ["^", "{", "degree", "}"]:
        return [*tokens[:-4], tokens[-2]]
    return tokens
