"""Measures of a model: one number in [0, 1] for each problem, whose mean is the measure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.evaluation.outcomes import Outcome, majority
from trl_weighted_dpo.evaluation.pools import Answered
from trl_weighted_dpo.evaluation.statistics import pass_at_k
from trl_weighted_dpo.verifier.answers.equivalence import compare_texts
from trl_weighted_dpo.verifier.profile import Verdict

GREEDY = "greedy"
SAMPLES = "samples"
VOTERS = 3
"""A majority needs at least this many: of two that differ, the first wins, which is plain accuracy."""


@dataclass(frozen=True)
class Model:
    """A model with what it answered.

    Args:
        name (`str`): Its name in the report.
        greedy ([`Answered`], *optional*): Its pool of one greedy candidate for each problem.
        samples ([`Answered`], *optional*): Its pool of samples. At least one of the two is there.
    """

    name: str
    greedy: Answered | None = None
    samples: Answered | None = None

    def pools(self) -> list[Answered]:
        """Those that are there."""
        return [pool for pool in (self.greedy, self.samples) if pool is not None]


@dataclass(frozen=True)
class Measure:
    """One number in [0, 1] for each problem.

    Args:
        values (`NDArray`): Shape (N,), in the order of the problems.
        is_binary (`bool`): Whether each problem is right (1) or not (0).
        verdicts (`Mapping[str, int]`, *optional*): How many candidates have each verdict, where they are counted.
    """

    values: NDArray[np.float64]
    is_binary: bool
    verdicts: Mapping[str, int] = field(default_factory=dict)


def measures(model: Model, problems: Sequence[str], k: int) -> dict[str, Measure]:
    """All measures of a model, by name.

    * `greedy`: share of problems whose greedy candidate is correct;
    * `accuracy`: mean over problems of the share of samples that are correct;
    * `pass@2`, `pass@4`, … up to `pass@k`: see [`~evaluation.statistics.pass_at_k`];
    * `maj@k`, for k of at least 3: share of problems where the majority of the first k samples is correct (see
      [`~evaluation.outcomes.majority`]).

    What is undecided is not correct in any of them.

    Args:
        model ([`Model`]): What it answered.
        problems (`Sequence[str]`): Their ids, which give the order.
        k (`int`): Samples that each problem has of all models at least.
    """
    found: dict[str, Measure] = {}
    if model.greedy is not None:
        outcomes = [model.greedy.outcomes[key][0] for key in problems]
        found[GREEDY] = _shares([(one,) for one in outcomes])
    if model.samples is None:
        return found
    sampled = [model.samples.outcomes[key] for key in problems]
    found["accuracy"] = _shares(sampled)
    for size in _sizes(k):
        values = [pass_at_k(len(outcomes), _correct(outcomes), size) for outcomes in sampled]
        found[f"pass@{size}"] = Measure(np.array(values), is_binary=False)
    if k >= VOTERS:
        found[f"maj@{k}"] = _majorities([outcomes[:k] for outcomes in sampled])
    return found


def _sizes(k: int) -> list[int]:
    powers = [2**exponent for exponent in range(1, k.bit_length()) if 2**exponent < k]
    return [*powers, k] if k > 1 else []


def _correct(outcomes: Sequence[Outcome]) -> int:
    return sum(one.verdict is Verdict.CORRECT for one in outcomes)


def _shares(candidates: Sequence[Sequence[Outcome]]) -> Measure:
    values = np.array([_correct(outcomes) / len(outcomes) for outcomes in candidates])
    verdicts = Counter(one.verdict.value for outcomes in candidates for one in outcomes)
    is_binary = all(len(outcomes) == 1 for outcomes in candidates)
    return Measure(values, is_binary, {verdict: verdicts[verdict] for verdict in schema.VERDICTS})


def _majorities(candidates: Sequence[Sequence[Outcome]]) -> Measure:
    verdicts = [majority_verdict(outcomes) for outcomes in candidates]
    counts = Counter(verdict.value for verdict in verdicts)
    values = np.array([float(verdict is Verdict.CORRECT) for verdict in verdicts])
    return Measure(values, is_binary=True, verdicts={verdict: counts[verdict] for verdict in schema.VERDICTS})


def majority_verdict(outcomes: Sequence[Outcome]) -> Verdict:
    """The verdict on the answer of the majority. Without any vote: undecided if a candidate is, else incorrect."""
    winner = majority(outcomes, _is_same)
    if winner is not None:
        return winner.verdict
    is_undecided = any(one.verdict is Verdict.UNDECIDED for one in outcomes)
    return Verdict.UNDECIDED if is_undecided else Verdict.INCORRECT


def _is_same(first: str, second: str) -> bool:
    # Without symbolic mathematics, which has a clock: a vote must not depend on the machine.
    return compare_texts(first, second).verdict is Verdict.CORRECT
