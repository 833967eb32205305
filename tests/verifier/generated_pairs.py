"""Pairs of answers that are equal or differ, with an oracle of their own.

They are trees of this module, which mpmath evaluates and which are printed as LaTeX. Nothing here reads text.

An equal pair is a tree and a rewriting of it; a pair that differs is a tree with one slip in it, of the kinds that
students make. The oracle evaluates both at many points and drops a pair that is not what it was meant to be.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

DIGITS = 50
_POINTS = 60
_MIN_POINTS = 6

Tree = tuple[Any, ...]
"""`("number", Fraction)`, `("name", "x")`, or an operation's name and its operands."""


@dataclass(frozen=True)
class Pair:
    """Two answers as LaTeX, whether they are equal, and the form they are of."""

    reference: str
    found: str
    is_equal: bool
    form: str


def num(value: int | Fraction) -> Tree:
    return ("number", Fraction(value))


X, Y, PI = ("name", "x"), ("name", "y"), ("name", "pi")


# the oracle


class NoValueError(ValueError):
    """The tree has no real value at this point."""


def value_of(tree: Tree, at: dict[str, Any]) -> Any:
    """The real value of a tree."""
    kind, *rest = tree
    if kind == "number":
        return mpmath.mpf(rest[0].numerator) / rest[0].denominator
    if kind == "name":
        return mpmath.pi + 0 if rest[0] == "pi" else mpmath.e + 0 if rest[0] == "e" else at[rest[0]]
    values = [value_of(operand, at) for operand in rest]
    try:
        value = _FUNCTIONS[kind](*values)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise NoValueError from error
    if isinstance(value, mpmath.mpc) or not mpmath.isfinite(value) or abs(value) > 10**20:
        raise NoValueError
    return value


def _root(value: Any, degree: Any) -> Any:
    if value < 0:
        if int(degree) % 2 == 0:
            raise NoValueError
        return -mpmath.root(-value, int(degree))
    return mpmath.root(value, int(degree))


def _floor(value: Any) -> Any:
    if abs(value - mpmath.nint(value)) < 1e-30 and value != mpmath.nint(value):
        raise NoValueError
    return mpmath.floor(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "neg": lambda a: -a,
    "^": lambda a, b: a ** int(b),
    "sqrt": mpmath.sqrt,
    "root": _root,
    "abs": abs,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "ln": mpmath.log,
    "log": lambda value: mpmath.log(value, 10),
    "exp": mpmath.exp,
    "floor": _floor,
    "ceil": lambda value: -_floor(-value),
    "!": lambda value: mpmath.factorial(int(value)),
}


def names_in(tree: Tree) -> set[str]:
    if tree[0] == "name":
        return set() if tree[1] in ("pi", "e") else {tree[1]}
    return set().union(*map(names_in, tree[1:])) if tree[0] != "number" else set()


def agree(first: Tree, second: Tree, generator: random.Random) -> bool | None:
    """Whether two trees have the same value wherever both have one; `None` if that is too rarely."""
    every = sorted(names_in(first) | names_in(second))
    compared = 0
    with mpmath.workdps(DIGITS):
        for index in range(_POINTS if every else 1):
            scale = (2, 10, 60, 1000)[index % 4]
            at = {name: mpmath.mpf(generator.randint(-(10**9), 10**9)) * scale / 10**9 for name in every}
            try:
                left, right = value_of(first, at), value_of(second, at)
            except NoValueError:
                continue
            compared += 1
            if abs(left - right) > mpmath.mpf(10) ** (12 - DIGITS) * max(1, abs(left), abs(right)):
                return False
    return True if compared >= (_MIN_POINTS if every else 1) else None


# printing

_PRECEDENCE = {"+": 1, "-": 1, "neg": 1, "*": 2, "/": 4, "^": 3}


