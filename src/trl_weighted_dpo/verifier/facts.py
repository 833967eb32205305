"""What the dimensions check from: a solution, its problem and its reference, read once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from trl_weighted_dpo.verifier.answers.scalars import Decision
from trl_weighted_dpo.verifier.arithmetic import NotExactError, exact
from trl_weighted_dpo.verifier.reading.answer import Answer
from trl_weighted_dpo.verifier.reading.characters import plain
from trl_weighted_dpo.verifier.reading.mentions import read_mentions
from trl_weighted_dpo.verifier.reading.passage import MAX_READ, Passage, Step, split_steps
from trl_weighted_dpo.verifier.reading.statements import read_statements
from trl_weighted_dpo.verifier.reading.structure import Labelled, Quantity, read_form
from trl_weighted_dpo.verifier.reading.tokens import UnreadableError
from trl_weighted_dpo.verifier.routes.known import Route, asked_unknown, given_values, read_route
from trl_weighted_dpo.verifier.routes.tracing import Trace, read_trace

_STATED = re.compile(r"(?:=|\u2248|\bis|\bgives|\bget)[ ]?[\\$(]{0,3}(?P<number>\d[\d,]{0,20}(?:\.\d{1,20})?)")
_NUMBER = re.compile(r"(?P<number>\d[\d,]{0,20}(?:\.\d{1,20})?)")
_MAX_VALUES = 2_000


@dataclass(frozen=True, slots=True)
class Thought:
    """What a solution thinks before its answer.

    Args:
        passage (`Passage`): The thought.
        trace (`Trace`): Where its values come from.
        values (`frozenset[Fraction]`): What it derives, which the answer may work with.
    """

    passage: Passage
    trace: Trace
    values: frozenset[Fraction]


@dataclass(frozen=True, slots=True)
class Facts:
    """One solution with all that is known of it.

    Args:
        solution (`Passage`): The solution.
        problem (`Passage`): The problem; blank if none was given.
        given (`frozenset[Fraction]`): The values that the problem gives.
        reference (`Passage`, *optional*): The reference solution.
        route (`Route`, *optional*): What the reference solution goes through.
        trace (`Trace`): Where the values of the solution come from.
        answer (`Answer`, *optional*): The final answer that the solution gives.
        expected (`str`, *optional*): The reference answer.
        target (`Fraction`, *optional*): The value of the reference answer if it is a number.
        decision (`Decision`): The verdict on the final answer, with its reason.
        thought (`Thought`, *optional*): What the solution thinks before its answer; `solution` is then the answer part
            alone, and `given` has the values of the thought.
    """

    solution: Passage
    problem: Passage
    given: frozenset[Fraction]
    reference: Passage | None
    route: Route | None
    trace: Trace
    answer: Answer | None
    expected: str | None
    target: Fraction | None
    decision: Decision
    thought: Thought | None = None


def read_passage(solution: str | Sequence[str]) -> Passage:
    """Reads a text, given whole or as the list of its steps."""
    return passage_of(*split_steps(solution))


def passage_of(text: str, steps: tuple[Step, ...]) -> Passage:
    """Reads a text with its steps."""
    readable = plain(text[:MAX_READ])
    mentions, statements = read_mentions(readable), read_statements(readable, steps)
    return Passage(text, readable, steps, mentions, statements, len(text) > MAX_READ)


def read_thought(
    text: str,
    steps: tuple[Step, ...],
    problem: Passage,
    given: frozenset[Fraction],
    route: Route | None,
    unknowns: Mapping[str, Fraction],
) -> Thought:
    """Reads a thought. Of what lies beyond `MAX_READ` only the numbers are known, and those that are stated."""
    passage = passage_of(text, steps)
    trace = read_trace(passage, problem, given, route, unknowns)
    values = {value for item in trace.derived for value in (item.value, item.exact)}
    if passage.was_cut:
        rest = plain(text[MAX_READ:])
        values.update(_written(_STATED, rest))
        trace = replace(trace, mentioned=(*trace.mentioned, *_written(_NUMBER, rest)))
    return Thought(passage, trace, frozenset(values))


def _written(pattern: re.Pattern[str], text: str) -> Iterator[Fraction]:
    numbers = dict.fromkeys(match["number"].replace(",", "") for match in pattern.finditer(text))
    yield from map(Fraction, list(numbers)[:_MAX_VALUES])


# Problem and reference solution are shared by many candidates.


@lru_cache(maxsize=256)
def read_problem(text: str) -> tuple[Passage, frozenset[Fraction]]:
    """Reads a problem, whose statements nobody checks, and the values that it gives."""
    text, steps = split_steps(text)
    readable = plain(text[:MAX_READ])
    passage = Passage(text, readable, steps, read_mentions(readable), (), len(text) > MAX_READ)
    return passage, given_values(passage)


@lru_cache(maxsize=256)
def read_reference(text: str, problem: str, target: Fraction | None) -> tuple[Passage, Route]:
    """Reads the reference solution of a problem, and what it goes through."""
    passage = read_passage(text)
    return passage, read_route(passage, read_problem(problem)[0], unknown_values(problem, target))


@lru_cache(maxsize=256)
def unknown_values(problem: str, target: Fraction | None) -> Mapping[str, Fraction]:
    """The right value of the unknown that a problem asks for, by its name in either case; empty if it names none."""
    name = asked_unknown(problem[:MAX_READ]) if target is not None else None
    return {name.lower(): target, name.upper(): target} if name is not None and target is not None else {}


@lru_cache(maxsize=256)
def answer_value(text: str | None) -> Fraction | None:
    """The value of an answer's text if it is a number with an exact value, whatever its unit."""
    if text is None:
        return None
    try:
        form = read_form(text)
        form = form.value if isinstance(form, Labelled) else form
        return exact(form.node) if isinstance(form, Quantity) else None
    except (UnreadableError, NotExactError):
        return None
