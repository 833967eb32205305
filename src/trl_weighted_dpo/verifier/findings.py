"""What the dimensions find: the record of a finding, the table of its kinds, and the score that findings make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from trl_weighted_dpo.verifier.reading.passage import Passage

RULE, HEURISTIC = "rule", "heuristic"
"""Channels: a finding is exact, or a sign only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found in a solution.

    Args:
        dimension (`str`):
            The dimension it counts for: one of `DIMENSIONS`, or one that was added.
        kind (`str`):
            What was found, as a fixed short name such as `"wrong_equation"`: one of `KINDS`, or one of an added
            dimension.
        channel (`str`):
            `"rule"` if it is exact, `"heuristic"` if it is a sign only.
        step (`int`, *optional*):
            0-based index of the step it is in; `None` if it is in none.
        span (`tuple[int, int]`, *optional*):
            Start and end of it in the solution's text, in characters.
        expected (`str`, *optional*):
            What should be there.
        found (`str`, *optional*):
            What is there.
        message (`str`):
            One sentence that a student understands.
        part (`str`, *optional*):
            In a solution with a thought, whether it is in the `"thought"` or the `"answer"`.
    """

    dimension: str
    kind: str
    channel: str
    step: int | None
    span: tuple[int, int] | None
    expected: str | None
    found: str | None
    message: str
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding on one channel.

    Args:
        name (`str`): Its short name.
        channel (`str`): `"rule"` or `"heuristic"`.
        severity (`float`, *optional*): What one finding adds to the score, in (0, 1]; `None` in `final_answer`, whose
            score is the distance from the reference answer.
        sentence (`str`): What it means.
    """

    name: str
    channel: str
    severity: float | None
    sentence: str


# Every severity is ours; the comments say why.
_BY_DIMENSION: dict[str, tuple[Kind, ...]] = {
    # A number changed in quoting is nearly always an error, and so is a solution from whose end no step leads to the
    # answer; a value without a source or off the reference's path may belong to another way to the answer; a number
    # that is not used may be a distractor. Order and rough size follow the log-odds of the kinds in a logistic
    # regression on the GSM8K candidates whose last step was hidden.
    "semantic_alignment": (
        Kind("misquoted_quantity", HEURISTIC, 0.5, "A number of the problem is quoted as another one."),
        Kind("unknown_quantity", HEURISTIC, 0.35, "A number is neither in the problem nor derived before."),
        Kind("unused_quantity", HEURISTIC, 0.2, "A number of the problem that the reference needs is never used."),
        Kind("other_unit", HEURISTIC, 0.4, "The question asks for minutes, the answer is in hours."),
        Kind("off_route", HEURISTIC, 0.35, "A value is on no path from the problem to the reference answer."),
        Kind("route_not_reached", HEURISTIC, 0.25, "A value of the reference solution is never reached."),
        Kind("left_behind", HEURISTIC, 0.6, "The reference answer is reached, and the solution goes on from it."),
        Kind("unfinished", HEURISTIC, 0.05, "One operation on what is open leads to the reference answer."),
        Kind("long_end", HEURISTIC, 0.3, "The reference's last step, of several operations, is still to be done."),
        Kind("detour", HEURISTIC, 0.4, "One operation with a number that was used already leads to the answer."),
        Kind(
            "far_end", HEURISTIC, 0.6, "One operation on the last value leads to the answer and leaves others unused."
        ),
        Kind("dead_end", HEURISTIC, 0.85, "No step leads from where the solution ends to the reference answer."),
    ),
    "structural_integrity": (
        # Nothing that could be right is there, or what is there cannot be the end of a solution.
        Kind("no_answer", RULE, 1.0, "The solution gives no answer."),
        Kind("empty_answer", RULE, 1.0, "There is a place for the answer, but nothing in it."),
        Kind("loop", RULE, 1.0, "The text repeats one piece without a break."),
        # Exact, and more than a slip: the text says two things, or goes on as another one.
        Kind("changed_answer", RULE, 0.8, "An answer line gives another answer than the one before it."),
        Kind("new_question", RULE, 0.8, "The text goes on with another question after its answer."),
        Kind("special_token", RULE, 0.8, "The text goes on after a token that ends a turn."),
        # Exact, but a slip of form.
        Kind("missing_step", RULE, 0.5, "The numbers of the steps leave one out: 1, 2, 4."),
        Kind("empty_latex", RULE, 0.5, "A formula has nothing in it."),
        Kind("unbalanced_latex", RULE, 0.5, "A bracket, environment or dollar sign has no partner."),
        Kind("unbalanced_calculation", RULE, 0.5, "A calculation in `<< >>` is not closed."),
        # Signs only.
        Kind("cut_off", HEURISTIC, 0.5, "The text breaks off."),
        Kind("garbled_text", HEURISTIC, 0.5, "Letters of several scripts stand side by side."),
        Kind("repetition", HEURISTIC, 0.4, "The text repeats sentences that it has said before."),
        Kind("several_answers", HEURISTIC, 0.4, "Two answers differ, of which one is in a box or a sentence."),
        Kind("goes_on", HEURISTIC, 0.3, "The solution computes something new after its answer."),
        Kind("broken_characters", HEURISTIC, 0.2, "There is a character that nobody writes."),
    ),
    # Numbers that go back contradict the order that the solution claims, and one that is given twice is a slip; a value
    # or an answer that comes early may still be right.
    "step_ordering": (
        Kind("number_out_of_order", RULE, 0.8, "The number of a step is below one before it."),
        Kind("repeated_number", RULE, 0.5, "Two steps have the same number."),
        Kind("used_before_derived", HEURISTIC, 0.4, "A value is used on one line and derived on a later one."),
        Kind("answer_first", HEURISTIC, 0.3, "The answer is given before it is derived."),
    ),
    # 0.9 where the text contradicts itself, whatever the problem says; at most 0.5 where that depends on a list of
    # words or a likeness. On the development data nearly all solutions with any of them are wrong, but those are a few
    # dozen.
    "logical_consistency": (
        Kind("carried_wrong", RULE, 0.9, "A new number is put into a formula for a label that has another value."),
        Kind("carried_wrong", HEURISTIC, 0.4, "The same with a number seen before, or a number like the last result."),
        Kind("two_values", RULE, 0.9, "No values of the names satisfy the equations together."),
        Kind("two_values", HEURISTIC, 0.5, "A label is given another value than before."),
        Kind("answer_not_derived", RULE, 0.9, "The answer line gives a number that stands nowhere else."),
        Kind("answer_not_derived", HEURISTIC, 0.4, "The same in a sentence, or the answer drops decimals."),
        Kind("negative_count", RULE, 0.9, "The answer is an amount below zero."),
        Kind("negative_count", HEURISTIC, 0.5, "The same, of an answer that was guessed from the text."),
        Kind("more_removed_than_there", HEURISTIC, 0.5, "More is taken away than there is."),
        Kind("fractional_count", HEURISTIC, 0.5, "The answer counts things that come whole, and is a fraction."),
        Kind("share_above_100", RULE, 0.9, "A probability is not between 0 and 1."),
        Kind("share_above_100", HEURISTIC, 0.4, "The answer is a part that is more than the whole."),
    ),
    # Two numbers that differ leave no doubt that something is wrong; a step of algebra rests on a little more reading;
    # a comparison is often a question or a trial; a result that is off in its last digits changes little.
    "numerical_validity": (
        Kind("wrong_equation", RULE, 0.9, "The two sides of an equation have different values."),
        Kind("wrong_solving_step", RULE, 0.8, "An equation does not follow from the one before it."),
        Kind("wrong_identity", RULE, 0.8, "A chain writes one expression in two ways that are not the same."),
        Kind("wrong_comparison", RULE, 0.6, "An inequality does not hold."),
        Kind("wrong_rounding", RULE, 0.4, "A decimal is off by less than a hundredth of its value."),
    ),
    "final_answer": (
        Kind("wrong_sign", RULE, None, "The answer has the wrong sign."),
        Kind("intermediate_value", RULE, None, "The answer is a value that the reference solution goes through."),
        Kind("given_value", RULE, None, "The answer is a number of the problem."),
        Kind("off_by_one", RULE, None, "The answer is off by one."),
        Kind("factor_of_two", RULE, None, "The answer is off by a factor of two."),
        Kind("factor_of_ten", RULE, None, "The answer is off by a factor of 10, 100 or 1000."),
        Kind("wrong_answer", RULE, None, "The answer is wrong in another way."),
        Kind("no_answer", RULE, None, "The solution ends without an answer."),
    ),
}

