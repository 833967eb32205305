"""Brackets that come in pairs, of LaTeX and of the calculator notation, and formulas with nothing in them."""

import re
from collections.abc import Iterator

from trl_weighted_dpo.verifier.reading.fault import Fault, shown

_PAIRED = re.compile(
    r"\\\\|\\[{}$]"  # a line break, and characters that stand for themselves
    r"|(?P<left>\\left(?![A-Za-z]))|(?P<right>\\right(?![A-Za-z]))"
    r"|\\begin[ ]{0,4}\{(?P<begin>[A-Za-z]{1,20}\*?)\}|\\end[ ]{0,4}\{(?P<end>[A-Za-z]{1,20}\*?)\}"
    r"|(?P<inline>\\\()|(?P<inline_end>\\\))|(?P<display>\\\[)|(?P<display_end>\\\])"
    r"|(?P<brace>\{)|(?P<brace_end>\})|(?P<dollars>\$\$?)"
)
_CLOSES = {"right": "left", "end": "begin", "inline_end": "inline", "display_end": "display", "brace_end": "brace"}
_PARTNER = {
    "left": "\\right", "right": "\\left", "inline": "\\)", "inline_end": "\\(", "display": "\\]", "display_end": "\\[",
    "brace": "}", "brace_end": "{",
}  # fmt: skip
_COMMAND_BEFORE = re.compile(r"(?:\\[A-Za-z]{1,30}\*?|[\^_}\]])[ ]{0,4}$")
_FORMULA = re.compile(r"\$[A-Za-z\\(\-]")
_MONEY = re.compile(r"\$[ ]{0,4}[\d.]|\d[ ]{0,4}\$(?![ ]{0,4}(?:[.,;:)?!\n]|$))")
_EMPTY = re.compile(
    r"\\[dtc]?(?:frac|binom)[ ]{0,4}\{(?:\s{0,8}\}|[^{}\n]{1,80}\}[ ]{0,4}\{\s{0,8}\})"
    r"|\\sqrt[ ]{0,4}(?:\[[^\[\]\n]{0,20}\])?[ ]{0,4}\{\s{0,8}\}"
    r"|(?<!\\)\\\(\s{0,8}\\\)|(?<!\\)\\\[\s{0,8}\\\]|\w\^[ ]{0,4}\{\s{0,8}\}"
)
_CALCULATION = re.compile(r"<<(?P<body>[^<>\n]{0,200})(?P<closed>>>)?|(?P<lone>(?<=\d)>>)")


def delimiter_faults(plain: str) -> Iterator[Fault]:
    """Yields the faults of a text in plain characters: `unbalanced_latex` and `unbalanced_calculation`, one for each
    sort of bracket at most, and `empty_latex` for the first formula with nothing in it."""
    if plain.count("<<") != plain.count(">>"):
        yield from _calculations(plain)
    # Dollar signs alone are money, unless one may open a formula.
    if "\\" in plain or ("$" in plain and ("{" in plain or "}" in plain or _FORMULA.search(plain))):
        yield from _brackets(plain)
    if "\\" in plain or "^" in plain:
        empty = _EMPTY.search(plain)
        if empty is not None:
            found = shown(empty.group())
            yield Fault("empty_latex", empty.span(), None, found, f"There is nothing in the formula {found}.")


def _calculations(plain: str) -> Iterator[Fault]:
    for match in _CALCULATION.finditer(plain):
        if match["closed"] or (match["body"] is not None and "=" not in match["body"]):
            continue
        if match["lone"]:
            missing, found = "<<", ">>"
        else:
            missing, found = ">>", shown(match.group())
        message = f"A calculation in << >> is not complete: {missing} is missing."
        yield Fault("unbalanced_calculation", match.span(), missing, found, message)
        return


def _brackets(plain: str) -> Iterator[Fault]:
    opened: dict[str, list[re.Match[str]]] = {"left": [], "begin": [], "inline": [], "display": [], "brace": []}
    closed: dict[str, re.Match[str]] = {}
    dollars: list[re.Match[str]] = []
    for match in _PAIRED.finditer(plain):
        sort = match.lastgroup
        if sort is None:
            continue
        if sort in opened:
            opened[sort].append(match)
        elif sort == "dollars":
            dollars.append(match)
        elif not _close(opened[_CLOSES[sort]], match["end"]):
            closed.setdefault(sort, match)
    for sort, waiting in opened.items():
        # In plain text a brace may stand alone: `f(x) = { x if x > 0`.
        lone = [match for match in waiting if sort != "brace" or _is_latex(plain, match.start())]
        if lone:
            yield _unbalanced(lone[0], _PARTNER.get(sort) or f"\\end{{{lone[0]['begin']}}}")
    for sort, match in closed.items():
        if not opened[_CLOSES[sort]] and (sort != "brace_end" or "\\" in plain):
            yield _unbalanced(match, _PARTNER.get(sort) or f"\\begin{{{match['end']}}}")
    yield from _dollars(plain, dollars)


def _is_latex(plain: str, brace: int) -> bool:
    return _COMMAND_BEFORE.search(plain, max(0, brace - 36), brace) is not None


def _close(waiting: list[re.Match[str]], environment: str | None) -> bool:
    """Closes the innermost one that is open, of an environment the innermost of that name."""
    for index in range(len(waiting) - 1, max(-1, len(waiting) - 20), -1):
        if environment is None or waiting[index]["begin"] == environment:
            del waiting[index]
            return True
    return False


def _dollars(plain: str, dollars: list[re.Match[str]]) -> Iterator[Fault]:
    for sign in ("$$", "$"):
        places = [match for match in dollars if match.group() == sign]
        # A dollar may be money; only in a text where none can be, each is one half of a pair.
        if len(places) % 2 and _FORMULA.search(plain) and not _MONEY.search(plain):
            yield _unbalanced(places[-1], sign)
            return


def _unbalanced(match: re.Match[str], partner: str) -> Fault:
    found = shown(match.group())
    return Fault("unbalanced_latex", match.span(), partner, found, f"The {found} has no {partner} that belongs to it.")
