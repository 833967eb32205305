"""The dimension `semantic_alignment`: whether the solution works on the problem that was set.

Without a reference solution it sees numbers that come from nowhere, numbers of the problem that are misquoted or not
used, and answers in another unit than the one asked for. With one, it also sees values on no path from the problem to
the reference answer, values of that path that are never reached, and a solution that ends where no step leads to it.
"""

import re
from collections.abc import Iterator, Sequence, Set
from fractions import Fraction

from trl_weighted_dpo.core.printing import number
from trl_weighted_dpo.verifier.checks.conversions import size
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding, finding, score_of
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.mentions import is_multiple
from trl_weighted_dpo.verifier.reading.passage import Mention, Passage
from trl_weighted_dpo.verifier.reading.units import singular
from trl_weighted_dpo.verifier.routes.known import constants, key
from trl_weighted_dpo.verifier.routes.reach import End, end_of, matches, on_the_way, reached_at, source_of
from trl_weighted_dpo.verifier.routes.tracing import Derived

DIMENSION = "semantic_alignment"

_ENDS = {
    End.LATER: "long_end",
    End.NEAR: "unfinished",
    End.ROUND_ABOUT: "detour",
    End.FAR: "far_end",
    End.NOWHERE: "dead_end",
}

_ASKED_UNIT = re.compile(
    r"\b(?:in|how many|number of)\s{1,2}(?P<unit>seconds|minutes|hours|days|weeks|months|years|cents|dollars|inches"
    r"|feet|yards|miles|centimeters|meters|kilometers|grams|kilograms|ounces|pounds)\b",
    re.IGNORECASE,
)
_COMPUTES = re.compile(r" times (?:\\?\$ ?)?[\d.(]")
_ARTICLE = re.compile(r"\ban? $", re.IGNORECASE)
_BEFORE_YEAR = re.compile(
    r"\b(?:in|since|of|by|year|january|february|march|april|may|june|july|august|september|october|november"
    r"|december),? $",
    re.IGNORECASE,
)


def check(facts: Facts) -> DimensionResult:
    """Checks what the solution works with by where it comes from and where it leads."""
    has_problem = bool(facts.problem.plain.strip())
    has_reference = facts.route is not None and bool(facts.route.results)
    unavailable = (() if has_problem else ("problem",)) + (() if has_reference else ("reference solution",))
    if not has_problem and not has_reference:
        return DimensionResult(None, (), unavailable)
    route, trace = facts.route, facts.trace
    strange: list[int] = []
    is_reached = _is_reached(facts)
    if route is not None and has_reference and not is_reached:
        ways = on_the_way(trace.derived, route)
        strange = [index for index, is_on_the_way in enumerate(ways) if not is_on_the_way]
    findings = [] if is_reached else list(_off_route(facts, [trace.derived[index] for index in strange]))
    if has_problem:
        findings += [*_strays(facts), *_multiples(facts)]
        misquoted = {item.expected for item in findings if item.kind == "misquoted_quantity"}
        findings += [*_unused(facts, misquoted), *_other_unit(facts)]
    return DimensionResult(score_of(findings), tuple(findings), unavailable, *_suspects(facts, strange))


