"""Steps from one equation to the next: what a solution says once more, in other words, must stay the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.verifier.answers.scalars import evaluations, names
from trl_weighted_dpo.verifier.checks.linear import CONSTANT, UNIT_LETTERS, add, linear_form, scaled
from trl_weighted_dpo.verifier.reading.characters import squeezed
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import Passage, Side, Statement

_MAX_GAP = 60
_MAX_STEP_GAP = 160
_GAP = re.compile(
    r"[$\\\])]{0,3}(?:(?: ?/ ?| )[a-z]{1,20}){0,5}[\s.*$\\()\[\]\u2022-]{0,12}"
    r"(?:(?:[Ss]o|[Tt]hus|[Tt]herefore|[Hh]ence),? )?"
)
_STOPS = re.compile(r"\b(?:or|and|if|when|after|but|now|then|for|plus|minus|times|with)\b", re.I)
_SOLVING = re.compile(
    r"subtract|add|divid|multipl|solv|simplif|both sides|combin|we get"
    r"|so\b|thus|therefore|hence|which means|\A[\s.$\\()\[\],;*\u2022-]{1,20}\Z",
    re.IGNORECASE,
)
_NOT_SOLVING = re.compile(
    r"\b(?:or|if|case|other|second|third|first|for(?! [a-zA-Z]\b)|let|new|next|another|also|substitut\w*|plug\w*|when"
    r"|where|equations|equation [(\d]|either|check\w*|verif\w*|suppose|assume|again|represent\w*|denote\w*|total|know"
    r"|given|and|set)\b",
    re.IGNORECASE,
)
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}
_ROUNDED = Fraction(1, 100)


def restated(passage: Passage, before: Statement, statement: Statement) -> tuple[Side, Side] | None:
    """The sides that must be the same because one line goes on with what the last line computed, or `None`.

    `Total = 5 + 3` and right after it `Total = 8`: both name the same thing, and nothing happens in between. A line
    before that ends in a bare number has come to its end, and what follows may be the next thing of that name.
    """
    if before.signs[-1] not in ("=", "approx") or statement.signs[0] not in ("=", "approx"):
        return None
    first, second = before.sides[0], statement.sides[0]
    if not (
        (before.label and before.label == statement.label)
        or (first.node is not None and first.node == second.node and next(names(first.node), "") != "")
    ):
        return None
    left, right = before.sides[-1], statement.sides[1]
    if left.places is not None or left.node is None or right.node is None:
        return None
    if not before.label and right.places is None and left.value is not None:
        # `x = (5 + 1)/2` and `x = (5 - 1)/2` are two roots.
        return None
    if not before.label and left.value is None and not _can_be_simplified(left.node):
        # `y = 2x + 1` and `y = 3x - 2` are two lines.
        return None
    gap = _gap(passage, before, statement)
    if len(gap) > _MAX_GAP or not _GAP.fullmatch(gap) or _STOPS.search(gap):
        return None
    return left, right


def _gap(passage: Passage, before: Statement, statement: Statement) -> str:
    """What stands between two statements, longer than any limit here if it is long."""
    return squeezed(passage.plain[before.span[1] : min(statement.span[0], before.span[1] + 3 * _MAX_STEP_GAP)])


def _can_be_simplified(node: Node) -> bool:
    """Whether an expression has brackets to expand, like terms, or numbers to compute, so that a second version of it
    is likely the same one carried further."""
    if not isinstance(node, Operation):
        return False
    inner = [operand for operand in node.operands if isinstance(operand, Operation)]
    if node.name == "+":
        terms = [tuple(sorted(names(operand))) for operand in node.operands]
        return len(set(terms)) < len(terms) or any(map(_can_be_simplified, inner))
    return (
        any(operand.name in ("+", "*", "/") for operand in inner if node.name == "^" or operand.name == "+")
        or sum(isinstance(operand, Number) for operand in node.operands) > 1
        or any(map(_can_be_simplified, inner))
    )


def rewritten(statement: Statement) -> Iterator[tuple[Side, Side]]:
    """The neighbouring sides of a chain that are one expression in names written in two ways.

    Only where the chain begins with a label, a name or a function that it defines: `Area = x(x + 2) = x^2 + 2x`. An
    equation of two sides is a condition on its names and no identity, unless it puts like terms together.
    """
    if len(statement.sides) == 2 and combines(statement):
        yield statement.sides[0], statement.sides[1]
    if len(statement.sides) < 3:
        return
    first = statement.sides[0].node
    if first is None:
        if not statement.label:
            return
    elif not isinstance(first, Name) and not (isinstance(first, Operation) and first.name.startswith("apply ")):
        return
    defined = first.text if isinstance(first, Name) else ""
    for index in range(1, len(statement.sides) - 1):
        left, right = statement.sides[index], statement.sides[index + 1]
        if statement.signs[index] != "=" or left.node is None or right.node is None:
            continue
        if left.value is None and right.value is None and defined not in names(left.node):
            yield left, right


def are_identical(left: Node, right: Node) -> bool:
    """Whether two expressions in the same names are equal for all their values, as far as that can be decided.

    Different values at one point prove that they are not (Schwartz 1980, Zippel 1979); whatever cannot be computed, or
    has other names, counts as identical.
    """
    mine, yours = set(names(left)), set(names(right))
    if mine != yours or not mine or any(name.startswith("apply ") or name in ("e", "i") for name in mine):
        return True
    values = evaluations((left, right))
    return values is None or all(first == second for first, second in values)


def combines(statement: Statement) -> bool:
    """Whether an equation of two sides puts like terms together: `x + 4x = 8x`, which as a condition on x would leave
    nothing but 0."""
    left, right = statement.sides[0].node, statement.sides[1].node
    if (
        statement.sides[0].value is not None
        or not isinstance(left, Operation)
        or left.name != "+"
        or right is None
        or statement.signs[0] != "="
    ):
        return False
    if _terms_with_names(left) < 2 or _terms_with_names(right) != 1:
        return False
    solved = solution(left, "=", right)
    return solved is not None and solved.value == 0


def _terms_with_names(node: Node) -> int:
    terms = node.operands if isinstance(node, Operation) and node.name == "+" else (node,)
    return sum(next(names(term), "") != "" for term in terms)


@dataclass(frozen=True, slots=True)
class Solution:
    """What a linear equation or inequality in one name says: `name sign value`."""

    name: str
    sign: str
    value: Fraction


def solution(left: Node | None, sign: str, right: Node | None) -> Solution | None:
    """Solves a linear equation or inequality in one name; `None` if it is none."""
    if left is None or right is None or sign not in _FLIPPED or has_percent(left) or has_percent(right):
        # `x - 25% = 15` takes 25 % of x.
        return None
    forms = linear_form(left, {}), linear_form(right, {})
    if forms[0] is None or forms[1] is None:
        return None
    difference = add(forms[0], scaled(forms[1], Fraction(-1)))
    unknown = [name for name in difference if name != CONSTANT]
    if len(unknown) != 1 or {*forms[0], *forms[1]} - {CONSTANT} != set(unknown):
        return None
    factor = difference[unknown[0]]
    value = -difference.get(CONSTANT, Fraction(0)) / factor
    return Solution(unknown[0], sign if factor > 0 else _FLIPPED[sign], value)


def has_percent(node: Node) -> bool:
    """Whether there is a percent sign in a tree."""
    return isinstance(node, Operation) and (node.name == "%" or any(map(has_percent, node.operands)))


def broken_step(
    passage: Passage, earlier: Statement | None, before: Statement, statement: Statement
) -> tuple[Solution, Solution] | None:
    """The solutions of two successive equations in one name, if the second should follow from the first and does not.

    It should if nothing stands between them but the words of solving (`Divide both sides by 3`). The equation before
    must not be solved already: what comes after `x = 5` may be about something else. Nor may another one with another
    solution stand right before it: `x - 2 = 0, x - 3 = 0` are cases.
    """
    left, right = before.sides[-2].node, before.sides[-1].node
    after, other = statement.sides[0].node, statement.sides[1].node
    if left is None or right is None or after is None or other is None or len(before.sides) != 2:
        return None
    if not (_has_unknown(before) and _has_unknown(statement)):
        return None
    if combines(before):
        return None
    if (before.signs[-1] == "=") != (statement.signs[0] == "=") or isinstance(left, Name) or isinstance(right, Name):
        return None
    if left == after and not isinstance(right, Number):
        # Cases of one left side: `n + 6 = 2n`, `n + 6 = 3n`.
        return None
    if statement.step > before.step + 1 or (isinstance(after, Number) and isinstance(other, Number)):
        return None
    gap = _gap(passage, before, statement)
    if len(gap) > _MAX_STEP_GAP or not _SOLVING.search(gap) or _NOT_SOLVING.search(gap):
        return None
    first = solution(left, before.signs[-1], right)
    second = solution(after, statement.signs[0], other) if first is not None else None
    if first is None or second is None or first.name != second.name:
        return None
    if first.name in UNIT_LETTERS and not isinstance(after, Name) and not isinstance(other, Name):
        return None
    if first == second or (first.sign == second.sign and _is_rounded(first.value, second.value)):
        return None
    if earlier is not None and len(_gap(passage, earlier, before)) <= _MAX_GAP:
        case = solution(earlier.sides[-2].node, earlier.signs[-1], earlier.sides[-1].node)
        if case is not None and case.name == first.name and case != first:
            return None
    return first, second


def _has_unknown(statement: Statement) -> bool:
    """Whether one of the first two sides has no value, as only a side with a name can be solved for it."""
    return statement.sides[0].value is None or statement.sides[1].value is None


def _is_rounded(exact_value: Fraction, value: Fraction) -> bool:
    if exact_value.denominator == 1 and value.denominator == 1:
        return False
    return abs(exact_value - value) <= _ROUNDED * max(abs(exact_value), abs(value))