def latex(tree: Tree, generator: random.Random) -> str:
    """A tree as LaTeX, in one of the ways that people write it."""
    kind, *rest = tree
    if kind == "number":
        return _number(rest[0], generator)
    if kind == "name":
        return {"pi": r"\pi", "e": "e"}.get(rest[0], rest[0])
    if kind in ("sin", "cos", "tan", "ln", "log"):
        inner = latex(rest[0], generator)
        is_short = rest[0][0] == "name" or (rest[0][0] == "number" and inner.isdigit())
        return rf"\{kind} {inner}" if is_short and generator.random() < 0.6 else rf"\{kind}\left({inner}\right)"
    inner = [latex(operand, generator) for operand in rest]
    match kind:
        case "abs":
            return (
                generator.choice((rf"\left|{inner[0]}\right|", f"|{inner[0]}|"))
                if "|" not in inner[0]
                else rf"\lvert {inner[0]} \rvert"
            )
        case "sqrt":
            return rf"\sqrt{{{inner[0]}}}"
        case "root":
            return rf"\sqrt[{inner[1]}]{{{inner[0]}}}"
        case "floor" | "ceil":
            return rf"\l{kind} {inner[0]} \r{kind}"
        case "exp":
            return f"e^{{{inner[0]}}}"
        case "!":
            return f"{inner[0]}!"
        case "/":
            return rf"\frac{{{inner[0]}}}{{{inner[1]}}}"
        case "^":
            return f"{_wrapped(rest[0], inner[0], 4)}^{{{inner[1]}}}"
        case "neg":
            return f"-{_wrapped(rest[0], inner[0], 2)}"
        case "+":
            return f"{inner[0]} + {_wrapped(rest[1], inner[1], 1) if not inner[1].startswith('-') else f'({inner[1]})'}"
        case "-":
            return f"{_wrapped(rest[0], inner[0], 1)} - {_wrapped(rest[1], inner[1], 2)}"
    left, right = _wrapped(rest[0], inner[0], 2), _wrapped(rest[1], inner[1], 2)
    may_join = (
        left[-1] in "0123456789)}"
        and (right[0] in "(\\xy" or right[0].isalpha())
        and rest[0][0] in ("number", "/", "+", "-")
    )
    return (
        left + right
        if may_join and not right.startswith(r"\frac") and generator.random() < 0.7
        else rf"{left} \cdot {right}"
    )


def _wrapped(tree: Tree, text: str, level: int) -> str:
    """In brackets where what is around it binds tighter."""
    own = _PRECEDENCE.get(tree[0], 9)
    if tree[0] == "number" and (tree[1] < 0 or (tree[1].denominator > 1 and level > 2)):
        own = 0
    if tree[0] in ("sin", "cos", "tan", "ln", "log") and level > 3:
        own = 0
    if tree[0] in ("exp", "!") and level > 3:
        own = 0
    return f"({text})" if own < level else text


def _number(value: Fraction, generator: random.Random) -> str:
    if value.denominator == 1:
        return str(value)
    sign, top = ("-" if value < 0 else ""), abs(value.numerator)
    if value.denominator in (2, 4, 5, 8, 10) and generator.random() < 0.4:
        return f"{float(value)}"
    return rf"{sign}\frac{{{top}}}{{{value.denominator}}}"


# the trees


def _small(generator: random.Random) -> Tree:
    return num(generator.randint(1, 12))


def _leaf(generator: random.Random) -> Tree:
    return generator.choice(
        (X, X, X, Y, _small(generator), num(Fraction(generator.randint(1, 9), generator.randint(2, 8))))
    )


def _linear(generator: random.Random) -> Tree:
    return (generator.choice("+-"), ("*", _small(generator), X) if generator.random() < 0.5 else X, _small(generator))


def _expression(generator: random.Random, depth: int) -> Tree:
    if depth == 0:
        return _leaf(generator)
    kind = generator.choice(
        ("+", "-", "*", "/", "^", "abs", "sqrt", "root", "trig", "ln", "exp", "linear", "abs-linear", "sqrt-square")
    )
    inner = _expression(generator, depth - 1)
    match kind:
        case "+" | "-" | "*":
            return (kind, inner, _expression(generator, depth - 1))
        case "/":
            return ("/", inner, _linear(generator))
        case "^":
            return ("^", _linear(generator), num(generator.randint(2, 4)))
        case "sqrt":
            return ("sqrt", ("+", ("^", _linear(generator), num(2)), _small(generator)))
        case "root":
            return ("root", _linear(generator), num(generator.choice((3, 5))))
        case "trig":
            return (generator.choice(("sin", "cos", "tan")), generator.choice((X, _linear(generator))))
        case "ln":
            return (generator.choice(("ln", "log")), ("+", ("^", X, num(2)), _small(generator)))
        case "exp":
            return ("exp", generator.choice((X, ("neg", X), ("*", num(2), X))))
        case "abs-linear":
            return ("abs", _linear(generator))
        case "sqrt-square":
            return ("sqrt", ("^", _linear(generator), num(2)))
        case "abs":
            return ("abs", inner)
    return _linear(generator)


def _constant(generator: random.Random) -> Tree:
    n, m = generator.randint(2, 12), generator.randint(2, 9)
    return generator.choice((
        ("sqrt", num(n * m)), ("*", num(m), ("sqrt", num(n))), ("/", num(n), ("sqrt", num(m))), ("*", num(n), PI),
        ("/", PI, num(m)), ("sin", ("/", PI, num(m))), ("cos", ("/", PI, num(n))), ("ln", num(n)), ("log", num(n)),
        ("!", num(n % 7 + 1)), ("floor", num(Fraction(n * 7, m))), ("ceil", num(Fraction(n * 7, m))),
        ("root", num(n), num(3)), ("+", num(n), ("sqrt", num(m))), ("floor", ("sqrt", num(n * m))),
        ("abs", ("-", num(n), ("*", num(m), ("sqrt", num(2))))), ("^", num(n), num(m % 4)), num(Fraction(n, m)),
        ("exp", num(m % 4)), ("-", ("sqrt", num(n)), ("sqrt", num(m))),
    ))  # fmt: skip


