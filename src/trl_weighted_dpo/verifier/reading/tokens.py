"""Answer text to tokens: plain and LaTeX notation in one linear pass, without checking what they mean."""

import re
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.characters import COMBINING, is_ideographic, is_of_another_script, plain
from trl_weighted_dpo.verifier.reading.languages import PERCENT_WORDS, without_verb

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
_OCLOCK = re.compile(r"\bo'clock\b", re.IGNORECASE)
# `1.234,50`, `1.234.567`, `1'234.50` and `1 234,50` can be read in one way only.
_LOCALE_NUMBER = re.compile(
    r"(?<![\w.,'])(?P<whole>\d{1,3}(?:\.\d{3})+(?=,\d)|\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:'\d{3})+"
    r"|\d{1,3}(?: \d{3})+(?=,\d))"
    r"(?:[.,](?P<decimals>\d{1,20}))?(?![.,']?\d)"
)
_PRIMES = re.compile(
    r"\s{0,4}\^\s?(?:\{\s?(?P<group>(?:\\prime\s?|'){1,4})\}|(?P<one>\\prime(?![a-z])))|\s?[\u2032\u2033\u2034]"
)
_PRIME_SIGNS = {"\u2032": "'", "\u2033": "''", "\u2034": "'''"}
_PERCENT_WORDS = re.compile(r"\b(?:per|pour|por) (?:cent|ciento|cento)\b", re.IGNORECASE)
_PERCENT_BEFORE = re.compile(r"\u767e\u5206\u4e4b\s?(\d+(?:\.\d+)?)")
_NEGATIVE = re.compile(
    r"\\(?:text|mbox|textrm|mathrm)\s?\{\s?(?:negative|minus)\s?\}"
    r"|\b(?:negative|minus)(?= ?(?:\\?\$ ?)?(?:\d|\\[dt]?frac|\\sqrt))",
    re.IGNORECASE,
)
# What models put beside an answer to say that it is done. A cross says that it is wrong, and stays unreadable.
_DONE = re.compile(
    r"\\(?:checkmark|blacksquare|qed)(?![a-z])"
    r"|[\u2705\u2714\u2713\u2611\ufe0f\u25a0\u25a1\u220e\u2b50\u2728\U0001f300-\U0001f64f\U0001f680-\U0001faff]"
)
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
    text = _NEGATIVE.sub("-", _DONE.sub(" ", text))
    if "'" in text or "prime" in text or not text.isascii():
        text = _PRIMES.sub(_prime_signs, _OCLOCK.sub("oclock", text))
        text = _PERCENT_BEFORE.sub(r"\1%", text)
    text = _PERCENT_WORDS.sub("percent", _LOCALE_NUMBER.sub(_locale_number, text))
    if "\\" in text:
        if "matrix" not in text and "array" not in text:
            text = _DOUBLED_BACKSLASH.sub(r"\\", text)
        text = _THIN_SPACES.sub(" ", _THOUSANDS.sub(",", text))
        text = _SPACING.sub(" ", text)
    elif "{" in text:
        text = _THOUSANDS.sub(",", text)
    return text.strip()


def _prime_signs(match: re.Match[str]) -> str:
    group = match["group"] or match["one"]
    if group is None:
        return _PRIME_SIGNS[match.group().strip()]
    return "'" * (group.count("prime") or group.count("'"))


