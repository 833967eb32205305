"""Statements in running text: every equation and comparison, with each side read completely or not at all."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from trl_weighted_dpo.verifier.reading.blanks import Squeezed
from trl_weighted_dpo.verifier.reading.emission import Item
from trl_weighted_dpo.verifier.reading.grammar import Node, Number
from trl_weighted_dpo.verifier.reading.items import streams
from trl_weighted_dpo.verifier.reading.passage import Side, Statement, Step
from trl_weighted_dpo.verifier.reading.sides import expression
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
_DROPPED = frozenset("cu$")


def read_statements(plain: str, steps: Sequence[Step]) -> tuple[Statement, ...]:
    """Returns the statements of a text in plain characters, in order, at most `MAX_STATEMENTS`."""
    if not any(sign in plain for sign in _SIGNS):
        return ()
    found: list[Statement] = []
    starts = [step.span[0] for step in steps]
    text = Squeezed(plain)
    for source, items in streams(text.text):
        for parts in _clauses(items):
            statement = _statement(text, starts, parts, source)
            if statement is not None:
                found.append(statement)
    found.sort(key=_place)
    return tuple(found[:MAX_STATEMENTS])


def _place(statement: Statement) -> tuple[int, int]:
    return statement.span


def _clauses(items: list[Item]) -> Iterator[list[list[Item]]]:
    """The clauses that have a relation, each as its sides and relations by turns."""
    side: list[Item] = []
    parts: list[list[Item]] = [side]
    for item in items:
        kind = item[0]
        if kind == "|":
            if len(parts) > 1:
                yield parts
            side = []
            parts = [side]
        elif kind == "r":
            side = []
            parts += ([item], side)
        else:
            side.append(item)
    if len(parts) > 1:
        yield parts


def _statement(text: Squeezed, starts: list[int], parts: list[list[Item]], source: str) -> Statement | None:
    while len(parts) >= 3 and not parts[-1]:
        # A sign without anything after it.
        del parts[-2:]
    if len(parts) < 3:
        return None
    sides = [_side(text, parts[0], parts[1][0][2], True)]
    for index in range(2, len(parts), 2):
        sides.append(_side(text, parts[index], parts[index - 1][0][3], False))
    label = ""
    if sides[0].node is None:
        if all(side.node is None for side in sides):
            return None
        if parts[0]:
            label = _label(text.text[parts[0][0][2] : parts[0][-1][3]])
    start, end = sides[0].span[0], sides[-1].span[1]
    if not source:
        source = "latex" if _is_latex(text.text, parts) else "plain"
    signs = tuple([parts[index][0][1] for index in range(1, len(parts), 2)])
    return Statement(max(0, bisect_right(starts, start) - 1), (start, end), tuple(sides), signs, source, label)


def _is_latex(text: str, parts: list[list[Item]]) -> bool:
    first, last = parts[0] or parts[1], parts[-1]
    return "\\" in text[max(0, first[0][2] - 2) : last[-1][3] + 2]


def _side(text: Squeezed, items: list[Item], position: int, is_first: bool) -> Side:
    if not items:
        return Side(text.span(position, position), None, None, None, False, "")
    start, end = items[0][2], items[-1][3]
    if len(items) == 1 and items[0][0] == "n":
        node, value = expression(items)
        return Side(text.span(start, end), node, value, _places(node), False, "")
    kinds = [item[0] for item in items]
    if "?" in kinds or "w" in kinds or len(items) > _MAX_ITEMS:
        return Side(text.span(start, end), None, None, None, False, "")
    if _DROPPED.isdisjoint(kinds):
        kept = items
    else:
        kept = [item for item in items if item[0] not in _DROPPED]
        if not kept:
            return Side(text.span(start, end), None, None, None, False, "")
        end = kept[-1][3]
        if kinds[0] == "c":
            if is_first and _is_numbered(items, kept):
                return Side(text.span(start, end), None, None, None, False, "")
            start = items[1][2]
    node, value = expression(kept)
    last = kept[-1][0]
    is_percent = last == "%" and node is not None and len(kept) <= 3 and _is_lone(kept[:-1])
    if is_percent:
        return Side(text.span(start, end), node, value, len(kept[-2][1].partition(".")[2]), True, "")
    if last == "n" and len(kept) <= 2 and _is_lone(kept):
        return Side(text.span(start, end), node, value, _places(node), False, _unit(items))
    return Side(text.span(start, end), node, value, None, False, "")


def _is_lone(items: list[Item]) -> bool:
    """Whether items are one number, with a minus sign or without."""
    return items[-1][0] == "n" and (len(items) == 1 or (len(items) == 2 and items[0][:2] == ("o", "-")))


def _is_numbered(items: list[Item], kept: list[Item]) -> bool:
    """`Day 1 = ...`: the number of something, not a value."""
    if items[1][0] == "$" or kept[-1][0] not in "n%" or not _is_lone([item for item in kept if item[0] != "%"]):
        return False
    return not leaves_number_free(items[0][1])


def _places(node: Node | None) -> int | None:
    return (node.places or 0) if isinstance(node, Number) else None


def _unit(items: list[Item]) -> str:
    for kind, text, _, _ in items:
        if kind == "$":
            return "dollar"
        if kind == "u":
            word = text.partition(" ")[0].lower()
            return "" if word in _NO_UNIT else singular(word)
    return ""


def _label(text: str) -> str:
    words = text.lower().replace("\\text{", "").replace("}", "").replace("*", "").lstrip("-+\u2022 ").split()
    while words and words[0] in _BEFORE_LABEL:
        del words[0]
    return " ".join(words)[-_MAX_LABEL:]
