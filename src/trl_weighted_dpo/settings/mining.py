"""Settings of mining."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import Share, TrainOn
from trl_weighted_dpo.settings.setting import check

PROXIMITY_PARTS = ("steps", "equations", "prefix", "answer")
FLAW_PARTS = ("wrongness", "severity", "absurdity")
BUILT_IN_HARDNESS = "product"

_MaxCandidates = Annotated[
    int, Ge(2), Doc("Candidates of a problem that mining looks at; of more, it takes a seeded choice.")
]
_AllowWeakAnswers = Annotated[
    bool, Doc("Reject a candidate also for a wrong answer that was guessed because no answer line gives one.")
]
_Seed = Annotated[int, Doc("Decides what is random, and between candidates that are equally good.")]


@dataclass(frozen=True)
class AssessmentConfig:
    """What decides the assessment of candidates, before pairs are chosen.

    Every negative is compared with every correct candidate, so `max_candidates` bounds the time that a problem takes.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    max_candidates: _MaxCandidates = 64
    with_reference: Annotated[bool, Doc("Assess the reference solution too, as a solution to choose.")] = False
    allow_weak_answers: _AllowWeakAnswers = False
    seed: _Seed = 42
    train_on: TrainOn = "all"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class HardnessConfig:
    """What hardness is made of: confidence × proximity × flaw.

    Raises:
        `ValueError`: If a value is out of its range, or all weights of a part are 0.
    """

    confidence_floor: Annotated[
        float, Share, Doc("Least confidence: a candidate that the model finds unlikely was still sampled.")
    ] = 0.1
    steps: Annotated[float, Ge(0), Doc("Weight of similar steps in proximity.")] = 0.3
    equations: Annotated[float, Ge(0), Doc("Weight of similar equations in proximity.")] = 0.3
    prefix: Annotated[float, Ge(0), Doc("Weight of a shared beginning in proximity.")] = 0.2
    answer: Annotated[float, Ge(0), Doc("Weight of close answers in proximity.")] = 0.2
    wrongness: Annotated[float, Ge(0), Doc("Weight of wrongness in the flaw.")] = 1.0
    severity: Annotated[float, Ge(0), Doc("Weight of severity in the flaw.")] = 1.0
    absurdity: Annotated[float, Ge(0), Doc("Weight of absurdity in the flaw.")] = 1.0
    confidence_power: Annotated[float, Ge(0), Doc("Exponent of confidence; 0 leaves it out.")] = 1.0
    proximity_power: Annotated[float, Ge(0), Doc("Exponent of proximity; 0 leaves it out.")] = 1.0
    flaw_power: Annotated[float, Ge(0), Doc("Exponent of the flaw; 0 leaves it out.")] = 1.0
    function: Annotated[str, Doc("Name of the function that combines the three; plugins may bring others.")] = (
        BUILT_IN_HARDNESS
    )

    def __post_init__(self) -> None:
        check(self, "hardness.")
        for whole, parts in (("proximity", PROXIMITY_PARTS), ("the flaw", FLAW_PARTS)):
            if not any(getattr(self, name) for name in parts):
                raise ValueError(f"The weights {', '.join(parts)} of {whole} are all 0. Make one of them positive.")


@dataclass(frozen=True)
class PairingConfig:
    """How pairs are made of a problem's candidates.

    The choice depends on the seed and the texts of the problem and its candidates only, not on their order.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    pairs_per_problem: Annotated[
        int,
        Ge(0),
        Doc(
            "Most pairs of one problem. A rejected candidate is used again, with another chosen one, only after all "
            "were used."
        ),
    ] = 1
    chosen_fallback: Annotated[
        Literal["none", "reference_solution"],
        Doc(
            "What is chosen if no candidate is correct: `none` drops the problem, `reference_solution` takes the "
            "reference solution in the candidates' form."
        ),
    ] = "none"
    seed: _Seed = AssessmentConfig.seed
    allow_weak_answers: _AllowWeakAnswers = AssessmentConfig.allow_weak_answers
    strategy: Annotated[
        Literal["hard", "random", "easiest", "hard+random"],
        Doc(
            "Which negatives come first: the hardest (`hard`), any (`random`, the baseline), the least hard "
            "(`easiest`), or for each pair any with probability `random_share`, else the hardest (`hard+random`)."
        ),
    ] = "hard"
    random_share: Annotated[float, Share, Doc("Share of random negatives of `hard+random`.")] = 0.5
    chosen: Annotated[
        Literal["cleanest", "nearest", "most_confident", "reference_solution", "random"],
        Doc(
            "Which correct candidate is chosen: the one with the least severity, then the nearest (`cleanest`); the "
            "nearest to the rejected one (`nearest`); the one with the highest confidence (`most_confident`, needs "
            "scores); the reference solution in the candidates' form (`reference_solution`); or any (`random`)."
        ),
    ] = "cleanest"
    flawed_per_problem: Annotated[
        int, Ge(0), Doc("Most further pairs of one problem that reject a correct answer with flawed reasoning.")
    ] = 0
    min_quantile: Annotated[
        float,
        Interval(ge=0, lt=1),
        Doc("Lower end of the hardness of rejected candidates, as a quantile of the pool's."),
    ] = 0.0
    max_quantile: Annotated[
        float,
        Interval(gt=0, le=1),
        Doc("Upper end of the hardness of rejected candidates, as a quantile of the pool's."),
    ] = 1.0
    match_lengths: Annotated[
        bool, Doc("Prefer pairs of equal length, and drop pairs until length does not reveal the chosen one.")
    ] = False
    max_candidates: _MaxCandidates = AssessmentConfig.max_candidates
    train_on: TrainOn = AssessmentConfig.train_on
    hardness: Annotated[HardnessConfig, Doc("What hardness is made of.")] = field(default_factory=HardnessConfig)

    def __post_init__(self) -> None:
        check(self)
        if not self.pairs_per_problem + self.flawed_per_problem:
            raise ValueError(
                "pairs_per_problem and flawed_per_problem are both 0, so that no pair would be made. Raise one of them."
            )
        if not self.min_quantile < self.max_quantile:
            raise ValueError(
                f"min_quantile is {self.min_quantile} and max_quantile {self.max_quantile}. Give a lower end below the "
                "upper one."
            )
        # Only a name that is not the package's own is looked up, which imports the installed plugins.
        if self.hardness.function != BUILT_IN_HARDNESS:
            from trl_weighted_dpo import plugins

            plugins.find("hardnesses", self.hardness.function)

    @property
    def assessment(self) -> AssessmentConfig:
        """The settings that decide what is known of candidates, before pairs are chosen."""
        wants_reference = "reference_solution" in (self.chosen, self.chosen_fallback)
        return AssessmentConfig(self.max_candidates, wants_reference, self.allow_weak_answers, self.seed, self.train_on)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON types, and where the hardness function comes from."""
        from trl_weighted_dpo import plugins

        return asdict(self) | {"hardness_from": plugins.identity("hardnesses", self.hardness.function)}
