"""How pair weights come about, as settings."""

import math
from dataclasses import dataclass

FORMULA_VERSION = "2"
"""Changes whenever the same signals and settings would give other weights; recorded beside the model."""

CONTROLS = ("shuffled", "inverse")
SCHEMES = (
    "auto",
    "uniform",
    "column",
    "verifier",
    "wrongness",
    "severity",
    "absurdity",
    "confidence_gap",
    "perplexity",
    "reward_margin",
    *CONTROLS,
)
"""Schemes that come with the package; plugins may bring others."""


@dataclass(frozen=True)
class WeightingConfig:
    """How pair weights come about.

    Args:
        scheme (`str`, *optional*, defaults to `"auto"`):
            `"auto"` takes a `weight` column if there is one, else the signals, else weight 1; `"uniform"` is weight 1;
            `"column"` takes the `weight` column untouched; `"verifier"` computes weights from the signals together;
            `"wrongness"`, `"severity"`, `"absurdity"`, `"confidence_gap"`, `"perplexity"` and `"reward_margin"` from
            one of them; `"shuffled"` and `"inverse"` are controls. Plugins may bring others.
        lambda_ (`float`, *optional*, defaults to `0.3`):
            λ in [0, 1]: 0 is uniform DPO, 1 uses the clipped weights in full. 0.3 is the paper's value.
        clip_min, clip_max (`float`, *optional*, default to `0.2` and `5.0`):
            Bounds of the normalised raw weight u; 0 ≤ clip_min ≤ 1 ≤ clip_max.
        wrongness, confidence_gap, nll (`float`, *optional*, default to `1.0`):
            The coefficients a, b and c of the raw weight of `"verifier"`, ≥ 0.
        normalize_column (`bool`, *optional*, defaults to `False`):
            Whether a `weight` column is divided by its mean.
        control_of (`str`, *optional*, defaults to `"verifier"`):
            The scheme whose raw weights a control turns around: any that computes weights from signals.
        shuffle_seed (`int`, *optional*, defaults to `42`):
            Seed of the permutation of `"shuffled"`, in [0, 2³²).

    Raises:
        `ValueError`: If a value is out of its range, or no plugin brings a scheme of that name.
    """

    scheme: str = "auto"
    lambda_: float = 0.3
    clip_min: float = 0.2
    clip_max: float = 5.0
    wrongness: float = 1.0
    confidence_gap: float = 1.0
    nll: float = 1.0
    normalize_column: bool = False
    control_of: str = "verifier"
    shuffle_seed: int = 42

    def __post_init__(self) -> None:
        # Here, since the formulas take this class.
        from trl_weighted_dpo.weighting.resolution import check_control_of, check_scheme

        check_scheme(self.scheme)
        check_control_of(self.control_of)
        if not 0.0 <= self.lambda_ <= 1.0:
            raise ValueError(f"λ (lambda) must lie in [0, 1], got {self.lambda_}: 0 is uniform DPO.")
        if not (0.0 <= self.clip_min <= 1.0 <= self.clip_max < math.inf):
            raise ValueError(
                f"The bounds of the normalised weight must satisfy 0 <= clip_min <= 1 <= clip_max, got "
                f"clip_min={self.clip_min}, clip_max={self.clip_max}: its mean is 1."
            )
        for name in ("wrongness", "confidence_gap", "nll"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"The coefficient {name!r} of the raw weight must be finite and >= 0, got {value}.")
        if not 0 <= self.shuffle_seed < 2**32:
            raise ValueError(f"shuffle_seed must lie in [0, 2**32), got {self.shuffle_seed}.")

    def formula(self, scheme: str) -> str:
        """Name of the raw-weight formula behind a scheme: a control has that of the scheme that it turns around."""
        return self.control_of if scheme in CONTROLS else scheme