KINDS: Mapping[tuple[str, str, str], Kind] = MappingProxyType(
    {(dimension, kind.name, kind.channel): kind for dimension, kinds in _BY_DIMENSION.items() for kind in kinds}
)
"""Every kind of finding that the package's dimensions report, by dimension, name and channel."""

_ONLY_CHANNEL = {
    (dimension, kind.name): kind.channel
    for dimension, kinds in _BY_DIMENSION.items()
    for kind in kinds
    if [other.name for other in kinds].count(kind.name) == 1
}


def finding(
    dimension: str,
    kind: str,
    span: tuple[int, int] | None,
    message: str,
    *,
    expected: str | None = None,
    found: str | None = None,
    step: int | None = None,
    channel: str | None = None,
) -> Finding:
    """Returns a finding of one of `KINDS`.

    Args:
        dimension, kind, span, message, expected, found, step: As in [`Finding`].
        channel (`str`, *optional*): Needed where the kind has both; the kind's only one by default.

    Raises:
        `KeyError`: If it is none of `KINDS`.
    """
    channel = KINDS[dimension, kind, channel or _ONLY_CHANNEL[dimension, kind]].channel
    return Finding(dimension, kind, channel, step, span, expected, found, message)


def placed(solution: Passage, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns findings with the steps that their spans begin in."""
    return tuple(
        replace(item, step=solution.step_at(item.span[0])) if item.span is not None else item for item in findings
    )


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """What a dimension reports.

    Args:
        score (`float`, *optional*): In [0, 1], 0 for no sign of an error; `None` if it could not be checked.
        evidence (`tuple[Finding, ...]`): What was found.
        unavailable (`tuple[str, ...]`): What would have been looked at but was not there, such as
            `"reference solution"`.
        suspects (`tuple[int, ...]`): Steps that are likely to be faulty if the final answer is wrong.
        doubts (`tuple[int, ...]`): Steps that may belong to another way to the answer: faulty, if it is wrong and
            nothing else is.
    """

    score: float | None
    evidence: tuple[Finding, ...] = ()
    unavailable: tuple[str, ...] = ()
    suspects: tuple[int, ...] = ()
    doubts: tuple[int, ...] = ()


def score_of(findings: Iterable[Finding]) -> float:
    """The score of findings of `KINDS` that have a severity: these [`combined`]."""
    return combined(KINDS[item.dimension, item.kind, item.channel].severity or 0.0 for item in findings)


def combined(severities: Iterable[float]) -> float:
    """The score of several findings: `1 - Π(1 - severity)`, as if each were an independent chance of an error.

    Ours: one more finding never lowers it, it stays in [0, 1], and a grave finding weighs as much as many slight ones.
    """
    sound = 1.0
    for severity in severities:
        sound *= 1.0 - severity
    return 1.0 - sound
