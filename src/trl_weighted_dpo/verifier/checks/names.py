"""Names with two values: equations of one text that no values of their names satisfy together."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.core.printing import excerpt, number
from trl_weighted_dpo.verifier.answers.scalars import names as names_in
from trl_weighted_dpo.verifier.checks.carrying import agree
from trl_weighted_dpo.verifier.checks.linear import CONSTANT, MAX_NAMES, UNIT_LETTERS, System, add, linear_form, scaled
from trl_weighted_dpo.verifier.findings import RULE, Finding, finding
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Operation, parse
from trl_weighted_dpo.verifier.reading.passage import Passage, Side, Statement
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError, tidy, tokenize

MAX_EQUATIONS = 60
"""Equations of a text that are taken up at most."""

_CONTEXT = 80
_ROUNDED = Fraction(1, 50)

# What makes an equation a trial, a case, a choice or a point and no lasting fact.
_PASSING = re.compile(
    r"\b(?:if|when|where|cases?|suppose|assum\w*|tr(?:y|ies|ying)|test\w*|at|or|set(?! up\b)|setting"
    r"|mod(?:ulo)?|let(?!'?s\b| us\b)|check\w*|verif\w*|new"
    r"|(?<!solve )(?<!solving )(?<!equation )(?<!expression )(?<!formula )for)\b|\\[pb]mod",
    re.IGNORECASE,
)
# Where a name may begin to stand for something else.
_ANEW = re.compile(
    r"\blet(?!'?s (?!denote|say|call|define|assume|use))|\b(?:denote|define|case|method|another|part \(?[a-e1-9]"
    r"|ago|later|in \w{1,8} (?:years|months|weeks|days|hours))\b",
    re.IGNORECASE,
)
_NO_SOLUTION = re.compile(
    r"\bno (?:real |integer |such )?(?:solution|value)|\bcontradict|\bimpossible\b|\binconsisten", re.IGNORECASE
)
_PASSING_AFTER = re.compile(r"[\s,$\\)\]]{0,6}(?:or|if|when|for|\(?mod|pmod|bmod)\b", re.IGNORECASE)
# `P(X = 4)`, `\sum_{i=1}`, `the sum of a and b = 9`: the first side is not all that stands before the sign.
_CUT_OFF = re.compile(
    r"[\w}][({]$|_\{?$|\b(?:sum|difference|product|quotient|ratio|average|mean|of|between)\b[^.;:,=]{0,40}$",
    re.IGNORECASE,
)
# `9x - 7 into x + y` is no side, and `93 x` may be the end of one and the beginning of the next.
_UNSURE = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]{3,}(?![A-Za-z{])[^()]{0,80}(?:[-+*/^\d(]|\b[A-Za-z]\b)|\d\s(?:[A-Za-z]\b|\()|\n"
)
_SENTENCE = re.compile(r"[.;!?]\s|\n")
_RUN_ON = re.compile(r"(?P<before>[^\s=].{0,120}[\w)}])[ \n](?P<after>\d*[A-Za-z](?:[ ]?[-+][ ]?\d+)?|\d+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z](?:_?\w{1,3})?|alpha|beta|gamma|theta")


def contradictions(passage: Passage) -> Iterator[Finding]:
    """The first equation that contradicts those before it.

    The linear equations of the text are taken up one by one and solved as far as they go ([`~linear.System`]); one
    that leaves no solution gives a name two values, as `18x = 162` and `x = 162 / 17` do. What may hold for the moment
    only (a case, a trial, a root) takes its names out, and where names may be defined anew it starts again. So do names
    that are set to an expression of themselves (`n = n + 1`).
    """
    equations = list(itertools.islice(_equations(passage), MAX_EQUATIONS))
    if len(equations) < 2 or _NO_SOLUTION.search(passage.plain):
        return
    alone = {
        side.node.text for statement in passage.statements for side in statement.sides if isinstance(side.node, Name)
    }
    system = System()
    passing: set[str] = set()
    defined: set[str] = set()
    has_decimals = False
    position = equations[0].span[0]
    for equation in equations:
        if _ANEW.search(passage.plain, position, equation.span[0]):
            system = System()
            defined = set()
        position = equation.span[1]
        names = equation.names
        if len(names) > MAX_NAMES or any(name in UNIT_LETTERS and name not in alone for name in names):
            continue
        if names & passing or not equation.is_lasting or _steps(equation) or not all(map(_NAME.fullmatch, names)):
            # What follows from a passing value is passing too.
            passing |= names
            continue
        known = system.values()
        if isinstance(equation.left, Name) and not set(names_in(equation.right)):
            if equation.left.text in defined:
                # `x = 2 and x = 3`, `Monday: n = 5 ... Tuesday: n = 8`: given again, not derived from anything.
                passing |= names
                continue
            if equation.left.text not in known:
                defined.add(equation.left.text)
        left, right = (linear_form(side, {}) or linear_form(side, known) for side in (equation.left, equation.right))
        if left is None or right is None:
            if not (isinstance(equation.left, Name) and equation.left.text not in system.solved):
                # Several values may solve it.
                passing |= names - known.keys()
            continue
        has_decimals = has_decimals or "." in passage.plain[slice(*equation.span)]
        gap = system.gap(left, right)
        if gap is not None and abs(gap[0]) > (_ROUNDED if has_decimals else 0) * gap[1]:
            contradiction = _contradiction(passage, equation, known)
            if contradiction is not None:
                yield contradiction
                return


@dataclass(frozen=True, slots=True)
class _Equation:
    left: Node
    right: Node
    span: tuple[int, int]
    names: frozenset[str]
    is_lasting: bool


def _equations(passage: Passage) -> Iterator[_Equation]:
    plain = passage.plain
    for statement in passage.statements:
        if statement.source == "calculator" or not any(map(_has_names, statement.sides)):
            continue
        is_lasting = _is_lasting(plain, statement)
        for left, right, sign in _pairs(plain, statement):
            if left.node is None or right.node is None or _adds_percent(left.node) or _adds_percent(right.node):
                continue
            names = {*names_in(left.node), *names_in(right.node)}
            if names:
                span = left.span[0], right.span[1]
                yield _Equation(left.node, right.node, span, frozenset(names), is_lasting and sign == "=")


def _pairs(plain: str, statement: Statement) -> Iterator[tuple[Side, Side, str]]:
    """Each two neighbouring sides with their sign, `x = 90 / 2 x = 45` taken as two statements."""
    left: Side | None = None
    for index, side in enumerate(statement.sides):
        parts = _run_on(plain, side) if 0 < index < len(statement.sides) - 1 else None
        first = side if parts is None else parts[0]
        right = None if _UNSURE.search(plain, *first.span) else first
        if left is not None and right is not None:
            yield left, right, statement.signs[index - 1]
        left = right if parts is None else parts[1]


def _run_on(plain: str, side: Side) -> tuple[Side, Side] | None:
    """A side that ends in the first side of the next statement, as two."""
    found = _RUN_ON.fullmatch(plain, *side.span)
    if found is None:
        return None
    parts = []
    for group in ("before", "after"):
        try:
            node = parse(tokenize(tidy(found[group].replace("$", ""))))
        except UnreadableError:
            return None
        parts.append(Side(found.span(group), node, None, None, False, ""))
    return parts[0], parts[1]


def _is_lasting(plain: str, statement: Statement) -> bool:
    start = statement.span[0]
    before = _SENTENCE.split(plain[max(0, start - _CONTEXT) : start])[-1]
    return not (_PASSING.search(before) or _CUT_OFF.search(before) or _PASSING_AFTER.match(plain, statement.span[1]))


def _steps(equation: _Equation) -> bool:
    return isinstance(equation.left, Name) and equation.left.text in names_in(equation.right)


def _has_names(side: Side) -> bool:
    return side.node is not None and side.value is None and bool(set(names_in(side.node)))


def _adds_percent(node: Node) -> bool:
    """Whether it has `x - 25%`, of which nobody knows of what the percentage is."""
    if not isinstance(node, Operation):
        return False
    if node.name == "+":
        for operand in node.operands:
            inner = operand.operands[0] if isinstance(operand, Operation) and operand.name == "neg" else operand
            if isinstance(inner, Operation) and inner.name == "%":
                return True
    return any(map(_adds_percent, node.operands))


def _contradiction(passage: Passage, equation: _Equation, known: dict[str, Fraction]) -> Finding | None:
    span = equation.span
    settled = [name for name in sorted(equation.names) if name in known]
    expected = ", ".join(f"{name} = {number(known[name])}" for name in settled) or None
    left, right = linear_form(equation.left, {}), linear_form(equation.right, {})
    if len(equation.names) == 1 and settled and left is not None and right is not None:
        name = settled[0]
        difference = add(left, scaled(right, Fraction(-1)))
        if coefficient := difference.get(name):
            value = -difference.get(CONSTANT, Fraction(0)) / coefficient
            if agree(known[name], value):
                return None
            message = f"{name} was {number(known[name])} before, but here it comes to {number(value)}."
            return _two_values(span, expected, f"{name} = {number(value)}", message)
    reason = f"with {expected} from before" if expected else "with the equations before"
    written = excerpt(passage.text[slice(*span)])
    return _two_values(span, expected, written, f"This equation cannot hold {reason}.")


def _two_values(span: tuple[int, int], expected: str | None, found: str, message: str) -> Finding:
    return finding("logical_consistency", "two_values", span, message, expected=expected, found=found, channel=RULE)
