"""Statements in running text: every equation and comparison, with each side read completely or not at all."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from trl_weighted_dpo.verifier.reading.characters import Squeezed
from trl_weighted_dpo.verifier.reading.grammar import Node, Number
from trl_weighted_dpo.verifier.reading.items import Item, ItemKind, streams
from trl_weighted_dpo.verifier.reading.passage import Side, Statement, Step
from trl_weighted_dpo.verifier.reading.sides import calculated, expression, kinds_of
from trl_weighted_dpo.verifier.reading.units import singular
from trl_weighted_dpo.verifier.reading.vocabulary import leaves_number_free

MAX_STATEMENTS = 1_000
"""Statements of a text that are read at most."""

_MAX_ITEMS = 200
_MAX_LABEL = 80
_SIGNS = ("=", " is ", "<", ">", "equals", "\\", "\u2248", "\u2264", "\u2265", "\u2260", " are ", "makes", "gives")
_BEFORE_LABEL = frozenset({
    "a", "an", "the", "so", "thus", "then", "therefore", "hence", "and", "now", "but", "if",
})  # fmt: skip
_NO_UNIT = frozenset({
    "per", "in", "for", "of", "on", "at", "by", "so", "and", "the", "is", "are", "was", "each", "more", "less",
    "left", "total",
})  # fmt: skip
_DROPPED = frozenset({ItemKind.CONTEXT, ItemKind.UNIT, ItemKind.CURRENCY})
_WITHOUT_DROPPED = str.maketrans("", "", "".join(_DROPPED))
_ENDS_NUMBER = (ItemKind.NUMBER, ItemKind.PERCENT)
_SPAN = attrgetter("span")


def read_statements(plain: str, steps: Sequence[Step]) -> tuple[Statement, ...]:
    """Returns the statements of a text in plain characters, in order, at most `MAX_STATEMENTS`."""
    if not any(sign in plain for sign in _SIGNS):
        return ()
    found: list[Statement] = []
    starts = [step.span[0] for step in steps]
    text = Squeezed(plain)
    for source, items in streams(text.text):
        if source == "calculation":
            found.append(_calculation(text, starts, items[0]))
            continue
        for clause, kinds in _clauses(items):
            statement = _statement(text, starts, clause, kinds, source)
            if statement is not None:
                found.append(statement)
    found.sort(key=_SPAN)
    return tuple(found[:MAX_STATEMENTS])


def _clauses(items: list[Item]) -> Iterator[tuple[list[Item], str]]:
    """The clauses that have a relation, without one at their end, and the kinds of their items as a string, which is
    searched much faster than the items."""
    kinds = kinds_of(items)
    relation = kinds.find(ItemKind.RELATION)
    while relation >= 0:
        start, end = kinds.rfind(ItemKind.BOUNDARY, 0, relation) + 1, kinds.find(ItemKind.BOUNDARY, relation)
        end = end if end >= 0 else len(kinds)
        clause = kinds[start:end].rstrip(ItemKind.RELATION)
        if ItemKind.RELATION in clause:
            yield items[start : start + len(clause)], clause
        relation = kinds.find(ItemKind.RELATION, end)


def _statement(text: Squeezed, starts: list[int], items: list[Item], kinds: str, source: str) -> Statement | None:
    """The statement of a clause."""
    sides: list[Side] = []
    signs: list[str] = []
    begin = 0
    for part in kinds.split(ItemKind.RELATION):
        end = begin + len(part)
        if begin:
            _, sign, _, position = items[begin - 1]
            signs.append(sign)
        else:
            position = items[end][2]
        sides.append(_side(text, items[begin:end], part, position, not begin))
        begin = end + 1
    label = ""
    if sides[0].node is None:
        if all(side.node is None for side in sides):
            return None
        if kinds[0] != ItemKind.RELATION:
            label = _label(text.text[items[0][2] : items[kinds.index(ItemKind.RELATION) - 1][3]])
    if not source:
        is_latex = "\\" in text.text[max(0, items[0][2] - 2) : items[-1][3] + 2]
        source = "latex" if is_latex else "plain"
    return _stated(starts, sides, tuple(signs), source, label)


def _calculation(text: Squeezed, starts: list[int], item: Item) -> Statement:
    """The statement of `<<3*4=12>>`."""
    _, written, start, _ = item
    start += 2
    sides = []
    for piece in written[2:-2].split("="):
        node, value = calculated(piece)
        end = start + len(piece)
        sides.append(Side(text.span(start, end), node, value, _places(node), False, ""))
        start = end + 1
    return _stated(starts, sides, ("=",) * (len(sides) - 1), "calculator", "")


def _stated(starts: list[int], sides: list[Side], signs: tuple[str, ...], source: str, label: str) -> Statement:
    start, end = sides[0].span[0], sides[-1].span[1]
    return Statement(max(0, bisect_right(starts, start) - 1), (start, end), tuple(sides), signs, source, label)


def _side(text: Squeezed, items: list[Item], kinds: str, position: int, is_first: bool) -> Side:
    if not items:
        return Side(text.span(position, position), None, None, None, False, "")
    start, end = items[0][2], items[-1][3]
    if ItemKind.UNREADABLE in kinds or ItemKind.WORDS in kinds or len(items) > _MAX_ITEMS:
        return Side(text.span(start, end), None, None, None, False, "")
    kept = items
    kept_kinds = kinds.translate(_WITHOUT_DROPPED)
    if len(kept_kinds) < len(kinds):
        if not kept_kinds:
            return Side(text.span(start, end), None, None, None, False, "")
        is_number = kept_kinds == ItemKind.NUMBER
        if is_number:
            kept = [items[kinds.index(ItemKind.NUMBER)]]
        else:
            kept = [item for item in items if item[0] not in _DROPPED]
        end = kept[-1][3]
        if kinds[0] == ItemKind.CONTEXT:
            if is_first and _is_numbered(items, kept, kept_kinds):
                return Side(text.span(start, end), None, None, None, False, "")
            start = items[1][2]
    node, value = expression(kept, kept_kinds)
    if _is_lone(kept, kept_kinds):
        unit = _unit(items) if len(items) > len(kept) else ""
        return Side(text.span(start, end), node, value, _places(node), False, unit)
    if kept_kinds[-1] == ItemKind.PERCENT and node is not None and _is_lone(kept, kept_kinds[:-1]):
        return Side(text.span(start, end), node, value, len(kept[-2][1].partition(".")[2]), True, "")
    return Side(text.span(start, end), node, value, None, False, "")


def _is_lone(items: list[Item], kinds: str) -> bool:
    """Whether items of these kinds are one number, with a minus sign or without."""
    return kinds == ItemKind.NUMBER or (kinds == ItemKind.OPERATOR + ItemKind.NUMBER and items[0][1] == "-")


def _is_numbered(items: list[Item], kept: list[Item], kinds: str) -> bool:
    """`Day 1 = ...`: the number of something, not a value."""
    if items[1][0] == ItemKind.CURRENCY or kinds[-1] not in _ENDS_NUMBER:
        return False
    return _is_lone(kept, kinds.replace(ItemKind.PERCENT, "")) and not leaves_number_free(items[0][1])


def _places(node: Node | None) -> int | None:
    return (node.places or 0) if isinstance(node, Number) else None


def _unit(items: list[Item]) -> str:
    for kind, text, _, _ in items:
        if kind == ItemKind.CURRENCY:
            return "dollar"
        if kind == ItemKind.UNIT:
            word = text.partition(" ")[0].lower()
            return "" if word in _NO_UNIT else singular(word)
    return ""


def _label(text: str) -> str:
    words = text.lower().replace("\\text{", "").replace("}", "").replace("*", "").lstrip("-+\u2022 ").split()
    while words and words[0] in _BEFORE_LABEL:
        del words[0]
    return " ".join(words)[-_MAX_LABEL:]
