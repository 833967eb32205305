"""Numbers at the head of lines, `Step 1:`, `1.`, `1)`, `(1)` or `First,`: the lists they make and the faults in them.

Lists nest and start anew (a plan and then its execution, cases, sub-parts), and start at any number; only what no such
reading explains is a fault. In which style the numbers are written, and from which one they count, changes nothing.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from trl_weighted_dpo.verifier.findings import Finding, finding
from trl_weighted_dpo.verifier.reading.passage import Mention

MAX_MARKERS = 400
"""Numbers at the head of lines that are read."""

_MAX_OPEN = 8
_MAX_GAP = 20

_COUNTING = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_NUMBERS = {word: number for words in (_COUNTING, _ORDINALS) for number, word in enumerate(words, start=1)}
_STEP = (
    rf"Steps?[ ]{{0,4}}\#?(?P<step>\d{{1,3}}|{'|'.join(_COUNTING)})(?P<step_part>(?:\.\d{{1,2}}){{1,3}}|[a-z])?"
    r"(?:[ ]{0,4}(?:-|,|to|and|&)[ ]{0,4}(?P<last>\d{1,3}))?[\])]?[*_]{0,3}[ ]{0,4}(?:[.:)\-](?!\d)|[(\u2014]|$)"
)
_JOINED = r"[ ]{0,20}(?:[+/=^<>&]|-[ ]|\*(?!\*))"
_AT_HEAD = re.compile(
    rf"[ ]{{0,20}}[#*_>\-\[(]{{0,8}}[ ]{{0,4}}[*_]{{0,3}}{_STEP}"
    r"|[ ]{0,20}[#*_>\-]{0,8}[ ]{0,4}[*_]{0,3}(?:"
    # A number that something follows on is that of a formula, or itself a part of one: `(1) + (2)`, `(1) and (2) give`.
    rf"\((?P<round>\d{{1,3}})\)(?!\(|[,;:.)]|{_JOINED}|[ ]{{0,20}}(?:and|or|gives?|implies|is)\b)"
    rf"|(?P<plain>\d{{1,3}})(?P<plain_part>(?:\.\d{{1,2}}){{1,3}})?(?P<mark>\\?\.|\)|:)[*_]{{0,3}}(?=[ ])(?!{_JOINED})"
    rf"|(?P<ordinal>{'|'.join(_ORDINALS)})(?:ly)?[*_]{{0,3}}[,:])",
    re.IGNORECASE | re.MULTILINE,
)
_INSIDE = re.compile(rf"(?<=[.!?:][ ])[ ]{{0,4}}[*_]{{0,3}}{_STEP}", re.MULTILINE)
_HEAD_NUMBER = re.compile(r"^[^A-Za-z\n]{0,12}?(?:Steps?[ ]{0,4})?[^\w\n]{0,4}(\d{1,3})(?!\d)", re.I | re.M)
_NEW_PART = re.compile(
    r"\b(?:case|part|method|option|approach|check|verif\w{1,9}|alternative\w{0,2}"
    r"|another|again|similarly)\b|:[ *_]{0,8}(?:\n|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Marker:
    """A number at the head of a line, or `Step 2:` at the head of a sentence.

    Args:
        number (`int`): The number.
        last (`int`): The same, or the end of a range: 3 for `Steps 2 and 3:`.
        is_part (`bool`): Whether it numbers a part of a step: `Step 2a:`, `2.1.`.
        style (`str`): How it is written: `"step"`, `"("`, `")"`, `"."`, `":"` or `"ordinal"`.
        span (`tuple[int, int]`): Start and end of it in the text.
    """

    number: int
    last: int
    is_part: bool
    style: str
    span: tuple[int, int]


@dataclass(slots=True)
class _List:
    """A list while it is read.

    Args:
        first (`int`): Its first number.
        last (`int`): Its latest number.
        end (`int`): Where that ends in the text.
        length (`int`): How many it has.
        left_out (`dict[int, Marker]`): The numbers that it left out, with the one that came instead.
    """

    first: int
    last: int
    end: int
    length: int = 1
    left_out: dict[int, Marker] = field(default_factory=dict)


@lru_cache(maxsize=4)
def read_markers(plain: str) -> tuple[Marker, ...]:
    """Returns the numbered heads of a text in plain characters, in order, at most `MAX_MARKERS`.

    Several dimensions ask for those of one text, which are remembered for them.
    """
    found: list[Marker] = []
    start = 0
    while start >= 0 and len(found) < MAX_MARKERS:
        match = _AT_HEAD.match(plain, start)
        if match is not None:
            found.append(_marker(match))
        start = plain.find("\n", start) + 1 or -1
    if "Step" in plain:
        found.extend(_marker(match) for match, _ in zip(_INSIDE.finditer(plain), range(MAX_MARKERS), strict=False))
        found.sort(key=lambda marker: marker.span)
    return tuple(found[:MAX_MARKERS])


def _marker(match: re.Match[str]) -> Marker:
    groups = match.groupdict()
    if groups["step"] is not None:
        style, text = "step", groups["step"]
    elif groups["round"] is not None:
        style, text = "(", groups["round"]
    elif groups["plain"] is not None:
        style, text = groups["mark"][-1], groups["plain"]
    else:
        style, text = "ordinal", groups["ordinal"]
    number = int(text) if text.isdigit() else _NUMBERS[text.lower()]
    is_part = bool(groups["step_part"] or groups.get("plain_part"))
    return Marker(number, max(number, int(groups["last"] or number)), is_part, style, match.span())


def bare(plain: str, markers: tuple[Marker, ...]) -> str:
    """Returns a text, character for character, with nothing but the number where [`read_markers`] found one, whatever
    its style."""
    pieces: list[str] = []
    reached = 0
    for marker in markers:
        start, end = marker.span
        pieces += (plain[reached:start], str(marker.number)[: end - start].center(end - start))
        reached = end
    return "".join((*pieces, plain[reached:]))


def counted(mentions: Sequence[Mention], markers: Sequence[Marker]) -> list[Mention]:
    """Returns the quantities of a text without those that only number its steps."""
    if not markers:
        return list(mentions)
    starts = [marker.span[0] for marker in markers]
    return [
        mention
        for mention in mentions
        if mention.span[0] >= markers[bisect_right(starts, mention.span[0]) - 1].span[1] or mention.span[0] < starts[0]
    ]


def numbering_faults(plain: str, markers: tuple[Marker, ...]) -> tuple[Finding, ...]:
    """Returns the faults in the numbers that [`read_markers`] found: `missing_step`, `repeated_number` and
    `number_out_of_order`, in order."""
    found: list[Finding] = []
    for style in dict.fromkeys(marker.style for marker in markers):
        of_style = [marker for marker in markers if marker.style == style]
        found.extend(_Lists(plain, of_style if style == "step" else _neighbours(of_style)).faults())
    return tuple(sorted(found, key=lambda fault: fault.span or (0, 0)))


def _neighbours(markers: list[Marker]) -> list[Marker]:
    """Those with a number at most two away: any other is no item of a list, but a sentence broken before a number."""
    numbers = {number for marker in markers for number in (marker.number, marker.last)}
    return [
        marker
        for marker in markers
        if any(marker.number + distance in numbers for distance in (-2, -1, 1, 2)) or marker.last > marker.number
    ]


class _Lists:
    """The lists that the numbers of one style make, read from the first to the last."""

    def __init__(self, plain: str, markers: list[Marker]) -> None:
        self.plain = plain
        self.markers = markers
        self.all: list[_List] = []
        self.opened: list[_List] = []
        self.restarted: list[tuple[_List, Marker]] = []

    def faults(self) -> Iterator[Finding]:
        for marker in self.markers:
            fault = self._take(marker)
            if fault is not None:
                yield fault
        if len({marker.number for marker in self.markers}) > 1:
            # A list that is all ones is numbered by whatever shows it.
            for abandoned, marker in self.restarted:
                if abandoned.length == 1:
                    yield _repeated(marker)
        for item in self.all:
            for marker in dict.fromkeys(item.left_out.values()):
                yield _missing([number for number, at in item.left_out.items() if at is marker], marker)

    def _take(self, marker: Marker) -> Finding | None:
        number = marker.number
        index = self._topmost(number - 1, number - 1)
        if index is None and marker.is_part:
            index = self._topmost(0, number)
        if index is not None:
            self._continue(index, marker)
            return None
        if number in {item.first for item in self.all} or not self.all:
            self._begin(marker)
            return None
        for item in reversed(self.opened):
            if item.left_out.pop(number, None) is not None:
                return _out_of_order(marker, item.last)
        index = self._topmost(number - 1 - _MAX_GAP, number - 1)
        if index is not None:
            item = self.opened[index]
            # Between "First," and "Third," there may be a "Next,".
            if marker.style != "ordinal":
                written = {int(head[1]) for head in _HEAD_NUMBER.finditer(self.plain, item.end, marker.span[0])}
                left_out = (missing for missing in range(item.last + 1, number) if missing not in written)
                item.left_out |= dict.fromkeys(left_out, marker)
            self._continue(index, marker)
            return None
        if any(item.first <= number <= item.last for item in self.opened):
            return _repeated(marker)
        return _out_of_order(marker, self.opened[-1].last) if number < self.all[0].first else None

    def _topmost(self, lowest: int, highest: int) -> int | None:
        """The index of the innermost list that stands between two numbers; of several, of the one that got furthest."""
        best: int | None = None
        for index in range(len(self.opened) - 1, -1, -1):
            last = self.opened[index].last
            if lowest <= last <= highest and (best is None or last > self.opened[best].last):
                best = index
        return best

    def _continue(self, index: int, marker: Marker) -> None:
        item = self.opened[index]
        del self.opened[index + 1 :]
        item.last = max(item.last, marker.last)
        item.end = marker.span[1]
        item.length += 1

    def _begin(self, marker: Marker) -> None:
        if self.opened and self.opened[-1].length == 1 and not self._is_new_part(marker):
            self.restarted.append((self.opened[-1], marker))
        item = _List(marker.number, marker.last, marker.span[1])
        self.all.append(item)
        self.opened = [*self.opened[-_MAX_OPEN:], item]

    def _is_new_part(self, marker: Marker) -> bool:
        """Whether something between a number and the same number again says why it begins anew."""
        before = self.markers[self.markers.index(marker) - 1]
        return _NEW_PART.search(self.plain, before.span[1], marker.span[0]) is not None


def _missing(numbers: list[int], marker: Marker) -> Finding:
    names = " and ".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]} to {numbers[-1]}"
    what = f"Step {names} is" if len(numbers) == 1 else f"Steps {names} are"
    message = f"{what} missing: the numbers go from {numbers[0] - 1} to {marker.number}."
    return finding(
        "structural_integrity",
        "missing_step",
        marker.span,
        message,
        expected=str(numbers[0]),
        found=str(marker.number),
    )


def _repeated(marker: Marker) -> Finding:
    message = f"The number {marker.number} is given to two steps."
    return finding("step_ordering", "repeated_number", marker.span, message, found=str(marker.number))


def _out_of_order(marker: Marker, last: int) -> Finding:
    message = f"Step {marker.number} comes after step {last}."
    return finding("step_ordering", "number_out_of_order", marker.span, message, found=str(marker.number))
