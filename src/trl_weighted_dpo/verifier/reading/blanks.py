"""Texts with every run of blanks as one, so that they read the same however wide their blanks are."""

import re
from bisect import bisect_right

_RUN = re.compile(r" {2,}")
_REACH = 3


def squeezed(text: str) -> str:
    """Returns `text` with one blank for each run of them."""
    return _RUN.sub(" ", text) if "  " in text else text


def before(text: str, position: int, length: int) -> str:
    """The last `length` squeezed characters before a position, fewer where blanks are very wide."""
    return squeezed(text[max(0, position - _REACH * length) : position])[-length:]


def after(text: str, position: int, length: int) -> str:
    """The first `length` squeezed characters from a position on, fewer where blanks are very wide."""
    return squeezed(text[position : position + _REACH * length])[:length]


class Squeezed:
    """A squeezed text that knows where its characters come from.

    Args:
        text (`str`): The text.
    """

    __slots__ = ("_places", "_shifts", "text")

    def __init__(self, text: str) -> None:
        self._places: list[int] = []
        self._shifts: list[int] = []
        shift = 0
        if "  " in text:
            for match in _RUN.finditer(text):
                self._places.append(match.start() - shift + 1)
                shift += match.end() - match.start() - 1
                self._shifts.append(shift)
        self.text = _RUN.sub(" ", text) if shift else text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The place in the original text of what is at `start` to `end` in the squeezed one."""
        if not self._places:
            return start, end
        return self._place(start), self._place(end - 1) + 1 if end > start else self._place(start)

    def _place(self, position: int) -> int:
        index = bisect_right(self._places, position)
        return position + (self._shifts[index - 1] if index else 0)
