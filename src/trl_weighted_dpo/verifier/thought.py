"""Solutions with a thought: what of the thought counts, and where findings of either part stand in the whole text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.core.thinking import Part, Thinking, split_thinking
from trl_weighted_dpo.verifier.dimensions import numerical_validity, semantic_alignment
from trl_weighted_dpo.verifier.facts import Facts
from trl_weighted_dpo.verifier.findings import DimensionResult, Finding, finding, placed, score_of
from trl_weighted_dpo.verifier.localization import first_faulty_step
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.answer import Answer
from trl_weighted_dpo.verifier.reading.characters import plain
from trl_weighted_dpo.verifier.reading.form import debris_faults, read_loop
from trl_weighted_dpo.verifier.reading.grammar import Operation
from trl_weighted_dpo.verifier.reading.passage import MAX_READ, Passage, Step, split_steps

THOUGHT, ANSWER = "thought", "answer"
"""The parts of a solution, as findings name them."""

_TAKEN_BACK = re.compile(
    r"\b(?:wait|hmm+|hold on|oops|actually|sorry|nope|wrong|incorrect|not (?:right|correct|quite)"
    r"|mistaken?|mistakes|error|let me (?:re|correct|check|double|verify|try|see)|re-?(?:check|compute|calculate|do)"
    r"|scratch that|correct(?:ion|ing)|should be|instead)\b|\bno[,.!;]|[!?]{2}"
    # "Not right", "wrong", "wait".
    r"|\u4e0d\u5bf9|\u9519\u4e86|\u7b49\u7b49|\u7b49\u4e00\u4e0b",
    re.IGNORECASE,
)
_REACH = 240
_SHOWN_END = 30
_OF_THE_ANSWER = frozenset({"other_unit", "misquoted_quantity"})


@dataclass(frozen=True, slots=True)
class Places:
    """Where a part's steps and spans are in the whole solution.

    Args:
        name (`str`): `THOUGHT` or `ANSWER`.
        part (`Part`): The part.
        steps (`tuple[Step, ...]`): Its steps, counted within it.
        indices (`tuple[int, ...]`): The step of the whole solution that each of them is, or is in.
    """

    name: str
    part: Part
    steps: tuple[Step, ...]
    indices: tuple[int, ...]

    def step(self, step: int | None) -> int | None:
        """A step of the part as one of the whole solution."""
        return self.indices[step] if step is not None and step < len(self.indices) else None

    def finding(self, item: Finding) -> Finding:
        """A finding in the part as one in the whole solution."""
        if item.step is None and item.span is None:
            return item
        span = self.part.place(item.span) if item.span is not None else None
        return replace(item, step=self.step(item.step), span=span, part=self.name)


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a solution with a thought.

    Args:
        split (`Thinking`): The parts.
        thought, answer (`Places`): Where they are.
    """

    split: Thinking
    thought: Places
    answer: Places


def read_parts(solution: str | Sequence[str]) -> Parts | None:
    """Splits a solution, given whole or as the list of its steps; `None` if it has no thought."""
    text = solution if isinstance(solution, str) else "\n".join(solution)
    split = split_thinking(text)
    if split is None:
        return None
    steps = split_steps(solution, len(text) + 1)[1]
    return Parts(split, _places(THOUGHT, text, split.thought, steps), _places(ANSWER, text, split.answer, steps))


def _places(name: str, text: str, part: Part, steps: Sequence[Step]) -> Places:
    found: list[Step] = []
    indices: list[int] = []
    upcoming = 0
    for start, (first, last) in zip(part.starts, part.spans, strict=True):
        while upcoming < len(steps) and steps[upcoming].span[1] <= first:
            upcoming += 1
        at = upcoming
        while at < len(steps) and steps[at].span[0] < last:
            begin, end = max(first, steps[at].span[0]), min(last, steps[at].span[1])
            position = start + begin - first
            if text[begin:end].strip() and position < MAX_READ:
                found.append(Step(len(found), (position, position + end - begin)))
                indices.append(steps[at].index)
            at += 1
        upcoming = max(upcoming, at - 1)
    return Places(name, part, tuple(found), tuple(indices))


def sure(answer: Answer | None, text: str) -> Answer | None:
    """The answer of an answer part, which is no guess if there is nothing else in the part."""
    if answer is None or not answer.is_weak or not answer.text:
        return answer
    rest = text[: answer.span[0]] + text[answer.span[1] :]
    return answer if any(map(str.isalnum, rest)) else replace(answer, is_weak=False)