def _suspects(facts: Facts, strange: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Steps with a number from nowhere or a value off the route; and apart, where none is from nowhere, those whose
    value may belong to another route."""
    route, trace = facts.route, facts.trace
    strays = [stray.step for stray in trace.strays] if facts.problem.plain.strip() else []
    off: list[int] = []
    other: list[int] = []
    if route is not None and route.results:
        for index in strange:
            item = trace.derived[index]
            if item.exact == facts.target:
                continue
            if key(item.exact) in route.regrouped:
                other.append(item.step)
            else:
                off.append(item.step if off else trace.derived[source_of(index, trace, route)].step)
        fair = route.computed | facts.given
        for claim in trace.claims:
            value = claim.mention.value
            if value != facts.target and not matches(value, fair, claim.mention.places):
                off.append(claim.step)
    return (*strays, *off), () if strays else tuple(other)


def _strays(facts: Facts) -> Iterator[Finding]:
    """Numbers that come from nowhere, or in place of a number of the problem."""
    if not facts.trace.strays:
        return
    unused = [mention for mention in facts.problem.mentions if not _is_used(mention, facts.trace.used)]
    # Algebra makes numbers by steps that are not written as computations.
    is_algebra = "\\" in facts.problem.plain or "\\" in facts.solution.plain
    for stray in facts.trace.strays:
        mention = stray.mention
        text = facts.solution.plain[slice(*mention.span)]
        replaced = next((other for other in unused if _same_kind(mention, other)), None)
        if replaced is not None:
            right = facts.problem.plain[slice(*replaced.span)]
            what = "%" if mention.percent else f" {mention.unit}"
            message = f"The problem says {right}{what}, not {text}{what}."
            yield _finding("misquoted_quantity", stray.step, mention.span, right, text, message)
        elif not is_algebra and (stray.is_operand or mention.unit or mention.percent):
            message = f"{text} is neither in the problem nor derived before."
            yield _finding("unknown_quantity", stray.step, mention.span, None, text, message)


def _multiples(facts: Facts) -> Iterator[Finding]:
    """`half` where the problem says `a third`, `four times` where it says `three times`."""
    problem, solution = facts.problem, facts.solution
    asked = [mention for mention in problem.mentions if _says_multiple(problem, mention)]
    if not asked:
        return
    said = [mention for mention in solution.mentions if _says_multiple(solution, mention)]
    values = {key(mention.value) for mention in said}
    missed = [m for m in asked if said and key(m.value) not in values and key(m.value) not in facts.trace.used]
    if not missed:
        return
    for mention in said:
        value = mention.value
        if value in facts.given or (value and 1 / value in facts.given):
            continue
        right, text = problem.plain[slice(*missed[0].span)], solution.plain[slice(*mention.span)]
        message = f"The problem says {right}, not {text}."
        step = solution.step_at(mention.span[0]) or 0
        yield _finding("misquoted_quantity", step, mention.span, right, text, message)
        return


def _says_multiple(passage: Passage, mention: Mention) -> bool:
    """Whether a quantity is a multiple of another one: not in `7 times 3`, nor in `the third day`."""
    start, end = mention.span
    if not (mention.in_words or "times" in passage.plain[end : end + 9]) or not is_multiple(passage.plain, mention):
        return False
    if not mention.in_words:
        return not _COMPUTES.match(passage.plain, end, end + 20)
    return (
        mention.value.numerator != 1
        or mention.value.denominator == 2
        or bool(_ARTICLE.search(passage.plain, max(0, start - 8), start))
    )


def _same_kind(mention: Mention, other: Mention) -> bool:
    if mention.percent or other.percent:
        return mention.percent and other.percent
    return bool(mention.unit) and mention.unit == other.unit


def _is_used(mention: Mention, used: Set[Fraction | int]) -> bool:
    value = mention.value
    if key(value) in used:
        return True
    others = (value / 100, 1 - value / 100, 1 + value / 100, 100 - value, 100 + value)
    return any(key(other) in used for other in others)


def _unused(facts: Facts, misquoted: Set[str | None]) -> Iterator[Finding]:
    """Numbers of the problem that the reference computes with and the solution never uses, or where there is no
    reference, that the solution never uses; those of `misquoted` apart."""
    route = facts.route
    if route is not None and _is_right(facts):
        return
    used = facts.trace.used
    wanted = route.operands if route is not None and route.operands else None
    target = facts.target
    if route is not None and wanted is not None and (target is None or reached_at(target, facts.trace, route) is None):
        # What only the last step needs is not missed by a solution that does not come to it.
        wanted -= route.last_operands
    seen: set[Fraction | int] = set()
    for mention in facts.problem.mentions:
        value = key(mention.value)
        if value in seen or (mention.in_words and wanted is None) or value in (0, 1):
            continue
        seen.add(value)
        if wanted is not None and value not in wanted:
            continue
        if _is_used(mention, used) or facts.problem.plain[slice(*mention.span)] in misquoted:
            continue
        if wanted is None and _is_date(facts.problem.plain, mention):
            continue
        text = facts.problem.plain[slice(*mention.span)]
        yield _finding("unused_quantity", None, None, text, None, f"The {text} of the problem is never used.")


def _is_date(plain: str, mention: Mention) -> bool:
    """Whether a number is a year: `in 2010`, `May 2020`."""
    start, end = mention.span
    return (
        end - start == 4
        and not mention.unit
        and mention.places == 0
        and bool(_BEFORE_YEAR.search(plain, max(0, start - 12), start))
    )


def _is_right(facts: Facts) -> bool:
    """Whether the solution says in so many words that its answer is the reference answer."""
    return facts.decision.verdict is Verdict.CORRECT and facts.answer is not None and not facts.answer.is_weak


def _is_reached(facts: Facts) -> bool:
    """Whether the solution gives the reference answer, or derives it and gives no other."""
    verdict, target = facts.decision.verdict, facts.target
    if verdict is Verdict.INCORRECT:
        return False
    if _is_right(facts):
        return True
    return target is not None and reached_at(target, facts.trace, facts.route) is not None


def _off_route(facts: Facts, strange: Sequence[Derived]) -> Iterator[Finding]:
    """Values on no path to the reference answer, values of the reference that are missed, and a dead end."""
    route, trace = facts.route, facts.trace
    if route is None or not route.results:
        return
    target = facts.target if facts.target is not None else route.results[-1]
    reached = reached_at(target, trace, route)
    seen: set[Fraction | int] = set()
    for item in strange:
        exact = key(item.exact)
        if exact in seen or exact in route.regrouped:
            continue
        seen.add(exact)
        message = f"{number(item.value)} is on no path from the problem to the reference answer."
        yield _finding("off_route", item.step, item.span, None, number(item.value), message)
    for value in route.results[:-1]:
        if key(value) not in trace.reached and key(-value) not in trace.reached:
            message = f"The reference solution goes through {number(value)}, which this solution never reaches."
            yield _finding("route_not_reached", None, None, number(value), None, message)
    if reached is not None:
        message = f"The reference answer {number(target)} is reached here, but the solution goes on from it."
        item = trace.derived[reached]
        yield _finding("left_behind", item.step, item.span, number(target), None, message)
        return
    given = [mention.value for mention in facts.problem.mentions if not (mention.in_words and mention.value == 1)]
    given += [mention.value / 100 for mention in facts.problem.mentions if mention.percent]
    end = end_of(target, trace, route, given, constants(facts.problem.plain))
    if end is not End.HERE:
        last = trace.derived[-1] if trace.derived else None
        yield _finding(
            _ENDS[end],
            last.step if last is not None else None,
            last.span if last is not None else None,
            number(target),
            number(last.value) if last is not None else None,
            f"From where the solution ends, the reference answer {number(target)} follows {end.value}.",
        )


def _other_unit(facts: Facts) -> Iterator[Finding]:
    """An answer in another unit of the same kind than the one asked for."""
    question = facts.problem.plain[facts.problem.plain.rfind(".", 0, -2) + 1 :]
    asked = _ASKED_UNIT.search(question)
    if asked is None or facts.answer is None:
        return
    wanted = singular(asked["unit"].lower())
    start, end = facts.answer.span
    answered = next((m for m in facts.solution.mentions if start <= m.span[0] < end + 1 and m.unit), None)
    if answered is None or answered.unit == wanted:
        return
    if size(wanted, answered.unit) not in (None, 1):
        message = f"The question asks for {asked['unit'].lower()}, but the answer has the unit {answered.unit}."
        yield _finding("other_unit", facts.solution.step_at(start), facts.answer.span, wanted, answered.unit, message)


def _finding(
    kind: str, step: int | None, span: tuple[int, int] | None, expected: str | None, found: str | None, message: str
) -> Finding:
    return finding(DIMENSION, kind, span, message, expected=expected, found=found, step=step)
