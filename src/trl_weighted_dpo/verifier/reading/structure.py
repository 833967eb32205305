"""An answer's text to its form: a quantity, words, a list, an interval, an equation and so on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Operation, parse
from trl_weighted_dpo.verifier.reading.nesting import (
    BRACKETS,
    CLOSING,
    OPENING,
    encloses,
    is_mark,
    split,
    strip,
    top_level,
)
from trl_weighted_dpo.verifier.reading.quantities import read_quantity
from trl_weighted_dpo.verifier.reading.tokens import Token, UnreadableError, tidy, tokenize

MAX_ITEMS = 64


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression with what was written around it.

    Args:
        node (`Node`): The expression.
        percent (`bool`): Whether a percent sign or word followed it.
        unit (`str`, *optional*): The unit that followed it, folded to one spelling.
        scale (`int`): What a word such as `million` after it multiplies it with.
    """

    node: Node
    percent: bool = False
    unit: str | None = None
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, or a choice letter; lower-cased, without punctuation."""

    text: str


@dataclass(frozen=True, slots=True)
class Many:
    """Several forms. `kind` is `"list"` (bare), `"set"`, `"tuple"` (in parentheses), `"bracket"` (in square brackets),
    `"union"`, `"ratio"` or `"matrix"` (a list of rows)."""

    kind: str
    items: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval; `left_closed` and `right_closed` say which ends belong to it."""

    left: "Form"
    right: "Form"
    left_closed: bool
    right_closed: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value with the name it was given: `x = 5`, or `x \\in [0, 1]`, then `member` is set. `equation` is the same as
    an equation of two expressions, where it is one, and `argument` the bound name of a function: the `t` of
    `f(t) = t^2`."""

    label: str
    value: "Form"
    member: bool = False
    equation: "Relation | None" = None
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of sides with one relation sign between each two."""

    sides: tuple["Form", ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice letter with what it stands for: `(B) 42`."""

    letter: str
    value: "Form"


Form = Quantity | Words | Many | Interval | Labelled | Relation | Choice

_INFINITY = Name("infinity")
_EVERY_NUMBER = Interval(Quantity(Operation("neg", (_INFINITY,))), Quantity(_INFINITY), False, False)
_EVERY_NUMBER_IN_WORDS = frozenset({"all real numbers", "all reals", "real numbers", "the set of all real numbers"})
_MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array"})
_CHOICES = frozenset("ABCDEFGH")
_CHOICE_WORDS = frozenset({"option", "choice", "answer"})
_ARTICLES = frozenset({"a", "an", "the"})
# `42 or more`
_OPEN_ENDED = frozenset({
    "more", "less", "fewer", "greater", "higher", "lower", "larger", "smaller", "above", "below", "under", "over",
    "older", "younger", "later", "earlier", "so", "better", "worse", "longer", "shorter",
})  # fmt: skip
_SUCH_THAT = frozenset({"|", ":"})
_RELATIONS = frozenset({"=", "<", "<=", ">", ">=", "!=", "approx", "in", "equiv"})


def read_form(text: str) -> Form:
    """Returns the form of an answer's text.

    Raises:
        `UnreadableError`: If the text is no answer that can be read, or ambiguous, or passes a limit.
    """
    return form_of(tokenize(tidy(text)))


def form_of(tokens: Sequence[Token]) -> Form:
    """Returns the form of an answer's tokens; raises as [`read_form`]."""
    return _form(tokens)


def _form(tokens: Sequence[Token], depth: int = 0) -> Form:
    tokens = strip(tokens)
    if not tokens:
        raise UnreadableError("empty answer")
    if depth > 8:
        raise UnreadableError("nested too deeply")
    choice = _choice(tokens) if depth == 0 else None
    words = _words(tokens) if choice is None else None
    if words is not None:
        return _EVERY_NUMBER if words.text in _EVERY_NUMBER_IN_WORDS else words
    if is_mark(tokens[0], "\\mathbb") and [token.text for token in tokens[1:] if not is_mark(token, "{", "}")] == ["R"]:
        return _EVERY_NUMBER

    def inner(piece: Sequence[Token]) -> Form:
        return _form(piece, depth + 1)

    if choice is not None:
        return Choice(choice[0], inner(choice[1]))
    for separators in (frozenset({";"}), frozenset({",", "and"})):
        if top_level(tokens, separators):
            return _listed([piece for piece in split(tokens, separators) if strip(piece)], inner)
    if top_level(tokens, _RELATIONS):
        return _related(tokens, inner)
    if top_level(tokens, frozenset({"cup"})):
        return Many("union", tuple(inner(piece) for piece in split(tokens, frozenset({"cup"}))))
    if top_level(tokens, frozenset({":"})):
        return _ratio(tokens, inner)
    if tokens[0].kind == "environment":
        return _matrix(tokens, inner)
    if top_level(tokens, frozenset({"pm"})):
        both = [[Token("mark", sign) if is_mark(t, "pm") else t for t in tokens] for sign in "+-"]
        return Many("list", tuple(inner(piece) for piece in both))
    if tokens[0].kind == "mark" and tokens[0].text in BRACKETS and encloses(tokens):
        bracketed = _bracketed(tokens, inner)
        if bracketed is not None:
            return bracketed
    compound = _compound(tokens)
    if compound is not None:
        return Many("list", tuple(map(inner, compound)))
    return Quantity(*read_quantity(tokens))


def _compound(tokens: Sequence[Token]) -> list[Sequence[Token]] | None:
    """The parts of `1 hour 30 minutes` and `5'10"`: two or three numbers with a unit each."""
    starts = [index for index, token in enumerate(tokens) if token.kind == "number"]
    if not 2 <= len(starts) <= 3 or starts[0] != 0 or len(tokens) > 3 * len(starts):
        return None
    parts = [tokens[start:end] for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]
    has_units = all(
        len(part) > 1 and all(token.kind in ("text", "word", "name") for token in part[1:]) for part in parts
    )
    return parts if has_units else None


def _words(tokens: Sequence[Token]) -> Words | None:
    """The answer in words that `tokens` are: nothing but words, one of three letters or set in roman, or one letter in
    parentheses, a choice."""
    spoken = [token for token in tokens if not is_mark(token, "(", ")", ".", "-", ",", "and", "?", "*")]
    if len(spoken) == 1 and all(token is spoken[0] or is_mark(token, "(", ")", ".", "*") for token in tokens):
        is_choice = spoken[0].kind == "name" and len(spoken[0].text) == 1 and len(tokens) > 1
        return (
            Words(_letters(spoken[0].text))
            if is_choice or spoken[0].kind == "text" or _is_spoken_word(spoken[0])
            else None
        )
    if any(token.kind not in ("word", "name", "text") for token in spoken):
        return None
    if not any(token.kind == "text" or _is_spoken_word(token) for token in spoken):
        return None
    return Words(_letters(" ".join(token.text for token in spoken)))


def _choice(tokens: Sequence[Token]) -> tuple[str, Sequence[Token]] | None:
    """The letter and the rest of `(B) 42`, `\\textbf{(B)} 42`, `B) 42` and `B. 42`."""
    start = 1 if is_mark(tokens[0], "(") else 0
    letter = tokens[start] if start < len(tokens) else tokens[0]
    if letter.kind == "text":
        is_closed, rest = letter.text.endswith((")", ".")), tokens[start + 1 :]
    else:
        closing = (")",) if start else (")", ".")
        is_closed, rest = len(tokens) > start + 2 and is_mark(tokens[start + 1], *closing), tokens[start + 2 :]
    name = letter.text.strip("(). ")
    if not is_closed or letter.kind not in ("name", "text") or name not in _CHOICES or not rest:
        return None
    if letter.kind == "name" and not is_mark(tokens[start + 1], ")") and rest[0].kind in ("text", "word"):
        # `D. none of these`, but not the initial in `A. B. Smith`.
        return (name.casefold(), rest) if not any(is_mark(token, ".") for token in rest) else None
    starts_value = rest[0].kind != "mark" or is_mark(rest[0], "$", "\\")
    return (name.casefold(), rest) if starts_value else None


def _is_spoken_word(token: Token) -> bool:
    return token.kind == "word" and (len(token.text) > 2 or token.text.lower() == "no")


def _letters(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    if len(words) > 1 and words[0] in (_ARTICLES if len(words[1]) > 1 else _CHOICE_WORDS):
        del words[0]
    return " ".join(words)


def _listed(pieces: list[Sequence[Token]], inner: Callable[[Sequence[Token]], Form]) -> Form:
    if len(pieces) > MAX_ITEMS:
        raise UnreadableError("too many items")
    if len(pieces) == 1:
        return inner(pieces[0])
    items = [inner(piece) for piece in pieces]
    if any(isinstance(item, Words) and item.text in _OPEN_ENDED for item in items):
        raise UnreadableError("words that change a value")
    first = items[0]
    if isinstance(first, Labelled) and not any(isinstance(item, Labelled | Relation) for item in items[1:]):
        # `n = 1, 2, 3` names the whole list.
        return Labelled(first.label, Many("list", (first.value, *items[1:])), first.member)
    return Many("list", tuple(items))


def _related(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    sides = [strip(side) for side in split(tokens, _RELATIONS)]
    signs = [tokens[position].text for position in top_level(tokens, _RELATIONS)]
    if "equiv" in signs:
        # `x \equiv 9 (mod 11)`: the value is what stands between the sign and the modulus.
        raise UnreadableError("congruence")
    while len(signs) > 1 and signs[-1] == "approx":
        # `1/3 = ... \approx 0.33`: what is exact counts.
        sides.pop()
        signs.pop()
    if not sides[-1]:
        raise UnreadableError("the relation ends early")
    if signs == ["approx"] and sides[0]:
        label = _label(sides[0])
        return inner(sides[0]) if label is None else Labelled(label, inner(sides[1]))
    if set(signs) <= {"=", "approx"}:
        label = _label(sides[0])
        if label is not None and not _mentions(sides[-1], sides[0]):
            return _named(label, sides[0], inner(sides[-1]))
        if not sides[0] or len(sides) > 2 or not any(map(_has_names, sides)):
            return inner(sides[-1])
    if signs == ["in"]:
        label = _label(sides[0])
        if label is not None:
            return Labelled(label, inner(sides[1]), member=True)
    if "in" in signs or "approx" in signs:
        raise UnreadableError("unusual relation")
    return Relation(tuple(inner(side) for side in sides), tuple(signs))


def _named(label: str, tokens: Sequence[Token], value: Form) -> Form:
    """A value with its name; `(x, y) = (1, 2)` names each item."""
    if isinstance(value, Many) and value.kind == "tuple" and is_mark(tokens[0], "(") and encloses(tokens):
        names = [_label(strip(piece)) for piece in split(tokens[1:-1], frozenset({","}))]
        if len(names) == len(value.items) and None not in names:
            return Many("list", tuple(map(Labelled, [name or "" for name in names], value.items)))
    index = _index(tokens)
    if index is not None and isinstance(value, Quantity) and index in _names(value.node):
        return Labelled(tokens[0].text, value, argument=index)
    return Labelled(label, value, equation=_equation(tokens, value), argument=_argument(tokens))


def _index(tokens: Sequence[Token]) -> str | None:
    """The `n` of `a_n` and `a_{n}`."""
    bare = [token for token in tokens if not is_mark(token, "{", "}")]
    if len(bare) != 3 or not is_mark(bare[1], "_") or bare[0].kind != "name" or bare[2].kind != "name":
        return None
    return bare[2].text


def _names(node: Node) -> set[str]:
    if isinstance(node, Name):
        return {node.text}
    return set().union(*map(_names, node.operands)) if isinstance(node, Operation) else set()


def _argument(tokens: Sequence[Token]) -> str | None:
    """The name that a function is applied to: the `t` of `f(t)`."""
    if len(tokens) != 4 or tokens[0].kind != "name" or not is_mark(tokens[1], "(") or tokens[2].kind != "name":
        return None
    return tokens[2].text if is_mark(tokens[3], ")") and tokens[2].text.islower() else None


def _mentions(value: Sequence[Token], label: Sequence[Token]) -> bool:
    """Whether the name that `label` is occurs in `value`, which makes an equation of the two."""
    return len(label) == 1 and label[0] in value


def _equation(left: Sequence[Token], value: Form) -> Relation | None:
    try:
        return Relation((Quantity(parse(left)), value), ("=",)) if isinstance(value, Quantity) else None
    except UnreadableError:
        return None


def _has_names(tokens: Sequence[Token]) -> bool:
    return any(token.kind in ("name", "word") for token in tokens)


def _label(tokens: Sequence[Token]) -> str | None:
    """The name that `tokens` are, if they are one: `x`, `x_1`, `f(x)`, `AB`, `|AB|`, `V_1 : V_2`, `\\frac{NO}{BO}`,
    `(x, y)`, `P(\\text{even})`. A sum or anything with a number in it is no name, but for a subscript or argument."""
    if not tokens:
        return None
    names, depth, subscript, previous = 0, 0, False, ""
    for token in tokens:
        if token.kind in ("name", "word", "text"):
            names += 1
        elif token.kind == "number":
            if not subscript and depth == 0:
                return None
        elif token.kind == "function":
            if token.text != "frac":
                return None
        elif token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if token.text in ("+", "-", "*", "^", "!", "%") and not (previous == "(" and token.text == "-"):
                return None
        else:
            return None
        subscript = is_mark(token, "_") or (subscript and depth > 0)
        previous = token.text
    if names == 0:
        return None
    # A variable that a function is applied to is a bound name: W(n) and W(x) are the same label, P(A) and P(B) are not.
    kept = tokens[:1] if _argument(tokens) is not None else tokens
    return "".join(token.text for token in kept if not is_mark(token, "{", "}", "_", "|"))


def _ratio(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    pieces = [strip(piece) for piece in split(tokens, frozenset({":"}))]
    if pieces[0] and all(token.kind in ("word", "text") for token in pieces[0]) and len(pieces) == 2:
        # `Area: 15` is a value with a heading.
        return inner(pieces[1])
    return Many("ratio", tuple(inner(piece) for piece in pieces))


def _matrix(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    last, content = tokens[-1], tokens[1:-1]
    name = tokens[0].text.removeprefix("begin ").rstrip("*")
    if last.kind != "environment" or last.text.rstrip("*") != f"end {name}" or name not in _MATRICES:
        raise UnreadableError("unusual environment")
    if name == "array" and content and is_mark(content[0], "{"):
        content = content[next((i for i, token in enumerate(content) if is_mark(token, "}")), 0) + 1 :]
    rows = [row for row in split(content, frozenset({"\\\\"})) if row]
    cells = tuple(Many("list", tuple(inner(cell) for cell in split(row, frozenset({"&"})))) for row in rows)
    if sum(len(row.items) for row in cells) > MAX_ITEMS:
        raise UnreadableError("too many items")
    return Many("matrix", cells)


def _bracketed(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form | None:
    opening, closing, content = tokens[0].text, tokens[-1].text, strip(tokens[1:-1])
    if opening == "{set":
        if closing != "set}":
            raise UnreadableError("unbalanced brackets")
        if not content:
            return Many("set", ())
        condition = _condition(content)
        if condition is not None:
            return inner(condition)
        form = inner(content)
        return Many("set", form.items if isinstance(form, Many) and form.kind == "list" else (form,))
    return _separated(tokens, content, inner)


def _condition(content: Sequence[Token]) -> Sequence[Token] | None:
    """What `\\{x \\mid x < 3\\}` and `\\{x \\in \\mathbb{R} : x < 3\\}` say of x."""
    first = next((i for i in top_level(content, _SUCH_THAT)), None)
    if first is None:
        return None
    element = [token.text for token in content[:first] if not is_mark(token, "{", "}")]
    is_real = element[1:] in ([], ["in", "\\mathbb", "R"], ["in", "R"])
    if not is_real or content[0].kind != "name" or not top_level(content[first + 1 :], _RELATIONS):
        return None
    return content[first + 1 :]


def _separated(
    tokens: Sequence[Token], content: Sequence[Token], inner: Callable[[Sequence[Token]], Form]
) -> Form | None:
    opening, closing = tokens[0].text, tokens[-1].text
    separated = [piece for piece in split(content, frozenset({",", ";"})) if piece]
    if len(separated) < 2:
        if (opening, closing) not in {("(", ")"), ("[", "]"), ("{", "}")}:
            raise UnreadableError("unbalanced brackets")
        if top_level(content, _RELATIONS | {"cup", "pm", "and"}) or (content and content[0].kind == "environment"):
            return inner(content)
        return None
    if len(separated) > MAX_ITEMS:
        raise UnreadableError("too many items")
    items = tuple(inner(piece) for piece in separated)
    if (opening, closing) == ("(", ")"):
        return Many("tuple", items)
    if (opening, closing) == ("[", "]"):
        return Many("bracket", items)
    if len(items) == 2 and opening in "([" and closing in ")]":
        return Interval(items[0], items[1], opening == "[", closing == "]")
    raise UnreadableError("unbalanced brackets")