def _locale_number(match: re.Match[str]) -> str:
    whole = re.sub(r"[.' ]", "", match["whole"])
    return f"{whole}.{match['decimals']}" if match["decimals"] else whole


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
    "\\mid": "|", "\\over": "over", "\\choose": "choose", "\\lfloor": "floor(", "\u230a": "floor(",
    "\\rfloor": "floor)", "\u230b": "floor)", "\\lceil": "ceil(", "\u2308": "ceil(", "\\rceil": "ceil)",
    "\u2309": "ceil)",
    "\u3001": ",", "\u060c": ",", "\uff1b": ";", "\u3002": ".", "\u0964": ".", "\uff01": "!",
}  # fmt: skip
_WORDS = {
    "and": ("mark", "and"), "or": ("mark", "and"),
    **dict.fromkeys(PERCENT_WORDS, ("mark", "%")),
    "dollar": ("mark", "$"), "dollars": ("mark", "$"), "usd": ("mark", "$"),
    "euro": ("mark", "\u20ac"), "euros": ("mark", "\u20ac"),
    "degree": ("mark", "degree"), "degrees": ("mark", "degree"), "\u00b0": ("mark", "degree"),
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
        "lg",
        "ln",
        "exp",
    ]
)
_NAMED_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|lg|exp"
_GLUED_FUNCTIONS = re.compile(rf"[a-zA-Z]?(?:(?:{_NAMED_FUNCTIONS})[a-zA-Z])+")
_GLUED_PIECE = re.compile(rf"(?P<function>{_NAMED_FUNCTIONS})|[a-zA-Z]")
_LOOK_LIKE_NAMES = frozenset("\u0445\u0443\u0425\u0423")
_RUNS = re.compile(r"[\u0000-\u024f\u0370-\u03ff\u1f00-\u1fff]+|[^\u0000-\u024f\u0370-\u03ff\u1f00-\u1fff]+")
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
    rf"(?P<number>{NUMBER})|(?P<command>\\(?:[a-zA-Z]+|.))|(?P<word>(?:[^\W\d_][{COMBINING}]*)+)"
    r"|(?P<mark>\*\*|<=|>=|=<|==|!=|~=|\+-|[^\w\s]|_)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_LISTS = frozenset({Token("mark", "("), Token("mark", "["), Token("mark", "{set")})
_BEFORE_LISTS = frozenset({",", ";", "=", "in", "cup", "and", "(", "[", "{set", ":"})
_LIST_END = re.compile(r"\s*(?:[)\]]|\\\}|\\rbrace)")
_REPEATING = re.compile(r"(\d{0,30})\.(\d{0,30})\s?\\(?:overline|bar|dot)\s?(?:\{\s?(\d{1,30})\s?\}|(\d))")
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁱⁿˣʸᵏᵐᵗ", "0123456789+-()inxykmt", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ᵢⱼₖₘₙₓₜ", "0123456789+-()ijkmnxt", strict=True))
_SCRIPTS = re.compile(f"(?P<raised>[{''.join(_RAISED)}]+)|(?P<lowered>[{''.join(_LOWERED)}]+)")
_VULGAR = {
    "\u00bd": "1/2", "\u2153": "1/3", "\u2154": "2/3", "\u00bc": "1/4", "\u00be": "3/4", "\u215b": "1/8",
    "\u215c": "3/8", "\u215d": "5/8", "\u215e": "7/8", "\u2155": "1/5", "\u2156": "2/5", "\u2157": "3/5",
    "\u2158": "4/5", "\u2159": "1/6", "\u215a": "5/6",
}  # fmt: skip


def _without_fancy_digits(text: str) -> str:
    if text.isascii():
        return text
    for character, fraction in _VULGAR.items():
        text = text.replace(character, f" {fraction} ")
    return _SCRIPTS.sub(_ascii_scripts, text)


def _ascii_scripts(match: re.Match[str]) -> str:
    if match["raised"]:
        return "^{" + "".join(map(_RAISED.__getitem__, match["raised"])) + "}"
    return "_{" + "".join(map(_LOWERED.__getitem__, match["lowered"])) + "}"


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
    if len(words) == 1 and words[0] in FUNCTIONS - {"frac", "binom"}:
        return [Token("function", words[0])]
    if [word for word in words if word != ","] in (["and"], ["or"]):
        return [Token("mark", "and")]
    if words[0] in ("and", "or") and after_value:
        # `5 \\text{ or five}`
        return [Token("mark", "and"), *_roman(" ".join(words[1:]), False)]
    if words[-1] in ("and", "or") and after_value and len(words) > 1:
        return [Token("text", " ".join(content.split()[:-1])), Token("mark", "and")]
    if len(words) == 1 and len(words[0]) == 1 and words[0].isalpha() and not is_ideographic(words[0]):
        return [Token("text" if after_value and words[0] in _UNIT_LETTERS else "name", words[0])]
    if words == [","] or words == [";"]:
        return [Token("mark", words[0])]
    return [Token("text", " ".join(content.split()))]


def _word(word: str, after_number: bool) -> list[Token]:
    lowered = word.lower()
    if lowered in _WORDS:
        return [Token(*_WORDS[lowered])]
    if word in FUNCTIONS - {"frac", "binom"}:
        return [Token("function", "log" if word == "lg" else word)]
    if is_of_another_script(word):
        return _foreign(word, after_number)
    if len(word) == 1:
        return [Token("name", _NAMES.get(word, word))]
    if _GLUED_FUNCTIONS.fullmatch(word):
        # `sinx`, `sinxcosx`
        pieces = (match for match in _GLUED_PIECE.finditer(word))
        return [Token("function" if match["function"] else "name", match.group()) for match in pieces]
    if after_number:
        for conjunction in ("and", "or"):
            # `x=1orx=2`: the conjunction is glued to the number before it.
            if word.startswith(conjunction):
                return [Token("mark", "and"), *_word(word[len(conjunction) :], False)]
    return [Token("word", word)]


def _foreign(word: str, after_number: bool) -> list[Token]:
    """A word with letters of other scripts: in roman, as a unit or an answer in words is. One letter that stands alone
    may be a variable, as Cyrillic ones that look like Latin ones are after a number, too."""
    if len(word) == 1 and (word in _LOOK_LIKE_NAMES or not after_number) and not is_ideographic(word):
        return [Token("name", word)]
    tokens: list[Token] = []
    for run in _RUNS.finditer(without_verb(word)):
        foreign = is_of_another_script(run.group())
        tokens += [Token("text", run.group())] if foreign else _word(run.group(), after_number)
    return tokens


def tokenize(text: str) -> list[Token]:
    """Splits tidied answer text into tokens. Math delimiters and blanks are dropped.

    Raises:
        `UnreadableError`: If there is a command or character that no answer of ours can hold.
    """
    text = _REPEATING.sub(_repeating_decimal, _without_fancy_digits(text))
    tokens: list[Token] = []
    position = 0
    after_number = quoted = False
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
            elif piece in "'\"":
                quoted = _quote(text, piece, position, tokens, quoted)
            elif piece not in "~`":
                tokens.append(Token("mark", _MARKS.get(piece, piece)))
        elif kind == "other":
            raise UnreadableError("unknown character")
        after_number = kind == "number"
    return tokens


def _quote(text: str, sign: str, position: int, tokens: list[Token], quoted: bool) -> bool:
    """Adds what a quotation mark before `position` says to `tokens`: a prime is part of the name before it, and the
    minutes or feet of a number. Returns whether a quotation is open."""
    before, following = text[position - 2 : position - 1], text[position : position + 1]
    last = tokens[-1] if tokens else None
    if (
        quoted
        or last is None
        or not (before.isalnum() or before in (")", "}", "'"))
        or (following.isalpha() and before.isalpha() and (last.kind != "name" or following.islower()))
    ):
        return not quoted and not before.isalnum()
    if last.kind == "number" or (last.kind == "text" and last.text[:1] in "\u2032\u2033"):
        tokens.append(Token("text", "\u2032" if sign == "'" else "\u2033"))
        if sign == "'" and last == tokens[-1]:
            tokens[-2:] = [Token("text", "\u2033")]
    elif sign == "'" and last.kind == "name":
        tokens[-1] = Token("name", last.text + sign)
    elif sign == "'" and last.kind == "mark":
        tokens.append(Token("mark", sign))
    return False


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
        return [Token("function", "log" if name == "lg" else name)], position
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
