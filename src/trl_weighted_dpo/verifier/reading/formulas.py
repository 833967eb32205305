"""Formulas in words: `Total cost = Price * Number of pens = $3 * 5 = $15`, as labels and numbers."""

import re
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.grammar import number
from trl_weighted_dpo.verifier.reading.tokens import NUMBER, UnreadableError

MAX_FORMULAS = 200
"""Formulas of a text that are read at most."""

MAX_TERMS = 12
"""Operands of a side at most; a longer side is not read."""

_MAX_PIECE = 600
_MAX_LABEL = 80


@dataclass(frozen=True, slots=True)
class Term:
    """One operand of a side: a label, or a number with its unit.

    Args:
        span (`tuple[int, int]`): Start and end of it in the text.
        label (`str`): What it names, lower-cased, without articles; "" for a number.
        value (`Fraction`, *optional*): The number as written (20 for `20%`); `None` for a label.
        percent (`bool`): Whether a percent sign or word follows the number.
        unit (`str`): The words after the number, lower-cased; "" for none.
    """

    span: tuple[int, int]
    label: str
    value: Fraction | None
    percent: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TermSide:
    """One side of a formula: its operands, and the operators and brackets that hold them apart.

    Args:
        terms (`tuple[Term, ...]`): The operands, from left to right; at least one.
        shape (`str`): The side with `t` for each operand, such as `(t+t)*t`.
    """

    terms: tuple[Term, ...]
    shape: str


@dataclass(frozen=True, slots=True)
class WordFormula:
    """What a text writes as equal to a label or to an expression with labels.

    Args:
        label (`str`): The label, lower-cased, without articles; "" if the first side is no label but an expression.
        span (`tuple[int, int]`): Start and end of the formula in the text.
        sides (`tuple[TermSide | None, ...]`): What follows each equals sign, after the first side if that is an
            expression; `None` where it cannot be read.
    """

    label: str
    span: tuple[int, int]
    sides: tuple[TermSide | None, ...]


# A side that begins with words, or with a number and words: without one there is no formula to put numbers into.
_IN_WORDS = re.compile(r"=\s{0,3}\(?(?:\\text\{|\\?\$?[\d.,]{1,15}%?\s?(?:[-+*/x]|times)\s?\(?)?[A-Za-z]{2}")
_BEGINS_IN_WORDS = re.compile(r"^[A-Z][A-Za-z' ]{2,60}[ ][-+*/x][ ][^=\n]{1,60}=", re.MULTILINE)
_PIECE = re.compile(r"(?:[^\n.;:!?]|[.:](?=[\d$\\])|\.(?=[a-z]))+")
_BLANKED = re.compile(
    r"<<[^<>\n]{0,200}>>|\*\*|\([ ]?[a-z][a-z' -]{0,60}\)|\\(?:text|mathrm|textbf)\{|\\[()\[\]]", re.IGNORECASE
)
_OPERATOR = re.compile(
    r"\s(?P<times>[xX]|\\times|\\cdot|multiplied by|times)\s|\s(?P<minus>minus)\s|\s(?P<plus>plus)\s"
    r"|\s(?P<by>divided by)\s|\s(?P<spaced>[-/])\s|(?P<sign>[+*()])|(?<=[\d)])(?P<tight>[-/])(?=[\d($])"
)
_SIGNS = {"times": "*", "minus": "-", "plus": "+", "by": "/"}
_SHAPE = re.compile(r"\(*t\)*(?:[-+*/]\(*t\)*)*")
_VALUE = re.compile(
    rf"\\?\$?[ ]?(?P<number>{NUMBER})(?P<below>/\d{{1,6}}(?![\d/.]))?[ ]?(?P<percent>\\?%|per ?cent\b)?"
    r"(?P<unit>[ -]?[A-Za-z][A-Za-z/' -]{0,60})?"
)
_EQUALS = re.compile("=")
_DIGIT = re.compile(r"\d")
_SYMBOLS = frozenset("gmlhsL")
_ARTICLES = re.compile(r"\b(?:the|a|an)\b")
_LEADING = re.compile(r"^(?:so|then|thus|hence|therefore|and|now|we get|first|next)\b[ ,]*")
_NEXT_LABEL = re.compile(r" (?=[A-Z][a-z])")
_NOT_IN_LABELS = re.compile(r"[+*/<>(){}\\]|\s-|-\s")
# A list within a line: `- Rate: $10 per hour - Hours = 40`. There a dash takes nothing away.
_LISTED = re.compile(r"(?<=[\w.,:%)])[ ]-[ ](?=[A-Z][^=:\n+*/]{1,80}(?:=|:[ ]))")
_LIST_OPENS = re.compile(r"[.:][ ]-[ ]|(?:^|\n)[ ]{0,8}-[ ]")
_GIVEN = re.compile(
    rf"(?:^|\n|\.[ ])[ \t*-]{{0,8}}(?P<label>[A-Z][^=:;.\n]{{2,{_MAX_LABEL}}}):[ ]"
    rf"(?P<value>\\?\$?(?:{NUMBER})[^=.:;\n]{{0,40}})"
    r"(?=\.?(?:\n|$|[ ]))"
)


