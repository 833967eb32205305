"""Where each value of a solution comes from: the problem, a constant, an earlier step, the reference, or nowhere."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from trl_weighted_dpo.verifier.reading.characters import after, before
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import MAX_READ, Mention, Passage
from trl_weighted_dpo.verifier.routes.known import Route, approximate, computations, constants, evaluate, key, subtrees

_NUMBERING = re.compile(r"(?:^|\n|[.:;)][ ])[ \t>*#-]{0,8}(?:step[ ]?|\()?$", re.IGNORECASE)
_REFERRED = re.compile(r"\b(?:steps?|equations?|parts?|cases?)[ ]?\(?$", re.IGNORECASE)
_MAX_EVENTS = 600
_RECENT = 12
MAX_COMPARED = 300
"""Values up to which a rounded one is compared with each."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Derived:
    """A value that a solution computes.

    Args:
        step (`int`): The step it is in.
        span (`tuple[int, int]`): Where the result is written; the computation if it is not carried out.
        value (`Fraction`): The result as stated, else what the computation comes to.
        exact (`Fraction`): What the computation comes to.
        places (`int`): Decimals that the stated result shows; 0 if none is stated.
        operands (`tuple[Fraction, ...]`): The numbers that it is computed from.
        node (`Node`): The computation.
    """

    step: int
    span: tuple[int, int]
    value: Fraction
    exact: Fraction
    places: int
    operands: tuple[Fraction, ...]
    node: Node


