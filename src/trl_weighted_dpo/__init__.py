"""Verifier-guided, hard-negative, per-pair weighted DPO for math, as an extension of TRL and Axolotl.

Names are loaded on first use: importing the package loads neither torch, trl, sympy nor axolotl.
"""

import importlib
from typing import Any

from trl_weighted_dpo._version import __version__

_EXPORTS = {
    "MathVerifier": "verifier",
    "ErrorProfile": "verifier",
    "WeightingConfig": "settings",
    "WeightedDPOConfig": "training.config",
    "WeightedDPOTrainer": "training.trainer",
    "WeightedPreferenceCollator": "training.collator",
    "PairingConfig": "settings",
    "HardnessConfig": "settings",
    "mine_pairs": "mining.pairing",
    "render_pair": "core.rendering",
    "load_problems": "problems",
    "SamplingConfig": "settings",
    "Scorer": "scoring.scoring",
    "ScoringConfig": "settings",
    "score_rows": "scoring.scoring",
    "AuditConfig": "settings",
    "audit_pairs": "audit",
    # `type: trl_weighted_dpo.hard_negatives` in an Axolotl YAML resolves attributes of this package only.
    "hard_negatives": "axolotl.datasets",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