# rewritings


def _rewritten(tree: Tree, generator: random.Random) -> Tree:
    """The tree with one to three rewritings that keep its value."""
    for _ in range(generator.randint(1, 3)):
        tree = _somewhere(tree, generator, _rewriting)
    return tree


def _somewhere(tree: Tree, generator: random.Random, change: Callable[[Tree, random.Random], Tree]) -> Tree:
    if tree[0] in ("number", "name") or generator.random() < 0.4:
        return change(tree, generator)
    index = generator.randrange(1, len(tree))
    # A degree and an exponent stay whole numbers.
    if tree[0] in ("root", "^", "!") and index == len(tree) - 1:
        return change(tree, generator)
    return (*tree[:index], _somewhere(tree[index], generator, change), *tree[index + 1 :])


def _rewriting(tree: Tree, generator: random.Random) -> Tree:
    kind, *rest = tree
    n = generator.randint(2, 6)
    options: list[Tree] = [
        ("/", ("*", num(n), tree), num(n)),
        ("-", ("+", tree, num(n)), num(n)),
        ("neg", ("neg", tree)),
    ]
    match kind:
        case "+" | "*":
            options += [(kind, rest[1], rest[0])] * 3
            if kind == "*" and rest[1][0] in ("+", "-"):
                options += [(rest[1][0], ("*", rest[0], rest[1][1]), ("*", rest[0], rest[1][2]))] * 2
        case "-":
            options += [("+", rest[0], ("neg", rest[1])), ("neg", ("-", rest[1], rest[0]))] * 2
        case "/":
            options += [("/", ("*", num(n), rest[0]), ("*", num(n), rest[1]))] * 2
        case "^":
            power = int(rest[1][1])
            if power >= 2:
                options += [("*", rest[0], ("^", rest[0], num(power - 1)) if power > 2 else rest[0])] * 3
        case "sqrt":
            options += [("/", ("sqrt", ("*", num(n * n), rest[0])), num(n))] * 2
            if rest[0][0] == "^" and rest[0][2] == num(2):
                options += [("abs", rest[0][1])] * 4
        case "abs":
            options += [("abs", ("neg", rest[0])), ("sqrt", ("^", rest[0], num(2)))] * 2
        case "sin":
            options += [("neg", ("sin", ("neg", rest[0])))]
            if rest[0] == X:
                options += [
                    ("*", ("tan", X), ("cos", X)),
                    ("*", num(2), ("*", ("sin", ("/", X, num(2))), ("cos", ("/", X, num(2))))),
                ]
        case "cos":
            options += [("cos", ("neg", rest[0])), ("sin", ("-", ("/", PI, num(2)), rest[0]))]
        case "tan":
            options += [("/", ("sin", rest[0]), ("cos", rest[0]))] * 2
        case "ln":
            options += [("-", ("ln", ("*", num(n), rest[0])), ("ln", num(n)))]
        case "log":
            options += [("/", ("ln", rest[0]), ("ln", num(10)))]
        case "exp":
            options += [("/", num(1), ("exp", ("neg", rest[0])))]
        case "!":
            options += [num(Fraction(int(mpmath.factorial(int(rest[0][1])))))] * 3
        case "number":
            value = rest[0]
            options += [("-", num(value + n), num(n)), ("/", num(value * n), num(n))]
    return generator.choice(options)


# slips


def _slip(tree: Tree, generator: random.Random) -> Tree:
    kind, *rest = tree
    options: list[Tree] = [("+", tree, num(generator.choice((1, 2, Fraction(1, 2)))))]
    match kind:
        case "number":
            options += [num(rest[0] + 1), num(rest[0] - 1), num(rest[0] * 2), num(-rest[0])] * 2
        case "+" | "-":
            options += [({"+": "-", "-": "+"}[kind], *rest), rest[0]] * 2
        case "*":
            options += [("+", *rest), rest[0]]
        case "/":
            options += [("/", rest[1], rest[0]), rest[0]]
        case "^":
            options += [("^", rest[0], num(rest[1][1] + 1)), rest[0]]
        case "sqrt" if rest[0][0] == "^":
            # A root of a square is no power.
            options += [rest[0][1]] * 8
        case "abs":
            options += [rest[0], ("neg", rest[0])] * 6
        case "sqrt" | "ln" | "log" | "exp" | "floor" | "ceil":
            options += [rest[0]]
        case "root":
            options += [("root", rest[0], num(rest[1][1] + 2)), rest[0]]
        case "sin":
            options += [("cos", *rest), ("neg", tree)] * 2
        case "cos":
            options += [("sin", *rest), ("neg", tree)] * 2
        case "tan":
            options += [("sin", *rest), ("/", num(1), tree)]
    if kind == "ln":
        options += [("ln", ("abs", rest[0])), ("ln", ("*", num(2), rest[0]))]
    return generator.choice(options)