@dataclass(frozen=True, slots=True)
class Stray:
    """A number that comes from nowhere.

    Args:
        step (`int`): The step it is in.
        mention (`Mention`): The number.
        is_operand (`bool`): Whether something is computed with it; else it is only said.
    """

    step: int
    mention: Mention
    is_operand: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A value that is stated without a computation, and is no number of the problem.

    Args:
        step (`int`): The step it is in.
        mention (`Mention`): The number.
    """

    step: int
    mention: Mention


@dataclass(frozen=True)
class Trace:
    """The values of a solution with their sources.

    Args:
        derived (`tuple[Derived, ...]`): What it computes, in order.
        claims (`tuple[Claim, ...]`): What it states without computing it, in order, each value once.
        strays (`tuple[Stray, ...]`): What comes from nowhere, in order, each value once.
        mentioned (`tuple[Fraction, ...]`): All values that it mentions, in order.
        values (`Mapping[str, Fraction]`): The values at which its expressions in an unknown are evaluated.
        thought (`Trace`, *optional*): That of the thought before it, whose values it may use.
    """

    derived: tuple[Derived, ...]
    claims: tuple[Claim, ...]
    strays: tuple[Stray, ...]
    mentioned: tuple[Fraction, ...]
    values: Mapping[str, Fraction]
    thought: "Trace | None" = None

    @cached_property
    def opened(self) -> tuple[Fraction, ...]:
        """What it computes and does not compute with again, in order, each value once."""
        consumed = {key(operand) for item in self.derived for operand in item.operands}
        opened = (
            item.value
            for item in self.derived
            if consumed.isdisjoint((key(item.value), key(item.exact), key(-item.value)))
        )
        return tuple(dict.fromkeys(opened))

    @cached_property
    def reached(self) -> frozenset[Fraction | int]:
        """What it computes, parts of its expressions included, and claims."""
        reached = {key(claim.mention.value) for claim in self.claims}
        if self.thought is not None:
            reached |= self.thought.reached
        for item in self.derived:
            reached.update((key(item.value), key(item.exact)))
            if len(item.operands) > 2:
                reached.update(map(key, item.operands))
                for part in subtrees(item.node):
                    if isinstance(part, Operation) and part is not item.node:
                        value = evaluate(part, self.values)
                        if value is not None:
                            reached.add(key(value))
        return frozenset(reached)

    @cached_property
    def used(self) -> frozenset[Fraction | int]:
        """All values that it mentions or computes, parts of its expressions included."""
        used = self.reached.union(map(key, self.mentioned))
        return used if self.thought is None else used | self.thought.used


def read_trace(
    solution: Passage,
    problem: Passage,
    given: frozenset[Fraction],
    route: Route | None,
    values: Mapping[str, Fraction],
    thought: Trace | None = None,
) -> Trace:
    """Follows the values of a solution in the order of its text, with its expressions in the unknown that is asked for
    evaluated at `values`; of an answer part, after those of its thought."""
    derived, operand_spans, algebra, results = _computed(solution, values)
    known: set[Fraction | int] = {*given, *constants(problem.plain, solution.plain)}
    if route is not None:
        known |= route.values
    recent = list(thought.mentioned[-_RECENT // 2 :]) if thought is not None else []
    recent += [mention.value for mention in problem.mentions]
    strays: list[Stray] = []
    claims: list[Claim] = []
    pending = iter((*derived, None))
    following = next(pending)
    for mention in solution.mentions[:_MAX_EVENTS]:
        while following is not None and following.span[0] <= mention.span[0]:
            known.add(key(following.value))
            known.add(key(following.exact))
            recent.append(following.value)
            following = next(pending)
        if mention.in_words or mention.span in results or key(mention.value) in known or _is_known(mention, known):
            continue
        if route is not None and _is_known(mention, route.regrouped):
            continue
        if is_label(solution.plain, mention) or _is_coefficient(solution.plain, mention):
            continue
        step = solution.step_at(mention.span[0]) or 0
        if _inside(mention.span, algebra) and _one_operation(mention.value, recent):
            continue
        inside = _inside(mention.span, operand_spans) or _inside(mention.span, algebra)
        if not inside and _one_operation(mention.value, recent):
            claims.append(Claim(step, mention))
        else:
            strays.append(Stray(step, mention, inside))
        known.add(key(mention.value))
        recent.append(mention.value)
    mentioned = tuple([mention.value for mention in solution.mentions])
    return Trace(tuple(derived), tuple(claims), tuple(strays), mentioned, values, thought)


def _computed(
    solution: Passage, values: Mapping[str, Fraction]
) -> tuple[list[Derived], list[Span], list[Span], set[Span]]:
    derived: list[Derived] = []
    operand_spans: list[Span] = []
    algebra: list[Span] = []
    results: set[Span] = set()
    mentions = [mention.span for mention in solution.mentions]
    for statement in solution.statements[:_MAX_EVENTS]:
        for side in statement.sides:
            if isinstance(side.node, Operation):
                (operand_spans if side.value is not None else algebra).append(side.span)
        for index, node, value in computations(statement, values):
            following = statement.sides[index + 1] if index + 1 < len(statement.sides) else None
            span, stated, places = statement.sides[index].span, value, 0
            if following is not None and following.places is not None and following.value is not None:
                span, stated, places = following.span, following.value, following.places
                results.update(mentions[bisect_left(mentions, span) : bisect_left(mentions, (span[1], 0))])
            derived.append(Derived(statement.step, span, stated, value, places, tuple(numbers_in(node)), node))
    if values:
        derived += _in_unknown(solution, values, derived)
    derived.sort(key=lambda item: item.span)
    return derived, sorted(operand_spans), sorted(algebra), results


def _in_unknown(solution: Passage, values: Mapping[str, Fraction], derived: Sequence[Derived]) -> Iterator[Derived]:
    """Terms such as `4x` in running text, in the unknown that is asked for."""
    read = sorted(item.span for item in derived)
    for mention in solution.mentions:
        end = mention.span[1]
        letter = solution.plain[end : end + 1]
        if letter in values and not solution.plain[end + 1 : end + 2].isalnum() and not _inside(mention.span, read):
            value = mention.value * values[letter]
            step = solution.step_at(end) or 0
            node = Operation("*", (Number(mention.value), Name(letter)))
            yield Derived(step, (mention.span[0], end + 1), value, value, 0, (mention.value,), node)


def _inside(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    position = bisect_right(spans, (span[0], MAX_READ))
    return position > 0 and spans[position - 1][1] >= span[1]


def _is_known(mention: Mention, known: Set[Fraction | int]) -> bool:
    value, exact = mention.value, key(mention.value)
    if exact in known or -exact in known:
        return True
    if (mention.percent or value.denominator != 1 or value > 100) and (
        key(value / 100) in known or key(100 * value) in known
    ):
        return True
    if value.denominator != 1 and len(known) <= MAX_COMPARED:
        near = approximate(value)
        tolerance = 0.51 * 10.0**-mention.places
        return any(abs(approximate(other) - near) <= tolerance for other in known if other.denominator != 1)
    return False


def _one_operation(value: Fraction, recent: Sequence[Fraction]) -> bool:
    """Whether one operation on two of the last values gives `value`: a step that was done in the head."""
    numbers = list(dict.fromkeys(map(approximate, recent[-_RECENT:])))
    wanted = approximate(value)
    for left in numbers:
        for right in numbers:
            if left + right == wanted or left - right == wanted or left * right == wanted:
                return True
            if right and abs(left / right - wanted) < 1e-9:
                return True
    return False


def numbers_in(node: Node) -> list[Fraction]:
    """The numbers that an expression is written with, without their signs: the grammar reads `5 - 3` as `5 + -3`."""
    found = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Number):
            found.append(part.value if part.value.numerator >= 0 else -part.value)
        elif isinstance(part, Operation):
            stack.extend(part.operands)
    return found


def _is_coefficient(plain: str, mention: Mention) -> bool:
    """Whether a variable is glued to a number, so that it is worked out by algebra."""
    after = plain[mention.span[1] : mention.span[1] + 2]
    return after[:1].isalpha() and not after[1:].isalnum() and after[0] not in "gmlLhs"


def is_label(plain: str, mention: Mention) -> bool:
    """Whether a number numbers a step, or refers to one, instead of counting something."""
    ahead = before(plain, mention.span[0], 24)
    behind = after(plain, mention.span[1], 2)
    if _REFERRED.search(ahead):
        return True
    return bool(_NUMBERING.search(ahead)) and (behind[:1] in (":", ")", ".") and behind[1:] in ("", " ", "\n", "*"))
