"""Settings of weighting."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import Seeded, Share
from trl_weighted_dpo.settings.setting import check

FORMULAS = (
    "verifier",
    "wrongness",
    "severity",
    "absurdity",
    "confidence_gap",
    "perplexity",
    "reward_margin",
    "score_margin",
)
"""Schemes of the package that compute raw weights from signals."""
CONTROLS = ("shuffled", "inverse")
SCHEMES = ("auto", "uniform", "column", *FORMULAS, *CONTROLS)
"""Schemes that come with the package; plugins may bring others."""


@dataclass(frozen=True)
class WeightingConfig:
    """How pair weights are computed.

    Raises:
        `ValueError`: If a value is out of its range, or no plugin brings a scheme of that name.
    """

    scheme: Annotated[
        str,
        Doc(
            "Where weights come from: a `weight` column if there is one, else the signals (`auto`); 1 (`uniform`); the "
            "`weight` column (`column`); the signals together (`verifier`) or one of them (`wrongness`, `severity`, "
            "`absurdity`, `confidence_gap`, `perplexity`, `reward_margin`, `score_margin`); a control (`shuffled`, "
            "`inverse`); or a plugin's scheme."
        ),
    ] = "auto"
    lambda_: Annotated[
        float, Share, Doc("How far weights move from 1: 0 is uniform DPO, 1 uses the clipped weights in full.")
    ] = 0.3
    clip_min: Annotated[float, Share, Doc("Lower bound of the normalised raw weight u.")] = 0.2
    clip_max: Annotated[float, Ge(1), Doc("Upper bound of the normalised raw weight u.")] = 5.0
    severity: Annotated[
        float,
        Ge(0),
        Doc(
            "Coefficient a of the rejected completion's severity in `verifier`; of its wrongness if the training set "
            "has no severity."
        ),
    ] = 1.0
    confidence_gap: Annotated[float, Ge(0), Doc("Coefficient b of the confidence gap in `verifier`.")] = 1.0
    nll: Annotated[float, Ge(0), Doc("Coefficient c of the rejected completion's relative NLL in `verifier`.")] = 1.0
    score_direction: Annotated[
        Literal["rising", "falling"],
        Doc(
            "How `score_margin` weighs: pairs whose scores differ clearly weigh more (`rising`), or pairs whose scores "
            "are close (`falling`)."
        ),
    ] = "rising"
    normalize_column: Annotated[bool, Doc("Divide a `weight` column by its mean over the training set.")] = False
    control_of: Annotated[str, Doc("Scheme whose weights the controls `shuffled` and `inverse` rearrange.")] = (
        "verifier"
    )
    shuffle_seed: Annotated[int, Seeded, Doc("Seed of the permutation of `shuffled`.")] = 42

    def __post_init__(self) -> None:
        check(self)
        # Only names that are not the package's own are looked up, which imports the installed plugins.
        if self.scheme not in SCHEMES:
            from trl_weighted_dpo.weighting.resolution import check_scheme

            check_scheme(self.scheme)
        if self.control_of not in FORMULAS:
            from trl_weighted_dpo.weighting.resolution import check_control_of

            check_control_of(self.control_of)

    def formula(self, scheme: str) -> str:
        """Name of the raw-weight formula behind a scheme: a control has that of the scheme that it rearranges."""
        return self.control_of if scheme in CONTROLS else scheme


@dataclass(frozen=True)
class WeighConfig:
    """What `weighted-dpo weigh` shows.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    top: Annotated[int, Ge(0), Doc("How many of the heaviest and of the lightest pairs are shown.")] = 5

    def __post_init__(self) -> None:
        check(self)
