"""The symbolic decision: what a worker process computes, for expressions that are no rational functions.

Two independent checks must agree before two expressions count as equal: a numerical one (80 digits, at random points)
and math-verify. The numerical check alone can say that they differ. math-verify sees LaTeX that is printed here from
our own tree, never text that a model wrote, so nothing of that text reaches the `eval` inside sympy's number parser.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from fractions import Fraction
from itertools import islice, product
from typing import Any

import mpmath  # type: ignore[import-untyped]
from math_verify import LatexExtractionConfig, parse, verify

from trl_weighted_dpo.verifier.answers.equivalence import decide_texts
from trl_weighted_dpo.verifier.answers.scalars import (
    Decision,
    correct,
    incorrect,
    is_rational,
    names,
    points,
    rounding,
    same_value,
    undecided,
)
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation, TooCostlyError

DIGITS = 80
MAX_EXPONENT = 1_000
_POINTS = 4
_ROUNDS = 2
_MAX_PATTERNS = 16
_MAX_TOLERANCE = mpmath.mpf(10) ** -20
_OF_POSITIVE = frozenset({"sqrt", "root", "ln", "log"})
_LETTERS = "abcfghjklmnopqrstuvwxyz"


def decide(reference: str, found: str) -> tuple[str, str]:
    """Decides two answer texts, symbolically where they need it: verdict and reason. Slow and unbounded: for a worker
    only."""
    decision = decide_texts(reference, found, same_symbolically)
    return (decision.verdict.value, "equality not settled" if decision.pending else decision.reason)


def same_symbolically(reference: Node, found: Node) -> Decision:
    """Decides whether two trees are equal, exactly if possible, else by both checks."""
    decision = same_value(reference, found)
    if not decision.pending:
        return decision
    first, second = _opaque(reference, found)
    if not (_is_admissible(first) and _is_admissible(second)):
        return undecided("too costly")
    close = _numerically_close(first, second)
    if close is None:
        return undecided("no numerical value")
    if close is Agreement.POSITIVE:
        return undecided("equal for positive values only")
    if close is Agreement.NOWHERE:
        return _as_decimal(reference, found) or _as_decimal(found, reference) or incorrect("expressions differ")
    if _math_verify_agrees(first, second):
        return correct("same expression")
    return undecided("equality not proved")


def _as_decimal(written: Node, other: Node) -> Decision | None:
    """Decides a number against a constant expression that it differs from, whose rounded value it may be."""
    if not isinstance(written, Number) or not set(names(other)) <= {"pi", "e"}:
        return None
    with mpmath.workdps(DIGITS):
        try:
            value = _Evaluation({}, is_complex=False).number(other)
        except (ZeroDivisionError, ValueError, OverflowError):
            return None
        if not isinstance(value, mpmath.mpf) or not mpmath.isfinite(value) or abs(value) > MAX_EXPONENT**3:
            return None
        scaled = int(mpmath.nint(value * 10 ** (DIGITS // 2)))
    return rounding(written, Fraction(scaled, 10 ** (DIGITS // 2)))


def _opaque(*nodes: Node) -> list[Node]:
    """The trees with names, and unknown functions of equal arguments, replaced by one letter each."""
    letters: list[tuple[Node, Name]] = []

    def replaced(node: Node) -> Node:
        if isinstance(node, Number) or (isinstance(node, Name) and node.text in ("pi", "e", "i")):
            return node
        if isinstance(node, Operation) and not node.name.startswith("apply "):
            return Operation(node.name, tuple(map(replaced, node.operands)))
        for known, letter in letters:
            if _same_call(known, node):
                return letter
        if len(letters) == len(_LETTERS):
            raise TooCostlyError("too many names")
        letters.append((node, Name(_LETTERS[len(letters)])))
        return letters[-1][1]

    return [replaced(node) for node in nodes]


def _same_call(first: Node, second: Node) -> bool:
    if not (isinstance(first, Operation) and isinstance(second, Operation)) or first.name != second.name:
        return first == second
    return len(first.operands) == len(second.operands) and all(
        same_value(left, right).verdict is Verdict.CORRECT
        for left, right in zip(first.operands, second.operands, strict=True)
    )


def _walk(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Operation):
        for operand in node.operands:
            yield from _walk(operand)


def _is_admissible(node: Node) -> bool:
    """Whether no power or factorial in the tree can grow beyond reason: exponents are small numbers or hold neither
    powers, factorials nor exponentials themselves."""
    for part in _walk(node):
        if not isinstance(part, Operation):
            continue
        if part.name in ("^", "exp"):
            exponent = part.operands[-1]
            try:
                if abs(exact(exponent)) > MAX_EXPONENT:
                    return False
            except NotExactError:
                if any(isinstance(p, Operation) and p.name in ("^", "!", "exp", "binom") for p in _walk(exponent)):
                    return False
                if any(isinstance(p, Number) and abs(p.value) > MAX_EXPONENT for p in _walk(exponent)):
                    return False
            except TooCostlyError:
                return False
        elif part.name in ("!", "binom"):
            try:
                exact(part)
            except (NotExactError, TooCostlyError):
                return False
        elif part.name == "root":
            try:
                if not 2 <= exact(part.operands[1]) <= MAX_EXPONENT:
                    return False
            except (NotExactError, TooCostlyError):
                return False
    return True


class Agreement(Enum):
    """Where two expressions have the same value."""

    EVERYWHERE = "everywhere"
    POSITIVE = "positive"
    NOWHERE = "nowhere"


def _numerically_close(first: Node, second: Node) -> Agreement | None:
    """Whether both trees agree to `DIGITS` - 20 digits at every point where both have a value, a real one unless `i` is
    in one of them; `None` if there are too few such points.

    They agree for positive values only if they differ elsewhere and hold roots or logarithms of names and no absolute
    value, so that the problem may have said that its names are positive.
    """
    with mpmath.workdps(DIGITS):
        mentioned = {*names(first), *names(second)}
        positive = signed = 0
        for values, is_positive in _samples(first, second):
            # A number may be complex without i, as √(-3) is; among functions, only real values count.
            same = _same_at(first, second, values, "i" in mentioned or not mentioned - {"pi", "e"})
            if same is None:
                continue
            if not same:
                assumed = positive >= _POINTS and not is_positive and _assumes_positive(first, second)
                return Agreement.POSITIVE if assumed else Agreement.NOWHERE
            positive += is_positive
            signed += not is_positive
    return Agreement.EVERYWHERE if positive + signed >= _POINTS else None


def _samples(first: Node, second: Node) -> Iterator[tuple[dict[str, Any], bool]]:
    """Points with whether all their values are positive: small positive ones, where roots and logarithms are real,
    large positive ones, then every pattern of signs."""
    drawn = points(first, second)
    every = sorted(set(names(first)) | set(names(second)))
    third = mpmath.mpf(1) / 3

    def point(limit: int, signs: Sequence[int]) -> dict[str, Any]:
        values = next(drawn)
        return {name: sign * (abs(values[name]) % limit + third) for name, sign in zip(every, signs, strict=True)}

    ones = [1] * len(every)
    for limit in (1, *[7] * (2 * _POINTS), 100, 10_000):
        yield point(limit, ones), True
    for _ in range(_ROUNDS):
        for signs in islice(product((-1, 1), repeat=len(every)), _MAX_PATTERNS):
            if -1 in signs:
                yield point(7, signs), False
    if every:
        yield point(10_000, [-1] * len(every)), False


def _same_at(first: Node, second: Node, values: dict[str, Any], is_complex: bool) -> bool | None:
    evaluation = _Evaluation(values, is_complex)
    try:
        left, right = evaluation.number(first), evaluation.number(second)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    if not (mpmath.isfinite(left) and mpmath.isfinite(right)):
        return None
    tolerance = mpmath.mpf(10) ** (20 - DIGITS) * max(1, abs(left), abs(right), evaluation.peak)
    if abs(left - right) > tolerance:
        return False
    # Where large terms cancel, too few digits are left to say that two values are equal.
    return True if tolerance < _MAX_TOLERANCE else None


def _assumes_positive(*nodes: Node) -> bool:
    parts = [part for node in nodes for part in _walk(node) if isinstance(part, Operation)]
    if any(part.name == "abs" for part in parts):
        return False
    return any(
        (part.name in _OF_POSITIVE or (part.name == "^" and not is_rational(part))) and any(names(part))
        for part in parts
    )


class _Evaluation:
    """Values of trees at one point. `peak` is the largest term of any sum on the way: what cancels loses its digits."""

    def __init__(self, values: dict[str, Any], is_complex: bool) -> None:
        self.values = values
        self.is_complex = is_complex
        self.peak = mpmath.mpf(0)

    def number(self, node: Node) -> Any:
        if isinstance(node, Number):
            return mpmath.mpf(node.value.numerator) / node.value.denominator
        if isinstance(node, Name):
            constants = {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}
            return +constants[node.text] if node.text in constants else +mpmath.mpf(self.values[node.text])
        operands = [self.number(operand) for operand in node.operands]
        if node.name == "+":
            self.peak = max(self.peak, *map(abs, operands))
        value = self.applied(node.name, operands)
        if isinstance(value, mpmath.mpc) and not self.is_complex:
            if value.imag:
                raise ValueError("no real value")
            return value.real
        return value

    def applied(self, name: str, operands: list[Any]) -> Any:
        if name in ("floor", "ceil"):
            # Next to a whole number, a rounding error decides.
            nearest = mpmath.nint(operands[0])
            if 0 < abs(operands[0] - nearest) < _MAX_TOLERANCE:
                raise ValueError("too near to a whole number")
        if name == "root":
            return self.root(*operands)
        if name == "^" and not self.values and operands[0].real < 0 and operands[1] != mpmath.nint(operands[1].real):
            raise ValueError("a fractional power of a negative number is real or complex")
        return _OPERATIONS[name](*operands) if name in _OPERATIONS else getattr(mpmath, name)(*operands)

    def root(self, base: Any, degree: Any) -> Any:
        """The real root: a negative number has one of an odd degree."""
        if degree == 0 or isinstance(base, mpmath.mpc):
            raise ValueError("no root or several")
        if base < 0 and degree == int(degree) and int(degree) % 2:
            return -((-base) ** (1 / degree))
        return base ** (1 / degree)


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 10**6:
        raise OverflowError("exponent too large")
    return base**exponent


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": lambda *terms: mpmath.fsum(terms),
    "*": lambda *factors: mpmath.fprod(factors),
    "/": lambda top, bottom: top / bottom,
    "neg": lambda value: -value,
    "%": lambda value: value / 100,
    "abs": abs,
    "^": _power,
    "sqrt": mpmath.sqrt,
    "!": mpmath.factorial,
    "binom": mpmath.binomial,
    "ln": mpmath.log,
    "log": lambda value, base=10: mpmath.log(value, base),
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
}


def _math_verify_agrees(first: Node, second: Node) -> bool:
    configuration = [LatexExtractionConfig(boxed_match_priority=-1)]
    # Its own time-outs are signals, which only work in a main thread; here the process is killed instead.
    left, right = (
        parse(f"${_latex(node)}$", configuration, fallback_mode="no_fallback", parsing_timeout=None)
        for node in (first, second)
    )
    if not left or not right:
        return False
    return bool(verify(left, right, timeout_seconds=None))


def _latex(node: Node) -> str:
    """Prints a tree as LaTeX that leaves nothing to be guessed."""
    if isinstance(node, Number):
        value = node.value
        if value.denominator == 1:
            return str(value) if value >= 0 else f"({value})"
        return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}".join(
            ("(", ")") if value < 0 else ("", "")
        )
    if isinstance(node, Name):
        return {"pi": "\\pi", "e": "\\exp(1)", "i": "I"}.get(node.text, node.text)
    parts = [_latex(operand) for operand in node.operands]
    match node.name:
        case "+":
            return "(" + "+".join(parts) + ")"
        case "*":
            return "(" + "\\cdot ".join(parts) + ")"
        case "/":
            return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
        case "neg":
            return f"(-{parts[0]})"
        case "%":
            return f"\\frac{{{parts[0]}}}{{100}}"
        case "abs":
            return f"|{parts[0]}|"
        case "^":
            return f"({parts[0]})^{{{parts[1]}}}"
        case "!":
            return f"({parts[0]})!"
        case "sqrt":
            return f"\\sqrt{{{parts[0]}}}"
        case "root":
            return f"({parts[0]})^{{\\frac{{1}}{{{parts[1]}}}}}"
        case "floor" | "ceil":
            return f"\\l{node.name} {parts[0]} \\r{node.name}"
        case "binom":
            return f"\\binom{{{parts[0]}}}{{{parts[1]}}}"
        case "log" if len(parts) == 2:
            return f"\\log_{{{parts[1]}}}({parts[0]})"
    return f"\\{node.name}({parts[0]})"
