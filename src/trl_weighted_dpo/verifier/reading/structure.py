"""An answer's text to its form: a quantity, words, a list, an interval, an equation and so on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.grammar import Name, Node, parse
from trl_weighted_dpo.verifier.reading.tokens import Token, UnreadableError, tidy, tokenize
from trl_weighted_dpo.verifier.reading.units import unit_name

MAX_ITEMS = 64


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression with what was written around it.

    Args:
        node (`Node`): The expression.
        percent (`bool`): Whether a percent sign or word followed it.
        unit (`str`, *optional*): The unit that followed it, folded to one spelling.
    """

    node: Node
    percent: bool = False
    unit: str | None = None


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
    """A value with the name it was given: `x = 5`, `(x, y) = (1, 2)`, or `x \\in [0, 1]`, then `member` is set.
    `equation` is the same as an equation of two expressions, where it is one."""

    label: str
    value: "Form"
    member: bool = False
    equation: "Relation | None" = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of sides with one relation sign between each two."""

    sides: tuple["Form", ...]
    signs: tuple[str, ...]


Form = Quantity | Words | Many | Interval | Labelled | Relation

_OPENING = frozenset({"(", "[", "{", "{set"})
_CLOSING = frozenset({")", "]", "}", "set}"})
_RELATIONS = frozenset({"=", "<", "<=", ">", ">=", "!=", "approx", "in", "equiv"})


def _is_mark(token: Token, *texts: str) -> bool:
    return token.kind == "mark" and token.text in texts


def _top_level(tokens: Sequence[Token], texts: frozenset[str]) -> list[int]:
    """Positions of the marks `texts` outside brackets and environments."""
    positions, depth = [], 0
    for index, token in enumerate(tokens):
        if token.kind == "environment":
            depth += 1 if token.text.startswith("begin") else -1
        elif token.kind == "mark":
            if token.text in _OPENING:
                depth += 1
            elif token.text in _CLOSING:
                depth -= 1
            elif depth == 0 and token.text in texts:
                positions.append(index)
    return positions


def _split(tokens: Sequence[Token], texts: frozenset[str]) -> list[Sequence[Token]]:
    pieces, start = [], 0
    for position in _top_level(tokens, texts):
        pieces.append(tokens[start:position])
        start = position + 1
    pieces.append(tokens[start:])
    return pieces


def _strip(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without separators, full stops and markup at the ends, and without a TeX group around everything."""
    start, end = 0, len(tokens)
    while start < end and _is_mark(tokens[start], ",", ";", "and", ".", ":", "*", "?"):
        start += 1
    while end > start and _is_mark(tokens[end - 1], ",", ";", "and", ".", ":", "*", "?", "\\\\"):
        end -= 1
    tokens = tokens[start:end]
    if len(tokens) > 1 and _is_mark(tokens[0], "{") and _encloses(tokens):
        return _strip(tokens[1:-1])
    return tokens


def _encloses(tokens: Sequence[Token]) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "mark":
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0:
            return index == len(tokens) - 1
    return False


def read_form(text: str) -> Form:
    """Returns the form of an answer's text.

    Raises:
        `UnreadableError`: If the text is no answer that can be read, or ambiguous, or passes a limit.
    """
    return _form(tokenize(tidy(text)))


def _form(tokens: Sequence[Token], depth: int = 0) -> Form:
    tokens = _strip(tokens)
    if not tokens:
        raise UnreadableError("empty answer")
    if depth > 8:
        raise UnreadableError("nested too deeply")
    words = _words(tokens)
    if words is not None:
        return words

    def inner(piece: Sequence[Token]) -> Form:
        return _form(piece, depth + 1)

    for separators in (frozenset({";"}), frozenset({",", "and"})):
        if _top_level(tokens, separators):
            return _listed([piece for piece in _split(tokens, separators) if _strip(piece)], inner)
    if _top_level(tokens, _RELATIONS):
        return _related(tokens, inner)
    if _top_level(tokens, frozenset({"cup"})):
        return Many("union", tuple(inner(piece) for piece in _split(tokens, frozenset({"cup"}))))
    if _top_level(tokens, frozenset({":"})):
        return _ratio(tokens, inner)
    if tokens[0].kind == "environment":
        return _matrix(tokens, inner)
    if _top_level(tokens, frozenset({"pm"})):
        both = [[Token("mark", sign) if _is_mark(t, "pm") else t for t in tokens] for sign in "+-"]
        return Many("list", tuple(inner(piece) for piece in both))
    if tokens[0].kind == "mark" and tokens[0].text in _OPENING and _encloses(tokens):
        bracketed = _bracketed(tokens, inner)
        if bracketed is not None:
            return bracketed
    return _quantity(tokens)


def _words(tokens: Sequence[Token]) -> Words | None:
    """The answer in words that `tokens` are: nothing but words, one of three letters or set in roman, or one letter in
    parentheses, a choice."""
    spoken = [token for token in tokens if not _is_mark(token, "(", ")", ".", "-", ",", "and", "?", "*")]
    if len(spoken) == 1 and all(token is spoken[0] or _is_mark(token, "(", ")", ".", "*") for token in tokens):
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


def _is_spoken_word(token: Token) -> bool:
    return token.kind == "word" and (len(token.text) > 2 or token.text.lower() == "no")


