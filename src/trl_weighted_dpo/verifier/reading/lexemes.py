"""Running text to lexemes: phrases, numbers, signs and brackets with their places, plain and LaTeX in one pass."""

import re

Lexeme = tuple[str, str, int, int]
"""Kind (one of `LexemeKind`), text, start, end."""


class LexemeKind:
    """What a lexeme is."""

    WORDS = "w"
    """Words with single blanks between them, or one Greek letter."""
    ROMAN = "t"
    """Words set in roman."""
    NUMBER = "n"
    OPERATOR = "o"
    """`+ - * / ^`"""
    RELATION = "r"
    OPEN = "("
    CLOSE = ")"
    """Every bracket."""
    CALCULATOR = "<"
    CALCULATOR_END = ">"
    """The ends of `<<...>>`; all of `<<3*4=12>>`, with nothing but plain numbers and operators, is one `CALCULATOR`."""
    PERCENT = "%"
    CURRENCY = "$"
    DELIMITER = "d"
    """The end of a formula in a sentence."""
    FUNCTION = "f"
    """`frac`, `sqrt`, `binom`"""
    EXCLAMATION = "!"
    STOP = ","
    """What ends a clause."""
    LINE = "l"
    OPAQUE = "q"
    """Anything else."""


NUMBER = (
    r"\d{1,3}(?:(?:,|\{,\}|\\[!,]|,\\!)\d{3}){1,8}(?!\d)(?:\.\d{1,400})?"
    r"|(?:(?<=[$\u20ac\u00a3])\d{1,3}(?: \d{3}){1,8}|\d{1,3}(?: 000){1,4})(?![\d,.]?\d)"
    r"|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?![\w.]))?|\.\d+"
)
_WORD = r"[^\W\d_][^\W_]*(?:'[^\W_]*)?(?:_(?:\{[\w ,]{1,20}\}|[^\W_]{1,20}))?"
_FACTOR = r"(?:(?:0|[1-9]\d{0,14})(?:\.\d{1,17})?|\.\d{1,17})"
_SUM = rf"{_FACTOR}(?:[-+*/]{_FACTOR}){{0,20}}"
_MAX_CALCULATION = 60
# Words and numbers come first, as most of a text is these. Blanks after a lexeme are taken with it.
_LEXEME = re.compile(
    r"(?:(?P<x>(?:[xX](?<=[\d%)][xX])|[xX](?<=[\d%)] [xX]))(?=[ ]{0,2}(?:\\?\$[ ]?)?\.?\d|[ ]\())"
    rf"|(?P<w>{_WORD}(?:(?: |(?<=[^\W\d_]{{2}})-(?=[^\W\d_]{{2}})){_WORD}){{0,60}})"
    rf"|(?P<n>{NUMBER})"
    r"|(?P<skip>(?<=\d)-(?=[^\W\d_]{2})|\^\{\\circ\}|\^?\\circ\b|[\u00b0&'\"\x1f]"
    r"|\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|boxed|fbox)(?![a-zA-Z])|\\[,;:! ])"
    r"|(?P<l>(?:\n|\\\\(?![a-zA-Z(\[]))\s{0,80})"
    rf"|(?P<calculation><<(?=[\d.=+*/-]{{3,{_MAX_CALCULATION}}}>>){_SUM}(?:={_SUM})+>>)|(?P<lt><<)|(?P<gt>>>)"
    r"|(?P<stop>[-=]{1,3}>|<[-=]{0,2}>|[.,;:?\u2014\u2192\u21d2\u2234]|\\(?:[\[\]]|(?:q?quad|therefore|implies|to|iff"
    r"|[lL]?[rR]ightarrow|[lL]ongrightarrow|Longrightarrow)(?![a-zA-Z])))"
    r"|(?P<r><=|>=|==|!=|=~|~=|:=|=<(?!<)|[=<>\u2248\u2264\u2265\u2260\u2245\u2243])"
    r"|(?P<bold>\*\*)"
    r"|(?P<o>[-+*/^])"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<t>\\(?:text(?:bf|it|rm|normal)?|math(?:rm|it|sf)|mbox|hbox|operatorname)\s?\{(?P<roman>[^{}]{0,200})\})"
    r"|(?P<environment>\\(?:begin|end)\{(?P<layout>[a-zA-Z]{1,20}\*?)\})"
    r"|(?P<command>\\(?:[a-zA-Z]+|.))"
    r"|(?P<percent>%)|(?P<dollar>\$)|(?P<money>[\u20ac\u00a3\u00a5\u20b9])|(?P<root>\u221a)|(?P<shout>!)|(?P<q>\S)"
    r")[ ]{0,8}"
)
_KINDS = {
    "w": LexemeKind.WORDS,
    "n": LexemeKind.NUMBER,
    "o": LexemeKind.OPERATOR,
    "l": LexemeKind.LINE,
    "calculation": LexemeKind.CALCULATOR,
    "lt": LexemeKind.CALCULATOR,
    "gt": LexemeKind.CALCULATOR_END,
    "open": LexemeKind.OPEN,
    "close": LexemeKind.CLOSE,
    "percent": LexemeKind.PERCENT,
    "money": LexemeKind.CURRENCY,
    "shout": LexemeKind.EXCLAMATION,
    "q": LexemeKind.OPAQUE,
}

_COMMANDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("times", "cdot", "ast"), (LexemeKind.OPERATOR, "*")),
    "*": (LexemeKind.OPERATOR, "*"),
    "div": (LexemeKind.OPERATOR, "/"),
    **dict.fromkeys(("approx", "simeq", "sim", "cong"), (LexemeKind.RELATION, "approx")),
    **dict.fromkeys(("le", "leq", "leqslant"), (LexemeKind.RELATION, "<=")),
    **dict.fromkeys(("ge", "geq", "geqslant"), (LexemeKind.RELATION, ">=")),
    **dict.fromkeys(("ne", "neq"), (LexemeKind.RELATION, "!=")),
    "lt": (LexemeKind.RELATION, "<"),
    "gt": (LexemeKind.RELATION, ">"),
    "%": (LexemeKind.PERCENT, "%"),
    "$": (LexemeKind.CURRENCY, "$"),
    "(": (LexemeKind.DELIMITER, "("),
    ")": (LexemeKind.DELIMITER, ")"),
    **dict.fromkeys(("frac", "dfrac", "tfrac", "cfrac"), (LexemeKind.FUNCTION, "frac")),
    "sqrt": (LexemeKind.FUNCTION, "sqrt"),
    "binom": (LexemeKind.FUNCTION, "binom"),
    **{
        name: (LexemeKind.WORDS, name)
        for name in (
            "pi", "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "phi", "varphi", "omega",
            "sigma", "rho", "tau",
        )
    },
}  # fmt: skip
_RELATIONS = {
    "==": "=", ":=": "=", "=<": "<=", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
    **dict.fromkeys(("=~", "~=", "\u2248", "\u2245", "\u2243"), "approx"),
}  # fmt: skip
_LAYOUT = frozenset({"align", "aligned", "equation", "gather", "gathered", "split"})
_MAX_ENVIRONMENT = 4_000
_MATH_DOLLARS = re.compile(r"\$(?<!\\\$)(?=[^\s$])([^$\n]{1,400}+)(?<=[^\s$])\$(?!\d)")
_FORMULA = re.compile(r"[\\^_={]|[A-Za-z]\Z|[\d\s+*/().,%A-Za-z-]{1,20}\Z")


def lexemes(text: str) -> list[Lexeme]:
    """Returns the lexemes of a text in plain characters, in order. Blanks, LaTeX spacing and sizing are left out."""
    found: list[Lexeme] = []
    dollars_are_math: bool | None = None
    skip_until = 0
    for match in _LEXEME.finditer(text):
        group = match.lastgroup
        assert group is not None
        start, end = match.span(group)
        if start < skip_until:
            continue
        piece = match[group]
        kind = _KINDS.get(group)
        if kind is not None:
            found.append((kind, piece, start, end))
        elif group == "stop":
            found.append(_stop(text, piece, start, end, found))
        elif group == "r":
            found.append((LexemeKind.RELATION, _RELATIONS.get(piece, piece), start, end))
        elif group == "x":
            found.append((LexemeKind.OPERATOR, "*", start, end))
        elif group == "dollar":
            if dollars_are_math is None:
                dollars_are_math = _dollars_are_math(text)
            kind = LexemeKind.DELIMITER if dollars_are_math else LexemeKind.CURRENCY
            found.append((kind, "$", start, end))
        elif group == "skip":
            if piece == "'" and text[start - 1 : start].isdigit():
                # 5'10"
                found.append((LexemeKind.OPAQUE, "", start, end))
        elif group == "bold":
            if text[start - 1 : start].isalnum() and text[end : end + 1].isalnum():
                found.append((LexemeKind.OPERATOR, "^", start, end))
        elif group == "t":
            found.append((LexemeKind.ROMAN, match["roman"].strip(), start, end))
        elif group == "command":
            kind, name = _COMMANDS.get(piece[1:], (LexemeKind.OPAQUE, ""))
            found.append((kind, name, start, end))
        elif group == "root":
            found.append((LexemeKind.FUNCTION, "sqrt", start, end))
        elif match["layout"].rstrip("*") in _LAYOUT:
            found.append((LexemeKind.STOP, "", start, end))
        else:
            # A matrix or a table is one thing that cannot be read.
            found.append((LexemeKind.OPAQUE, "", start, end))
            closing = text.find(f"\\end{{{match['layout']}}}", end, end + _MAX_ENVIRONMENT)
            skip_until = closing if closing >= 0 else end
    return found


def _stop(text: str, piece: str, start: int, end: int, before: list[Lexeme]) -> Lexeme:
    """A mark that ends a clause, unless it stands between two digits (`2:30`, `3,4`) or is the sign of a ratio."""
    if piece in ",.:" and text[start - 1 : start].isdigit() and text[end : end + 1].isdigit():
        return (LexemeKind.OPAQUE, "", start, end)
    if piece == ":" and before and before[-1][0] == LexemeKind.NUMBER and text[start - 1 : start] == " ":
        return (LexemeKind.OPAQUE, "", start, end)
    if piece == "." and (text[end : end + 1] == "." or text[start - 1 : start] == "."):
        return (LexemeKind.OPAQUE, "", start, end)
    return (LexemeKind.STOP, piece, start, end)


def _dollars_are_math(text: str) -> bool:
    """Whether dollar signs enclose formulas in this text; else they are money."""
    return any(_FORMULA.search(match[1]) for match in _MATH_DOLLARS.finditer(text))
