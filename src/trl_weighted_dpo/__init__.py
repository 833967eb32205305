"""Verifier-guided, hard-negative, per-pair weighted DPO for math, as an extension of TRL and Axolotl.

Public are the names in `__all__` of this module and of [`plugins`], which is all that the documentation and the
examples import. Every other module and name may change without notice. Names are loaded on first use: importing the
package loads neither torch, trl, sympy nor axolotl.
"""

import importlib
from typing import Any

from trl_weighted_dpo._version import __version__

_EXPORTS = {
    # Rows and their files.
    "PoolFile": "core.pools",
    "RowFile": "core.files",
    "read_jsonl": "core.files",
    "write_rows": "core.files",
    "render_pair": "core.rendering",
    "load_problems": "problems",
    # Sampling and scoring.
    "Sample": "sampling",
    "SamplingConfig": "settings",
    "TransformersSampler": "sampling.transformers_sampler",
    "sample_file": "sampling.files",
    "Scorer": "scoring.scoring",
    "ScoringConfig": "settings",
    "VLLMModel": "scoring.vllm_scorer",
    "score_rows": "scoring.scoring",
    # The verifier, and what its dimensions are written with.
    "MathVerifier": "verifier",
    "ErrorProfile": "verifier",
    "VerificationReport": "verifier",
    "DimensionCheck": "verifier",
    "DimensionResult": "verifier",
    "Finding": "verifier",
    "SolutionView": "verifier",
    # Mining, in memory and by batches.
    "PairingConfig": "settings",
    "HardnessConfig": "settings",
    "HardnessFunction": "mining.hardness",
    "HardnessSignals": "mining.hardness",
    "mine_pairs": "mining.pairing",
    "AssessBatch": "mining.batches",
    "SelectBatch": "mining.batches",
    "NEGATIVE_HARDNESS": "mining.batches",
    "HardnessScale": "mining.selection",
    "AuditConfig": "settings",
    "audit_pairs": "audit",
    # Weighting and training.
    "WeightingConfig": "settings",
    "RawWeightFunction": "weighting",
    "compute_weights": "weighting",
    "WeightedDPOConfig": "training.config",
    "WeightedDPOTrainer": "training.trainer",
    "WeightedPreferenceCollator": "training.collator",
    "extend_card": "training.card",
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
