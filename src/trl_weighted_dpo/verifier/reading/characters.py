"""Plain characters for exotic ones, and one blank for each run of blanks.

A plain text is as long as its original, so that spans found in it hold there."""

import re
import unicodedata
from bisect import bisect_right

# Signs that people and models write for the ASCII one. Letters are left alone: a Cyrillic one is not the Latin one
# that it looks like.
_SAME = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys(
        "\u00a0\u1680\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t\r\f\v", " "
    ),
    **dict.fromkeys("\u00d7\u2715\u2716\u22c5\u00b7\u2217\u2219", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044\uff0f", "/"),
    **dict.fromkeys("\uff0e\uff61", "."),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\uff0b": "+",
    "\uff0c": ",",
    "\uff1a": ":",
    "\uff1d": "=",
    "\uff05": "%",
    "\uff04": "$",
    "\uff08": "(",
    "\uff09": ")",
    "\uff03": "#",
    "\u066b": ".",
    "\u066c": ",",
    "\u066a": "%",
    # A mark that cannot be seen still separates: dropping it would glue two numbers into one. Marks that reorder what
    # is seen stay as they are, and make an answer unreadable.
    **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", "\x1f"),
}


class _Plain(dict[int, str]):
    def __missing__(self, code: int) -> str:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        plain = str(digit) if digit is not None else _SAME.get(character, character)
        self[code] = plain
        return plain


_PLAIN = _Plain()


def plain(text: str) -> str:
    """Returns `text`, character for character, with decimal digits of every script, minus signs, spaces, times and
    division signs and full-width punctuation as their ASCII counterparts. The length does not change."""
    return text.translate(_PLAIN)


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


COMBINING = "".join(chr(code) for code in range(0x300, 0x1000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
"""Marks that are part of the letter before them, as vowels are in Indian scripts; to be used in a character class."""


def words_of(text: str) -> str:
    """Returns the letters and digits of a text with one blank for whatever is between them."""
    return " ".join("".join(c if c.isalnum() or c in COMBINING else " " for c in text).split())


def is_of_another_script(word: str) -> bool:
    """Whether a word has letters that are neither Latin nor Greek."""
    return not word.isascii() and any(character > "\u024f" and not _is_greek(character) for character in word)


def is_ideographic(character: str) -> bool:
    """Whether a letter is Chinese, Japanese or Korean, none of which is a variable."""
    return "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3"


def _is_greek(character: str) -> bool:
    return "\u0370" <= character <= "\u03ff" or "\u1f00" <= character <= "\u1fff" or not character.isalpha()
