"""Settings of mining."""

from dataclasses import asdict, dataclass, field
from typing import Any

from trl_weighted_dpo import plugins
from trl_weighted_dpo.mining.assessment import AssessmentConfig
from trl_weighted_dpo.mining.hardness import HardnessConfig

CHOSEN = ("cleanest", "nearest", "most_confident", "reference_solution", "random")
CHOSEN_FALLBACKS = ("none", "reference_solution")
STRATEGIES = ("hard", "random", "easiest", "hard+random")


@dataclass(frozen=True)
class PairingConfig:
    """How pairs are made of a problem's candidates.

    Args:
        pairs_per_problem (`int`, *optional*, defaults to `1`):
            Pairs with a wrong answer made of one problem at most, ≥ 0. A rejected candidate is used again, with another
            chosen one, only after all were used.
        chosen_fallback (`str`, *optional*, defaults to `"none"`):
            Where no candidate is correct: `"none"` drops the problem, `"reference_solution"` chooses the reference
            solution, in the candidates' own form.
        seed (`int`, *optional*, defaults to `42`):
            Decides among what is equally good, and what is random. The choice depends on the seed and the texts of the
            problem and its candidates only, not on their order.
        allow_weak_answers (`bool`, *optional*, defaults to `False`):
            Whether a candidate is rejected whose wrong answer was guessed from its text, because no answer line gives
            it. Such a guess can be misread, and a right solution as rejected completion teaches the opposite.
        strategy (`str`, *optional*, defaults to `"hard"`):
            Which of a problem's negatives come first: the hardest (`"hard"`), any (`"random"`, the baseline), the
            least hard (`"easiest"`), or for each pair any with probability `random_share`, else the hardest
            (`"hard+random"`).
        random_share (`float`, *optional*, defaults to `0.5`):
            Share in [0, 1] of random negatives of `"hard+random"`.
        chosen (`str`, *optional*, defaults to `"cleanest"`):
            Which correct candidate is chosen: the one with the least sign of an error, then the nearest
            (`"cleanest"`); the nearest to the rejected one (`"nearest"`); the one with the highest confidence
            (`"most_confident"`, needs scores); always the reference solution in the candidates' form
            (`"reference_solution"`); any (`"random"`).
        flawed_per_problem (`int`, *optional*, defaults to `0`):
            Pairs made of one problem at most, besides, that reject a right answer reached by flawed reasoning.
        min_quantile, max_quantile (`float`, *optional*, default to `0.0` and `1.0`):
            Band of the pool's negatives that may be rejected, as quantiles of their hardness.
        match_lengths (`bool`, *optional*, defaults to `False`):
            Whether pairs are chosen, and then dropped, so that they cannot be told apart by length.
        max_candidates (`int`, *optional*, defaults to `64`):
            Candidates of a problem that are looked at; of more, a seeded choice.
        hardness ([`HardnessConfig`], *optional*):
            What hardness is made of.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    pairs_per_problem: int = 1
    chosen_fallback: str = "none"
    seed: int = 42
    allow_weak_answers: bool = False
    strategy: str = "hard"
    random_share: float = 0.5
    chosen: str = "cleanest"
    flawed_per_problem: int = 0
    min_quantile: float = 0.0
    max_quantile: float = 1.0
    match_lengths: bool = False
    max_candidates: int = AssessmentConfig.max_candidates
    hardness: HardnessConfig = field(default_factory=HardnessConfig)

    def __post_init__(self) -> None:
        if self.pairs_per_problem < 0 or self.flawed_per_problem < 0:
            raise ValueError(
                f"pairs_per_problem and flawed_per_problem must be at least 0, got {self.pairs_per_problem} and "
                f"{self.flawed_per_problem}."
            )
        if not self.pairs_per_problem + self.flawed_per_problem:
            raise ValueError("pairs_per_problem and flawed_per_problem are both 0, so that no pair would be made.")
        for name, choices in (("chosen_fallback", CHOSEN_FALLBACKS), ("strategy", STRATEGIES), ("chosen", CHOSEN)):
            if getattr(self, name) not in choices:
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}. Choose one of {', '.join(choices)}.")
        if not 0.0 <= self.random_share <= 1.0:
            raise ValueError(f"random_share is a share in [0, 1], got {self.random_share}.")
        if not 0.0 <= self.min_quantile < self.max_quantile <= 1.0:
            raise ValueError(
                f"The band of hardness must satisfy 0 <= min_quantile < max_quantile <= 1, got "
                f"{self.min_quantile} and {self.max_quantile}."
            )
        plugins.find("hardnesses", self.hardness.function)
        self.assessment  # noqa: B018  (checks its settings)

    @property
    def assessment(self) -> AssessmentConfig:
        """The settings that decide what is known of candidates, before pairs are chosen."""
        wants_reference = "reference_solution" in (self.chosen, self.chosen_fallback)
        return AssessmentConfig(self.max_candidates, wants_reference, self.allow_weak_answers, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON types, and where the hardness function comes from."""
        return asdict(self) | {"hardness_from": plugins.identity("hardnesses", self.hardness.function)}