# forms


def _expressions(generator: random.Random, is_equal: bool) -> Pair | None:
    first = _constant(generator) if generator.random() < 0.35 else _expression(generator, generator.randint(1, 2))
    second = _rewritten(first, generator)
    if not is_equal:
        second = _somewhere(second if generator.random() < 0.5 else first, generator, _slip)
    return _pair(first, second, is_equal, "expression" if names_in(first) else "constant", generator)


def _pair(first: Tree, second: Tree, is_equal: bool, form: str, generator: random.Random) -> Pair | None:
    try:
        found = agree(first, second, generator)
    except (OverflowError, ZeroDivisionError, ValueError):
        return None
    if found is not is_equal:
        return None
    return Pair(latex(first, generator), latex(second, generator), is_equal, form)


def _ends(generator: random.Random) -> tuple[Fraction, Fraction]:
    low = Fraction(generator.randint(-9, 8), generator.choice((1, 1, 2)))
    return low, low + Fraction(generator.randint(1, 9), generator.choice((1, 1, 2)))


def _intervals(generator: random.Random, is_equal: bool) -> Pair | None:
    (low, high), closed = _ends(generator), [generator.random() < 0.5, generator.random() < 0.5]
    other, other_closed = [low, high], list(closed)
    if not is_equal:
        match generator.randrange(3):
            case 0:
                index = generator.randrange(2)
                other_closed[index] = not other_closed[index]
            case 1:
                other[1] += 1
            case 2:
                other[0] -= Fraction(1, 2)
    texts = []
    for ends, is_closed in (((low, high), closed), (other, other_closed)):
        a, b = (_number(end, generator) for end in ends)
        signs = [r"\le" if end else "<" for end in is_closed]
        texts.append(generator.choice((
            f"{'[' if is_closed[0] else '('}{a}, {b}{']' if is_closed[1] else ')'}",
            f"{a} {signs[0]} x {signs[1]} {b}",
            rf"\{{x \mid {a} {signs[0]} x {signs[1]} {b}\}}",
            rf"x \in \left{'[' if is_closed[0] else '('}{a}, {b}\right{']' if is_closed[1] else ')'}",
        )))  # fmt: skip
    return Pair(*texts, is_equal, "interval")


def _sets(generator: random.Random, is_equal: bool) -> Pair | None:
    items = [_constant(generator) for _ in range(generator.randint(2, 4))]
    others = [_rewritten(item, generator) for item in items]
    with mpmath.workdps(DIGITS):
        try:
            values = [value_of(item, {}) for item in items]
            if not is_equal:
                index = generator.randrange(len(items))
                others[index] = _slip(others[index], generator)
            found = [value_of(item, {}) for item in others]
        except (NoValueError, OverflowError):
            return None
        if any(abs(a - b) < 1e-9 for i, a in enumerate(values) for b in values[:i]):
            return None
        same = all(any(abs(a - b) < 1e-30 for b in found) for a in values) and all(
            any(abs(a - b) < 1e-30 for b in values) for a in found
        )
    if same is not is_equal:
        return None
    generator.shuffle(others)
    left, right = (", ".join(latex(item, generator) for item in side) for side in (items, others))
    return Pair(rf"\{{{left}\}}", rf"\{{{right}\}}", is_equal, "set")


def _tuples(generator: random.Random, is_equal: bool) -> Pair | None:
    items = [_constant(generator) for _ in range(generator.randint(2, 3))]
    others = [_rewritten(item, generator) for item in items]
    if not is_equal:
        index = generator.randrange(len(items))
        others[index] = _slip(others[index], generator)
    try:
        verdicts = [agree(a, b, generator) for a, b in zip(items, others, strict=True)]
    except (OverflowError, ValueError, ZeroDivisionError):
        return None
    if None in verdicts or all(verdicts) is not is_equal:
        return None
    left, right = (", ".join(latex(item, generator) for item in side) for side in (items, others))
    return Pair(f"({left})", f"({right})", is_equal, "tuple")


_FORMS = (_expressions, _expressions, _expressions, _expressions, _expressions, _intervals, _sets, _tuples)


def pairs(is_equal: bool, seed: int = 0) -> Iterator[Pair]:
    """Yields pairs without end, all equal or all different."""
    generator = random.Random(f"{seed} {is_equal}")
    while True:
        pair = generator.choice(_FORMS)(generator, is_equal)
        if pair is not None:
            yield pair
