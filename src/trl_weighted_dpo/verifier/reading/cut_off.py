"""Whether a text seems to end before it was finished."""

import re

_UNFINISHED_END = re.compile(
    r"(?:[=+\-*/^(\[{<,:;\\&]|\b(?:the|a|an|of|and|or|to|is|are|was|by|per|than|for|with|in|on|at|from|that|so|plus|minus"
    r"|(?<!\d )times))$"
)
_BARE_OPERATION = re.compile(r"\d\s?[-+*x]\s?\$?[\d.,]{0,40}\d$")
_LONE_DOLLAR = re.compile(r"\$ ?(?:[\d.]|<<)|\d ?\$|\\\$")
_TAIL = 2_000


def is_cut_off(text: str) -> bool:
    """Returns whether the last sentence of `text` ends in an operator, an opening bracket, a separator or a word that
    needs another; in an operation that was not carried out; or with `<<`, brackets or math delimiters unbalanced."""
    text = text.rstrip()[-_TAIL:]
    line = " ".join(text[text.rfind("\n") + 1 :].split()).rstrip(" *_\"'`")
    sentence = line[max(line.rfind(". ", 0, -2), line.rfind("? ", 0, -2)) + 1 :]
    if _UNFINISHED_END.search(line[-40:].lower()):
        return True
    if "=" not in line[-60:] and _BARE_OPERATION.search(line[-60:]):
        return True
    if any(
        sentence.count(opening) > sentence.count(closing) for opening, closing in (("<<", ">>"), ("{", "}"), ("(", ")"))
    ):
        return True
    if text.count("\\[") > text.count("\\]") or line.count("\\(") != line.count("\\)"):
        return True
    return line.count("$") == 1 and not _LONE_DOLLAR.search(line)
