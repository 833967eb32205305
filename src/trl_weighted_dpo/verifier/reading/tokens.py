"""Answer text to tokens: plain and LaTeX notation in one linear pass, without checking what they mean."""

import re
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.characters import plain

MAX_ANSWER_LENGTH = 2_000
"""Characters of an answer that are read at most; a longer one cannot be read."""

NUMBER = (
    r"(?:[1-9]\d{0,2}(?:,\d{3}){1,12}(?!,?\d)|[1-9]\d{0,2}(?: \d{3}){1,12}(?!\d)|\d+)"
    r"(?:\.\d+)?(?:[eE][+-]?\d{1,6}(?!\w))?|\.\d+(?:[eE][+-]?\d{1,6}(?!\w))?"
)
"""A number without its sign: thousands in groups (`1,000`, `1 000`), a decimal point, scientific notation."""


class UnreadableError(ValueError):
    """The text is not an answer that can be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Args:
        kind (`str`):
            `"number"`, `"name"` (one letter or a known constant), `"word"` (several letters), `"function"`, `"text"`
            (set in roman, such as a unit), `"mark"` (an operator, bracket or separator) or `"environment"`.
        text (`str`):
            What it says, with synonyms folded: every `\\leq` is `<=`.
    """

    kind: str
    text: str


_THOUSANDS = re.compile(r"(?<=\d)\s*(?:\{\s*,\s*\}|,\s*\\!)\s*(?=\d)")
_HALF_OF_DAY = re.compile(r"\b([ap])\. ?m\b\.?", re.IGNORECASE)
_THIN_SPACES = re.compile(r"(?<=\d)\\[,;: ](?=\d)")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[a-zA-Z()\[\]{}%$,;!])")
_SPACING = re.compile(
    r"(?<!\\)\\(?:[,;:! ]|(?:q?quad|displaystyle|textstyle|limits|left|right|[bB]igg?[lrm]?|hfill|boxed|fbox|therefore)"
    r"(?![a-z])|q?quad)"
)


def tidy(text: str) -> str:
    """Returns `text` in plain characters, without LaTeX spacing and sizing, thousands joined by plain commas.

    Raises:
        `UnreadableError`: If `text` is longer than `MAX_ANSWER_LENGTH`.
    """
    if len(text) > MAX_ANSWER_LENGTH:
        raise UnreadableError("answer too long")
    text = _HALF_OF_DAY.sub(r"\1m", plain(text).replace("\n", " "))
    if "\\" in text:
        if "matrix" not in text and "array" not in text:
            text = _DOUBLED_BACKSLASH.sub(r"\\", text)
        text = _THIN_SPACES.sub(" ", _THOUSANDS.sub(",", text))
        text = _SPACING.sub(" ", text)
    elif "{" in text:
        text = _THOUSANDS.sub(",", text)
    return text.strip()


_MARKS = {
    "\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "**": "^",
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\u2264": "<=", "=<": "<=",
    "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\u2265": ">=", "\\lt": "<", "\\gt": ">",
    "\\ne": "!=", "\\neq": "!=", "\u2260": "!=", "==": "=", "\\equiv": "equiv", "\u2261": "equiv",
    "\\approx": "approx", "\\simeq": "approx", "\\sim": "approx", "\u2248": "approx", "~=": "approx",
    "\\in": "in", "\u2208": "in", "\\cup": "cup", "\u222a": "cup", "\\cap": "cap", "\u2229": "cap",
    "\\pm": "pm", "\u00b1": "pm", "+-": "pm", "\\{": "{set", "\\lbrace": "{set", "\\}": "set}", "\\rbrace": "set}",
    "\\langle": "(", "\\rangle": ")", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "\\colon": ":",
    "\\%": "%", "\\$": "$", "\\euro": "\u20ac", "\\pounds": "\u00a3",
    "\\circ": "degree", "\\degree": "degree", "\u00b0": "degree", "\\lbrack": "[", "\\rbrack": "]",
}  # fmt: skip
_WORDS = {
    "and": ("mark", "and"), "or": ("mark", "and"),
    "percent": ("mark", "%"), "pct": ("mark", "%"), "percentage": ("mark", "%"),
    "dollar": ("mark", "$"), "dollars": ("mark", "$"), "usd": ("mark", "$"),
    "euro": ("mark", "\u20ac"), "euros": ("mark", "\u20ac"),
    "degree": ("mark", "degree"), "degrees": ("mark", "degree"),
    "pi": ("name", "pi"), "infinity": ("name", "infinity"), "inf": ("name", "infinity"),
}  # fmt: skip
_NAMES = {"\\pi": "pi", "\u03c0": "pi", "\\infty": "infinity", "\u221e": "infinity", "\\emptyset": "emptyset",
          "\\varnothing": "emptyset", "\u2205": "emptyset", "\\imath": "i"}  # fmt: skip
GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Sigma",
        "Phi",
        "Psi",
        "Omega",
        "ell",
    ]
)
FUNCTIONS = frozenset(
    [
        "sqrt",
        "frac",
        "binom",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "log",
        "ln",
        "exp",
    ]
)
_FRACTIONS = frozenset({"dfrac", "tfrac", "cfrac"})
_LETTER_LIST = re.compile(r"\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*")
_UNIT_LETTERS = frozenset("mgshlLNJWVK")
_ROMAN = frozenset(
    [
        "text",
        "textbf",
        "textit",
        "textrm",
        "textnormal",
        "mbox",
        "mathrm",
        "mathit",
        "mathbf",
        "operatorname",
        "mathsf",
        "hbox",
    ]
)
_DECORATIONS = frozenset(["angle", "triangle", "overline", "vec", "bar", "widehat", "hat", "mathbb", "mathcal"])

_TOKEN = re.compile(
    rf"(?P<number>{NUMBER})|(?P<command>\\(?:[a-zA-Z]+|.))|(?P<word>[^\W\d_]+)"
    r"|(?P<mark>\*\*|<=|>=|=<|==|!=|~=|\+-|[^\w\s]|_)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_LISTS = frozenset({Token("mark", "("), Token("mark", "["), Token("mark", "{set")})
_BEFORE_LISTS = frozenset({",", ";", "=", "in", "cup", "and", "(", "[", "{set", ":"})
_LIST_END = re.compile(r"\s*(?:[)\]]|\\\}|\\rbrace)")
_REPEATING = re.compile(r"(\d{0,30})\.(\d{0,30})\s?\\(?:overline|bar|dot)\s?(?:\{\s?(\d{1,30})\s?\}|(\d))")
_SUPERSCRIPTS = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")
_SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_VULGAR = {"\u00bd": "1/2", "\u2153": "1/3", "\u2154": "2/3", "\u00bc": "1/4", "\u00be": "3/4", "\u215b": "1/8"}


def _without_fancy_digits(text: str) -> str:
    if text.isascii():
        return text
    for character, fraction in _VULGAR.items():
        text = text.replace(character, f" {fraction} ")
    return _SUPERSCRIPT.sub(lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)


def _repeating_decimal(match: re.Match[str]) -> str:
    """`0.1\\overline{6}` as a fraction: all digits less those before the period, over as many nines and zeros."""
    whole, fixed, period = match[1], match[2], match[3] or match[4]
    numerator = int(whole + fixed + period) - int(whole + fixed or "0")
    return f"({numerator}/{'9' * len(period)}{'0' * len(fixed)})"


def _braced(text: str, start: int) -> int:
    """Returns the index after the group that opens at or after blanks from `start`, or `start` if none opens there."""
    position = start
    while position < len(text) and text[position] == " ":
        position += 1
    if position >= len(text) or text[position] != "{":
        return start
    depth = 0
    for index in range(position, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    raise UnreadableError("unbalanced braces")


def _roman(content: str, after_value: bool) -> list[Token]:
    """What a `\\text{...}` says: a number and what is with it, a separator, a percent sign, one letter, or a piece of
    text. One letter after a value is its unit."""
    if any(map(str.isdigit, content)) or _LETTER_LIST.fullmatch(content):
        return tokenize(content)
    words = re.findall(r"[^\W_]+|[^\w\s]", content)
    if not words:
        return []
    if len(words) == 1 and words[0].lower() in _WORDS:
        return [Token(*_WORDS[words[0].lower()])]
    if [word for word in words if word != ","] in (["and"], ["or"]):
        return [Token("mark", "and")]
    if len(words) == 1 and len(words[0]) == 1 and words[0].isalpha():
        return [Token("text" if after_value and words[0] in _UNIT_LETTERS else "name", words[0])]
    if words == [","] or words == [";"]:
        return [Token("mark", words[0])]
    return [Token("text", " ".join(content.split()))]


def _word(word: str, after_number: bool) -> list[Token]:
    lowered = word.lower()
    if lowered in _WORDS:
        return [Token(*_WORDS[lowered])]
    if word in FUNCTIONS - {"frac", "binom"}:
        return [Token("function", word)]
    if len(word) == 1:
        return [Token("name", _NAMES.get(word, word))]
    if after_number:
        for conjunction in ("and", "or"):
            # `x=1orx=2`: the conjunction is glued to the number before it.
            if word.startswith(conjunction):
                return [Token("mark", "and"), *_word(word[len(conjunction) :], False)]
    return [Token("word", word)]


def tokenize(text: str) -> list[Token]:
    """Splits tidied answer text into tokens. Math delimiters and blanks are dropped.

    Raises:
        `UnreadableError`: If there is a command or character that no answer of ours can hold.
    """
    text = _REPEATING.sub(_repeating_decimal, _without_fancy_digits(text))
    tokens: list[Token] = []
    position = 0
    after_number = False
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None
        position = match.end()
        piece = match.group()
        kind = match.lastgroup
        if kind == "number":
            tokens += _numbers(text, match, tokens)
        elif kind == "word":
            tokens += _word(piece, after_number)
        elif kind == "command":
            new, position = _command(text, piece, position, bool(tokens) and tokens[-1].kind == "number")
            tokens += new
        elif kind == "mark":
            if piece in _NAMES:
                tokens.append(Token("name", _NAMES[piece]))
            elif piece == "\u221a":
                tokens.append(Token("function", "sqrt"))
            elif piece == "\u00a2":
                tokens.append(Token("text", "cent"))
            elif piece == "\u211d":
                tokens += [Token("mark", "\\mathbb"), Token("name", "R")]
            elif piece == "$" and not _is_currency(text, match.start()):
                pass
            elif piece not in "~'\"`":
                tokens.append(Token("mark", _MARKS.get(piece, piece)))
        elif kind == "other":
            raise UnreadableError("unknown character")
        after_number = kind == "number"
    return tokens


def _numbers(text: str, match: re.Match[str], before: list[Token]) -> list[Token]:
    """A number; or several, if its commas separate: `(10,100)` is a pair, as nobody puts one number in brackets. A
    group that begins with 0 shows that it is a number all the same."""
    piece = match.group()
    if (
        "," in piece
        and ",0" not in piece
        and before
        and before[-1] in _LISTS
        and (len(before) == 1 or (before[-2].kind == "mark" and before[-2].text in _BEFORE_LISTS))
        and _LIST_END.match(text, match.end())
    ):
        return [Token(*item) for part in piece.split(",") for item in (("mark", ","), ("number", part))][1:]
    return [Token("number", piece)]


def _is_currency(text: str, position: int) -> bool:
    """A dollar sign is money, not a math delimiter, if it is the only one and a number follows."""
    return text.count("$") - text.count("\\$") == 1 and text[position + 1 : position + 2] in set(" .0123456789-")


def _command(text: str, command: str, position: int, after_value: bool) -> tuple[list[Token], int]:
    name = command[1:]
    if command in _MARKS:
        return [Token("mark", _MARKS[command])], position
    if command in _NAMES:
        return [Token("name", _NAMES[command])], position
    if name in FUNCTIONS:
        return [Token("function", name)], position
    if name in _FRACTIONS:
        return [Token("function", "frac")], position
    if name in GREEK:
        return [Token("name", name)], position
    if name in _ROMAN:
        end = _braced(text, position)
        return _roman(text[position:end].strip()[1:-1].replace("\\", ""), after_value), end
    if name in ("begin", "end"):
        end = _braced(text, position)
        environment = text[position:end].strip()[1:-1]
        if environment in ("align", "align*", "aligned", "equation", "equation*", "gather*"):
            return [], end
        return [Token("environment", f"{name} {environment}")], end
    if name in _DECORATIONS:
        return [Token("mark", "\\" + name)], position
    if name in set("()[]"):
        return [], position
    if name == "\\":
        return [Token("mark", "\\\\")], position
    if name == "|":
        return [Token("mark", "|")], position
    raise UnreadableError(f"unknown command {command[:20]}")