def _letters(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _listed(pieces: list[Sequence[Token]], inner: Callable[[Sequence[Token]], Form]) -> Form:
    if len(pieces) > MAX_ITEMS:
        raise UnreadableError("too many items")
    if len(pieces) == 1:
        return inner(pieces[0])
    items = [inner(piece) for piece in pieces]
    first = items[0]
    if isinstance(first, Labelled) and not any(isinstance(item, Labelled | Relation) for item in items[1:]):
        # `n = 1, 2, 3` names the whole list.
        return Labelled(first.label, Many("list", (first.value, *items[1:])), first.member)
    return Many("list", tuple(items))


def _related(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    sides = [_strip(side) for side in _split(tokens, _RELATIONS)]
    signs = [tokens[position].text for position in _top_level(tokens, _RELATIONS)]
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
            value = inner(sides[-1])
            return Labelled(label, value, equation=_equation(sides[0], value))
        if not sides[0] or len(sides) > 2 or not any(map(_has_names, sides)):
            return inner(sides[-1])
    if signs == ["in"]:
        label = _label(sides[0])
        if label is not None:
            return Labelled(label, inner(sides[1]), member=True)
    if "in" in signs or "approx" in signs:
        raise UnreadableError("unusual relation")
    return Relation(tuple(inner(side) for side in sides), tuple(signs))


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
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
            if token.text in ("+", "-", "*", "^", "!", "%") and not (previous == "(" and token.text == "-"):
                return None
        else:
            return None
        subscript = _is_mark(token, "_") or (subscript and depth > 0)
        previous = token.text
    if names == 0:
        return None
    # A variable that a function is applied to is a bound name: W(n) and W(x) are the same label, P(A) and P(B) are not.
    applied = len(tokens) == 4 and tokens[0].kind == "name" and _is_mark(tokens[1], "(") and tokens[2].text.islower()
    kept = tokens[:1] if applied else tokens
    return "".join(token.text for token in kept if not _is_mark(token, "{", "}", "_", "|"))


def _ratio(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    pieces = [_strip(piece) for piece in _split(tokens, frozenset({":"}))]
    if pieces[0] and all(token.kind in ("word", "text") for token in pieces[0]) and len(pieces) == 2:
        # `Area: 15` is a value with a heading.
        return inner(pieces[1])
    return Many("ratio", tuple(inner(piece) for piece in pieces))


def _matrix(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form:
    last = tokens[-1]
    if last.kind != "environment" or not last.text.startswith("end") or "matrix" not in last.text:
        raise UnreadableError("unusual environment")
    rows = [row for row in _split(tokens[1:-1], frozenset({"\\\\"})) if row]
    cells = tuple(Many("list", tuple(inner(cell) for cell in _split(row, frozenset({"&"})))) for row in rows)
    if sum(len(row.items) for row in cells) > MAX_ITEMS:
        raise UnreadableError("too many items")
    return Many("matrix", cells)


def _bracketed(tokens: Sequence[Token], inner: Callable[[Sequence[Token]], Form]) -> Form | None:
    opening, closing, content = tokens[0].text, tokens[-1].text, _strip(tokens[1:-1])
    if opening == "{set":
        if closing != "set}":
            raise UnreadableError("unbalanced brackets")
        if not content:
            return Many("set", ())
        form = inner(content)
        return Many("set", form.items if isinstance(form, Many) and form.kind == "list" else (form,))
    separated = [piece for piece in _split(content, frozenset({",", ";"})) if piece]
    if len(separated) < 2:
        if (opening, closing) not in {("(", ")"), ("[", "]"), ("{", "}")}:
            raise UnreadableError("unbalanced brackets")
        if _top_level(content, _RELATIONS | {"cup", "pm", "and"}):
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


def _quantity(tokens: Sequence[Token]) -> Quantity:
    unit: list[Token] = []
    start, end = 0, len(tokens)
    if _is_mark(tokens[0], "-") and end > 2 and _is_mark(tokens[1], "$"):
        tokens = [tokens[1], tokens[0], *tokens[2:]]
    if _is_mark(tokens[0], "$") and end > 1:
        unit.append(tokens[0])
        start = 1
    while start < end - 1 and tokens[start].kind == "text":
        start += 1
    percent = False
    while end > start + 1:
        token = tokens[end - 1]
        if _is_mark(token, "%") and not percent and not unit:
            percent = True
        elif _is_mark(token, "$", "degree") or token.kind == "text" or _is_unit_word(token, tokens[end - 2]):
            unit.insert(0, token)
        else:
            cut = _raised_unit(tokens, start, end)
            if cut is None:
                break
            unit = [*tokens[cut:end], *unit]
            end = cut + 1
        end -= 1
        if end > start + 1 and _is_mark(tokens[end - 1], "^") and _is_mark(tokens[end], "degree"):
            end -= 1
    node = parse(_without_degree_groups(tokens[start:end]))
    if percent and isinstance(node, Name):
        raise UnreadableError("percent of a name")
    return Quantity(node, percent, unit_name(unit) or None)


def _is_unit_word(token: Token, previous: Token) -> bool:
    return token.kind == "word" and (len(token.text) > 2 or previous.kind in ("number", "word", "text"))


def _raised_unit(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """Where a unit with an exponent begins that ends at `end`: `cm^2`, `\\text{m}^{3}`."""
    for size in (2, 4):
        cut = end - size - 1
        tail = tokens[cut + 1 : end]
        if (
            cut > start
            and len(tail) == size
            and _is_mark(tail[0], "^")
            and tokens[cut].kind in ("text", "word")
            and any(token.kind == "number" for token in tail)
        ):
            return cut
    return None


def _without_degree_groups(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without `^{\\circ}` at the end."""
    if len(tokens) > 4 and [token.text for token in tokens[-4:]] == ["^", "{", "degree", "}"]:
        return tokens[:-4]
    return tokens
