"""What is wrong with the form of a text: the one shape in which the readers of form report."""

from typing import NamedTuple


class Fault(NamedTuple):
    """Something wrong with the form of a text.

    Args:
        kind (`str`): What, as a fixed short name.
        span (`tuple[int, int]`, *optional*): Start and end of it in the text; `None` if it is nowhere.
        expected (`str`, *optional*): What should be there.
        found (`str`, *optional*): What is there.
        message (`str`): One sentence that a student understands.
    """

    kind: str
    span: tuple[int, int] | None
    expected: str | None
    found: str | None
    message: str


_SHOWN = 60


def shown(text: str) -> str:
    """Returns `text` on one line, cut to a length that fits a message, with what cannot be printed written as code."""
    text = " ".join(text.split())
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "\u2026"
    return text if text.isprintable() else "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)
