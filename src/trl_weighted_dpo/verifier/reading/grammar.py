"""The grammar of expressions: tokens to a tree, with length, depth and digits bounded before anything is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.tokens import Token, UnreadableError

MAX_TOKENS = 600
MAX_DEPTH = 30
MAX_LINKS = 100
"""Times, division, factorial and percent signs of one expression, each of which makes its tree one level deeper."""
MAX_DIGITS = 2_000
MAX_EXPONENT = 2_000


class TooCostlyError(UnreadableError):
    """Reading or computing this would pass a limit."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written.

    Args:
        value (`Fraction`): Its value.
        places (`int`, *optional*): Decimals written after the point; `None` if not written as a decimal.
    """

    value: Fraction
    places: int | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a constant such as `pi`, or a word that stands for a quantity."""

    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: `+ * / ^ neg abs ! % floor ceil`, `root` with its degree, a function of `FUNCTIONS`, or `apply f`
    of an unknown function `f`."""

    name: str
    operands: tuple["Node", ...]


Node = Number | Name | Operation


def number(text: str) -> Number:
    """Reads a number as the tokenizer found it (`1,000.50`, `.5`, `1.2e3`).

    Raises:
        `TooCostlyError`: If it has more than `MAX_DIGITS` digits or an exponent beyond `MAX_EXPONENT`.
    """
    mantissa, _, exponent = text.lower().replace(",", "").replace(" ", "").partition("e")
    whole, point, decimals = mantissa.partition(".")
    if len(whole) + len(decimals) > MAX_DIGITS or len(exponent) > 6 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise TooCostlyError("number too long")
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    if exponent:
        return Number(value * Fraction(10) ** int(exponent))
    return Number(value, len(decimals) if point else 0)


_SPLITTABLE_WORD = 2
_APPLIED = frozenset("fghFGHPQW")
_INVERTIBLE = frozenset({"sin", "cos", "tan"})
_OF_ANGLES = _INVERTIBLE | {"cot", "sec", "csc"}
_OPENERS = {"(": ")", "{": "}", "[": "]"}
_ROUNDED = {"floor(": "floor", "ceil(": "ceil"}
_NOT_CALLED = frozenset({"frac", "binom", "sqrt"})


class _Parser:
    """Recursive descent over one list of tokens; every level of nesting costs one of `MAX_DEPTH`."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        if len(tokens) > MAX_TOKENS:
            raise TooCostlyError("expression too long")
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.links = 0
        self.takes_angle = 0

    def peek(self, offset: int = 0) -> Token | None:
        index = self.position + offset
        return self.tokens[index] if index < len(self.tokens) else None

    def mark(self, *texts: str) -> str | None:
        token = self.peek()
        if token is not None and token.kind == "mark" and token.text in texts:
            self.position += 1
            return token.text
        return None

    def link(self, *texts: str) -> str | None:
        """A mark that makes the tree deeper without a bracket."""
        found = self.mark(*texts)
        if found is not None:
            self.links += 1
            if self.links > MAX_LINKS:
                raise TooCostlyError("expression too deep")
        return found

    def expect(self, text: str) -> None:
        if self.mark(text) is None:
            raise UnreadableError(f"expected {text}")

    def deeper(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooCostlyError("expression too deep")
        node = read()
        self.depth -= 1
        return node

    def sum(self) -> Node:
        terms = [self.signed()]
        while (sign := self.mark("+", "-")) is not None:
            term = self.signed()
            terms.append(Operation("neg", (term,)) if sign == "-" else term)
        return terms[0] if len(terms) == 1 else Operation("+", tuple(terms))

    def signed(self) -> Node:
        negative = False
        while (sign := self.mark("+", "-")) is not None:
            negative ^= sign == "-"
        node = self.product()
        if not negative:
            return node
        if isinstance(node, Number):
            return Number(-node.value, node.places)
        return Operation("neg", (node,))

    def product(self) -> Node:
        node, implicit = self.implicit_product()
        while (sign := self.link("*", "/")) is not None:
            factor, implicit = self.signed_factor()
            if sign == "/":
                if implicit:
                    # `1/2x` is read both as (1/2)x and as 1/(2x): neither may be assumed.
                    raise UnreadableError("ambiguous division")
                node = Operation("/", (node, factor))
            else:
                node = Operation("*", (node, factor))
        return node

    def signed_factor(self) -> tuple[Node, bool]:
        if self.mark("-") is not None:
            node, implicit = self.implicit_product()
            return Operation("neg", (node,)), implicit
        return self.implicit_product()

    def implicit_product(self) -> tuple[Node, bool]:
        node = self.mixed_number()
        if node is not None:
            return node, False
        factors = [self.power()]
        while self.starts_factor():
            token = self.peek()
            if token is not None and token.kind == "number":
                raise UnreadableError("two numbers side by side")
            factors.append(self.power())
        return (factors[0], False) if len(factors) == 1 else (Operation("*", tuple(factors)), True)

    def mixed_number(self) -> Node | None:
        """`2\\frac{1}{3}` and `2 1/3` mean 2 + 1/3."""
        whole, following = self.peek(), self.peek(1)
        if whole is None or following is None or whole.kind != "number" or not whole.text.isdigit():
            return None
        start = self.position
        self.position += 1
        part: Node | None = None
        if following == Token("function", "frac"):
            part = self.power()
        elif following.kind == "number" and self.peek(1) == Token("mark", "/"):
            numerator = self.atom()
            self.position += 1
            part = Operation("/", (numerator, self.atom()))
        if isinstance(part, Operation) and part.name == "/":
            top, bottom = part.operands
            if (
                isinstance(top, Number)
                and isinstance(bottom, Number)
                and top.places == bottom.places == 0
                and 0 < top.value < bottom.value
                and not self.starts_factor()
            ):
                return Number(number(whole.text).value + top.value / bottom.value)
        self.position = start
        return None

    def starts_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token.kind == "mark":
            return (
                token.text in _OPENERS
                or token.text in _ROUNDED
                or (token.text.startswith("\\") and token.text != "\\\\")
            )
        return token.kind in ("number", "name", "word", "function")

    def infix_command(self, above: Node) -> Node:
        """`1 \\over 2` and `n \\choose k` take all of their group."""
        name = self.mark("over", "choose")
        if name is None:
            return above
        return Operation("/" if name == "over" else "binom", (above, self.sum()))

    def power(self) -> Node:
        self.split_word()
        node = self.atom()
        while True:
            if self.link("!"):
                node = Operation("!", (node,))
            elif self.link("%"):
                node = Operation("%", (node,))
            elif self.link("'"):
                node = Operation("apply '", (node,))
            elif self.takes_angle and self.degrees():
                node = Operation("*", (node, Operation("/", (Name("pi"), Number(Fraction(180), 0)))))
            elif self.mark("^"):
                negative = self.mark("-") is not None
                # `2^{-1}`, `2^-1`, `2^3^2` = 2^(3^2): an exponent binds to the right.
                exponent = self.deeper(self.power)
                node = Operation("^", (node, Operation("neg", (exponent,)) if negative else exponent))
                return node
            else:
                return node

    def replace(self, *tokens: Token) -> None:
        """Puts `tokens` in the place of the one that comes next."""
        self.tokens = [*self.tokens[: self.position], *tokens, *self.tokens[self.position + 1 :]]

    def split_word(self) -> None:
        """In `ab^2` only the b is squared."""
        token = self.peek()
        if token is None or token.kind != "word" or len(token.text) != _SPLITTABLE_WORD:
            return
        if self.peek(1) in (Token("mark", "^"), Token("mark", "!")):
            self.replace(*(Token("name", letter) for letter in token.text))

    def degrees(self) -> bool:
        """Whether a degree sign comes next, raised or not; if so, it is read."""
        for signs in (("degree",), ("^", "degree"), ("^", "{", "degree", "}")):
            if all(self.peek(index) == Token("mark", sign) for index, sign in enumerate(signs)):
                self.position += len(signs)
                return True
        return False

    def atom(self) -> Node:
        return self.deeper(self.shallow_atom)

    def shallow_atom(self) -> Node:
        token = self.peek()
        if token is None:
            raise UnreadableError("the expression ends early")
        self.position += 1
        if token.kind == "number":
            return number(token.text)
        if token.kind == "name":
            return self.named(token.text)
        if token.kind == "word":
            if len(token.text) == _SPLITTABLE_WORD:
                return Operation("*", tuple(Name(letter) for letter in token.text))
            return Name(token.text)
        if token.kind == "function":
            return self.function(token.text)
        if token.kind == "mark" and token.text in _OPENERS:
            node = self.infix_command(self.sum())
            self.expect(_OPENERS[token.text])
            return node
        if token.kind == "mark" and token.text in _ROUNDED:
            node = self.sum()
            self.expect(token.text.replace("(", ")"))
            return Operation(_ROUNDED[token.text], (node,))
        if token.kind == "mark" and token.text == "|":
            node = self.sum()
            self.expect("|")
            return Operation("abs", (node,))
        if token.kind == "mark" and token.text.startswith("\\") and token.text != "\\\\":
            # A decorated name such as \\vec{v} or \\angle ABC is a name of its own.
            return Operation(f"apply {token.text}", (self.power(),))
        raise UnreadableError(f"unexpected {token.text[:20]}")

    def named(self, text: str) -> Node:
        if self.mark("_") is not None:
            text = f"{text}_{self.subscript()}"
        following = self.peek()
        if (text[0] in _APPLIED or text.endswith("'")) and following == Token("mark", "("):
            self.position += 1
            operands = [self.sum()]
            while self.mark(","):
                operands.append(self.sum())
            self.expect(")")
            return Operation(f"apply {text}", tuple(operands))
        return Name(text)

    def subscript(self) -> str:
        token = self.peek()
        if token == Token("mark", "{"):
            pieces = []
            self.position += 1
            while self.mark("}") is None:
                inner = self.peek()
                if inner is None:
                    raise UnreadableError("unbalanced braces")
                pieces.append(inner.text)
                self.position += 1
            return "".join(pieces)
        if token is None or token.kind == "mark":
            raise UnreadableError("empty subscript")
        self.position += 1
        return token.text

    def argument(self) -> Node:
        """A LaTeX argument: a group, or one token, of which a number gives only its first digit (`\\frac12`) and a word
        its first letter."""
        token = self.peek()
        if token is None:
            raise UnreadableError("the expression ends early")
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.replace(Token("number", token.text[0]), Token("number", token.text[1:]))
        elif token.kind == "word" and len(token.text) == _SPLITTABLE_WORD:
            self.replace(*(Token("name", letter) for letter in token.text))
        return self.atom()

    def function(self, name: str) -> Node:
        if name in ("frac", "binom"):
            top = self.argument()
            return Operation("/" if name == "frac" else name, (top, self.argument()))
        if name == "sqrt":
            if self.mark("[") is not None:
                root = self.sum()
                self.expect("]")
                return Operation("root", (self.argument(), root))
            token = self.peek()
            if token is not None and token.kind == "number":
                return Operation("sqrt", (self.atom(),))
            return Operation("sqrt", (self.argument(),))
        base: Node | None = None
        power: Node | None = None
        if name == "log" and self.mark("_") is not None:
            base = self.argument()
        if self.mark("^") is not None:
            power = self.argument()
            if power == Number(Fraction(-1), 0) and name in _INVERTIBLE:
                name, power = f"arc{name}", None
            elif not isinstance(power, Number) or power.value < 0:
                raise UnreadableError("ambiguous power of a function")
        self.takes_angle += name in _OF_ANGLES
        if (token := self.peek()) is not None and token.kind == "mark" and token.text in _OPENERS:
            operand = self.atom()
        else:
            operand = self.bare_argument()
        self.takes_angle -= name in _OF_ANGLES
        call = Operation(name, (operand,) if base is None else (operand, base))
        return call if power is None else Operation("^", (call, power))

    def bare_argument(self) -> Node:
        """The argument of a function without brackets: an implicit product that ends before the next function, as
        textbooks write `\\sin x\\cos x`.

        After a letter, a root, a fraction, a bracket or the constant e is as often a factor of the whole as of the
        argument.
        """
        mixed = self.mixed_number()
        if mixed is not None:
            return mixed
        factors = [self.power()]
        while self.starts_factor():
            token = self.peek()
            assert token is not None
            if token.kind == "number":
                raise UnreadableError("two numbers side by side")
            if token.kind == "function" and token.text not in _NOT_CALLED:
                break
            if (
                not isinstance(factors[-1], Number)
                and factors[-1] != Name("pi")
                and (token.kind not in ("name", "word") or token.text == "e")
            ):
                raise UnreadableError("ambiguous function argument")
            factors.append(self.power())
        return factors[0] if len(factors) == 1 else Operation("*", tuple(factors))


def parse(tokens: Sequence[Token]) -> Node:
    """Reads all of `tokens` as one expression.

    Raises:
        `UnreadableError`: If they are not an expression of the grammar, or an ambiguous one.
        `TooCostlyError`: If they pass `MAX_TOKENS`, `MAX_DEPTH` or `MAX_DIGITS`.
    """
    parser = _Parser(tokens)
    node = parser.infix_command(parser.sum())
    if parser.peek() is not None:
        raise UnreadableError("text after the expression")
    return node