def with_thought(
    facts: Facts, results: Mapping[str, DimensionResult], parts: Parts
) -> tuple[dict[str, DimensionResult], int | None]:
    """Adds to what was found in the answer part what counts of the thought, with places in the whole solution.

    A thought tries and drops, so of what is wrong in it only this counts: a false equation or step of algebra that
    nothing takes back, where the answer is wrong, or repeats it, or computes nothing itself; and a text that is stuck
    or broken. Where the answer part computes nothing, the thought is also what is compared with the reference solution,
    unless the answer is correct.

    Args:
        facts (`Facts`): Of the answer part, with its thought.
        results (`Mapping[str, DimensionResult]`): What the dimensions report of the answer part.
        parts (`Parts`): The parts.

    Returns:
        The results, and the first faulty step.
    """
    thought = facts.thought
    assert thought is not None
    # For the dimensions, the thought is a solution that ends in the answer.
    at_end = replace(facts.answer, span=(len(thought.passage.text),) * 2) if facts.answer is not None else None
    working = replace(facts, solution=thought.passage, trace=thought.trace, answer=at_end, thought=None)
    added: dict[str, DimensionResult] = {
        "structural_integrity": DimensionResult(None, placed(thought.passage, _form(thought.passage, parts.split))),
        "numerical_validity": _equations(facts, working),
    }
    is_working = not facts.trace.derived and bool(thought.trace.derived)
    if is_working:
        added["semantic_alignment"] = _alignment(facts, working)
        kept = [item for item in results["semantic_alignment"].evidence if item.kind in _OF_THE_ANSWER]
        results = {**results, "semantic_alignment": DimensionResult(None, tuple(kept))}
    if parts.split.is_open:
        # It breaks off before its answer.
        whole = results["structural_integrity"]
        kept = [item for item in whole.evidence if item.kind != "no_answer"]
        results = {**results, "structural_integrity": replace(whole, score=score_of(kept), evidence=tuple(kept))}
    steps = [parts.thought.step(item.step) for item in added["numerical_validity"].evidence]
    first = parts.answer.step(first_faulty_step(facts, results.values()))
    if is_working and facts.decision.verdict is not Verdict.CORRECT:
        in_thought = parts.thought.step(first_faulty_step(working, added.values()))
        first = in_thought if in_thought is not None else first
    else:
        first = min((step for step in (first, *steps) if step is not None), default=None)
    merged = {name: _merged(result, added.get(name), parts) for name, result in results.items()}
    return merged, first


def _merged(result: DimensionResult, added: DimensionResult | None, parts: Parts) -> DimensionResult:
    evidence = tuple(map(parts.answer.finding, result.evidence))
    if added is None:
        return replace(result, evidence=evidence)
    evidence = (*map(parts.thought.finding, added.evidence), *evidence)
    is_checked = result.score is not None or added.score is not None or evidence
    unavailable = added.unavailable if result.score is None and added.score is not None else result.unavailable
    return DimensionResult(score_of(evidence) if is_checked else None, evidence, unavailable)


def _form(passage: Passage, split: Thinking) -> Iterator[Finding]:
    loop = read_loop(passage.plain)
    if loop is None and passage.was_cut:
        # A thought that is stuck is so at its end.
        start = len(passage.text) - MAX_READ
        loop = read_loop(plain(passage.text[start:]))
        if loop is not None and loop.span is not None:
            loop = replace(loop, span=(loop.span[0] + start, loop.span[1] + start))
    if loop is not None:
        yield loop
    yield from debris_faults(passage.text[:MAX_READ])
    if split.is_open:
        end = len(passage.text.rstrip())
        start = max(0, end - _SHOWN_END, passage.text.rfind("\n", 0, end) + 1)
        last = excerpt(passage.text[start:end])
        message = f'The thought never ends: the solution breaks off at "{last}".'
        yield finding("structural_integrity", "cut_off", (start, end), message, found=last)


def _alignment(facts: Facts, working: Facts) -> DimensionResult:
    result = semantic_alignment.check(working)
    if facts.decision.verdict is Verdict.CORRECT and result.score is not None:
        return DimensionResult(0.0, (), result.unavailable)
    return result


def _equations(facts: Facts, working: Facts) -> DimensionResult:
    result = numerical_validity.check(working)
    if not result.evidence:
        return result
    is_dropped = facts.decision.verdict is Verdict.CORRECT and bool(facts.trace.derived)
    corrections = _Corrections(working.solution, facts.solution)
    counted = tuple(
        item
        for item in result.evidence
        if not corrections.corrects(item) and not (is_dropped and not corrections.is_repeated(item))
    )
    return DimensionResult(score_of(counted), counted, result.unavailable)


class _Corrections:
    """What a thought and the answer after it say once more, rightly or as wrong as before.

    Args:
        thought, answer (`Passage`): The two.
    """

    def __init__(self, thought: Passage, answer: Passage) -> None:
        self._thought = thought
        self._answer = _squeezed(answer.plain)
        self._all = _squeezed(thought.plain) + "\n" + self._answer
        self._right: dict[str, int] = {}
        """Where a computation is last carried out rightly, by its text."""
        for passage, offset in ((thought, 0), (answer, len(thought.plain))):
            for statement in passage.statements:
                for left, right in zip(statement.sides, statement.sides[1:], strict=False):
                    if left.value is not None and left.value == right.value:
                        for side in (left, right):
                            if isinstance(side.node, Operation):
                                said = _squeezed(passage.plain[slice(*side.span)])
                                self._right[said] = offset + side.span[0]

    def corrects(self, item: Finding) -> bool:
        """Whether the computation is carried out rightly later, or is taken back and not said again."""
        if item.span is None:
            return False
        start, end = item.span
        for statement in self._thought.statements:
            if statement.span[0] < end and start < statement.span[1]:
                said = (_squeezed(self._thought.plain[slice(*side.span)]) for side in statement.sides)
                if any(self._right.get(text, -1) >= end for text in said):
                    return True
        after = self._thought.plain[end : end + _REACH]
        return _TAKEN_BACK.search(after) is not None and self._all.count(self._said(item)) < 2

    def is_repeated(self, item: Finding) -> bool:
        """Whether the answer part says the same."""
        return item.span is not None and self._said(item) in self._answer

    def _said(self, item: Finding) -> str:
        assert item.span is not None
        return _squeezed(self._thought.plain[slice(*item.span)])


def _squeezed(text: str) -> str:
    return re.sub(r"[\s$*\\]|(?:\btimes\b)", "", text)