def read_formulas(plain: str) -> tuple[WordFormula, ...]:
    """Returns the formulas in words of a text in plain characters, in order, at most `MAX_FORMULAS`."""
    if not (_IN_WORDS.search(plain) or _BEGINS_IN_WORDS.search(plain)):
        return ()
    text = _BLANKED.sub(_blank, plain)
    if _LIST_OPENS.search(text):
        text = _LISTED.sub(".  ", text)
    found: list[WordFormula] = []
    for piece in _PIECE.finditer(text):
        if "=" in piece.group()[:_MAX_PIECE]:
            found.extend(_formulas(text, piece.start(), min(piece.end(), piece.start() + _MAX_PIECE)))
            if len(found) >= MAX_FORMULAS:
                break
    for given in _GIVEN.finditer(text):
        label, side = label_name(given["label"]), _side(text, *given.span("value"))
        if label and side is not None and side.shape == "t":
            found.append(WordFormula(label, given.span(), (side,)))
    found.sort(key=lambda formula: formula.span)
    return tuple(found[:MAX_FORMULAS])


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _formulas(text: str, start: int, end: int) -> list[WordFormula]:
    """The formulas of a sentence; `A = 2 * B A = 2 * 3` is two of `A`."""
    signs = [match.start() for match in _EQUALS.finditer(text, start, end)]
    edges = [*zip([start, *(sign + 1 for sign in signs)], [*signs, end], strict=True)]
    name, begin = _target(text, *edges[0])
    label = label_name(name)
    first = _side(text, begin, edges[0][1]) if not label else None
    sides: list[TermSide | None] = [first] if first is not None and len(first.terms) > 1 else []
    found: list[WordFormula] = []
    for left, right in edges[1:]:
        following = _next_target(text, left, right, name) if right != end else None
        sides.append(_side(text, left, right if following is None else following))
        if following is not None or right == end:
            if label or len(sides) > 1:
                found.append(WordFormula(label, (begin, right), tuple(sides)))
            if following is not None:
                name, begin = text[following:right].strip(), following
                label = label_name(name)
            sides = []
    return found


def _target(text: str, start: int, end: int) -> tuple[str, int]:
    """What stands before the first equals sign, from the last comma on."""
    begin = max(start, text.rfind(",", start, end) + 1)
    while begin < end and text[begin] in " -*#\"'":
        begin += 1
    return text[begin:end].strip(), begin


def _next_target(text: str, start: int, end: int, name: str) -> int | None:
    """Where the next formula's label begins in a side that runs into it."""
    side = text[start:end].rstrip()
    if name and len(side) > len(name) and side.lower().endswith(" " + name.lower()):
        return start + len(side) - len(name)
    value = _VALUE.match(side.lstrip())
    if value is None or value["unit"] is None:
        return None
    cut = _NEXT_LABEL.search(side)
    return start + cut.end() if cut else None


def label_name(text: str) -> str:
    """Returns a label in lower case, without articles and lead-in; "" if `text` is none. One letter keeps its case."""
    text = text.strip(" .,*\"'")
    if not text or len(text) > _MAX_LABEL or not text[0].isalpha() or _NOT_IN_LABELS.search(text):
        return ""
    if len(text) == 1:
        return text
    lowered = _LEADING.sub("", text.lower())
    return " ".join(_ARTICLES.sub(" ", lowered).split())


def _side(text: str, start: int, end: int) -> TermSide | None:
    terms: list[Term] = []
    shape = ""
    position = start
    for operator in (*_OPERATOR.finditer(text, start, end), None):
        stop = operator.start() if operator is not None else end
        if text[position:stop].strip():
            term = _term(text, position, stop) if len(terms) < MAX_TERMS else None
            if term is None:
                return None
            terms.append(term)
            shape += "t"
        if operator is not None:
            group = operator.lastgroup or ""
            shape += _SIGNS.get(group, operator[group])
            position = operator.end()
    return TermSide(tuple(terms), shape) if _SHAPE.fullmatch(shape) else None


def _term(text: str, start: int, end: int) -> Term | None:
    while start < end and text[start] in " }":
        start += 1
    while end > start and text[end - 1] in " .,}":
        end -= 1
    value = _VALUE.match(text, start, end)
    if value is None:
        label = label_name(text[start:end])
        return Term((start, end), label, None) if label else None
    unit = _NEXT_LABEL.split((value["unit"] or "").strip(" -"), maxsplit=1)[0]
    if len(unit) == 1 and unit not in _SYMBOLS and value.end() == value.start("unit") + 1:
        return None
    if value.end() < end and (text[value.end()] not in " ," or _DIGIT.search(text, value.end(), end)):
        return None
    try:
        read = number(value["number"]).value
    except UnreadableError:
        return None
    if value["below"]:
        below = int(value["below"][1:])
        if not below:
            return None
        read /= below
    return Term((start, value.end()), "", read, value["percent"] is not None, unit.lower())
