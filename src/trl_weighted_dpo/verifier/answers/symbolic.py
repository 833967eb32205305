"""The symbolic decision: what a worker process computes, for expressions that are no rational functions.

Two independent checks must agree before two expressions count as equal: a numerical one (80 digits, at random points)
and math-verify. The numerical check alone can say that they differ. math-verify sees LaTeX that is printed here from
our own tree, never text that a model wrote, so nothing of that text reaches the `eval` inside sympy's number parser.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
from math_verify import LatexExtractionConfig, parse, verify

from trl_weighted_dpo.verifier.answers.equivalence import decide_texts
from trl_weighted_dpo.verifier.answers.scalars import (
    Decision,
    correct,
    incorrect,
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
    if not close:
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
            value = _number(other, {})
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
    return True


def _numerically_close(first: Node, second: Node) -> bool | None:
    """Whether both trees agree to `DIGITS` - 20 digits at every point; `None` if too few points have a value."""
    with mpmath.workdps(DIGITS):
        tolerance = mpmath.mpf(10) ** (20 - DIGITS)
        compared = 0
        for _, values in zip(range(4 * _POINTS), points(first, second), strict=False):
            # Small positive points first: there, roots and logarithms are real.
            small = {name: abs(value) % 7 + mpmath.mpf(1) / 3 for name, value in values.items()}
            try:
                left, right = _number(first, small), _number(second, small)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            if not (mpmath.isfinite(left) and mpmath.isfinite(right)):
                continue
            if abs(left - right) > tolerance * max(abs(left), abs(right)):
                return False
            compared += 1
            if compared == _POINTS:
                return True
    return None


def _number(node: Node, values: dict[str, Any]) -> Any:
    if isinstance(node, Number):
        return mpmath.mpf(node.value.numerator) / node.value.denominator
    if isinstance(node, Name):
        constants = {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}
        return +constants[node.text] if node.text in constants else +mpmath.mpf(values[node.text])
    operands = [_number(operand, values) for operand in node.operands]
    simple: dict[str, Callable[..., Any]] = {
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
    return simple[node.name](*operands) if node.name in simple else getattr(mpmath, node.name)(*operands)


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 10**6:
        raise OverflowError("exponent too large")
    return base**exponent


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
        case "binom":
            return f"\\binom{{{parts[0]}}}{{{parts[1]}}}"
        case "log" if len(parts) == 2:
            return f"\\log_{{{parts[1]}}}({parts[0]})"
    return f"\\{node.name}({parts[0]})"
