"""Characters and words that no writer meant: broken encodings, lost escapes, text of many scripts at once."""

import re
from collections.abc import Iterator

from trl_weighted_dpo.verifier.reading.fault import Fault, shown

_BROKEN = re.compile(
    "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\ufffd\\ud800-\\udfff]"
    # `\frac`, `\times` and `\right` whose backslash was read as an escape, and UTF-8 read as Latin-1.
    "|\\f(?=rac|orall|box)|\\t(?=imes|ext\\{|heta\\b)|\\r(?=ight)|\u00e2\u20ac|\u00c3[\u0080-\u00bf]"
)
# Where one of these can be; a set of characters alone is searched several times as fast.
_SUSPICIOUS = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\u00c3\u00e2\\ufffd\\ud800-\\udfff]")
# Letters that do not serve as signs of mathematics, as Greek and Hebrew ones do. Japanese is written with Chinese ones.
_FOREIGN = re.compile(
    "(?P<cyrillic>[\u0400-\u052f])|(?P<arabic>[\u0600-\u06ff])|(?P<indic>[\u0900-\u0dff])|(?P<thai>[\u0e00-\u0e7f])"
    "|(?P<korean>[\uac00-\ud7af])|(?P<chinese>[\u3040-\u30ff\u4e00-\u9fff])"
)
_MAX_LETTERS = 2_000
_AROUND = 20


def debris_faults(text: str) -> Iterator[Fault]:
    """Yields `broken_characters` at the first character of a text that nobody writes, and `garbled_text` where letters
    of a second script beside Latin come in: a language may borrow the letters of one other, but not of two."""
    broken = _BROKEN.search(text) if _SUSPICIOUS.search(text) else None
    if broken is not None:
        code = f"U+{ord(broken.group()[0]):04X}"
        message = f"There is a broken character ({code}) in the text."
        yield Fault("broken_characters", broken.span(), None, code, message)
    if text.isascii():
        return
    first: str | None = None
    for match, _ in zip(_FOREIGN.finditer(text), range(_MAX_LETTERS), strict=False):
        if match.lastgroup != (first := first or match.lastgroup):
            words = shown(text[max(0, match.start() - _AROUND) : match.end() + _AROUND])
            message = f'The text turns into letters of several scripts that say nothing: "{words}"'
            yield Fault("garbled_text", match.span(), None, words, message)
            return
