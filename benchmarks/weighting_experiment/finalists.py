"""The arms that are taken to the test problems: named after the screening and before any test problem was looked at."""

from dataclasses import replace

from .arms import CHOSEN, HARD, RANDOM, SFT, faster, weighted

BEST_ON_CHOSEN = replace(faster(CHOSEN), epochs=3)
HELD = replace(faster(HARD), sft=20.0, epochs=3)
"""Uniform DPO on hard negatives with a strong `sft` term."""
NAMED = weighted(HELD, lambda_=0.3)
"""The arm of weighted DPO that is to beat `HELD` and `BEST_ON_CHOSEN`."""

FINALISTS = [SFT, BEST_ON_CHOSEN, RANDOM, weighted(RANDOM), HARD, weighted(HARD), HELD, NAMED]

COMPARISONS = [
    ("weighted (λ = 0.3) less uniform, hard negatives, 20 sft, 3 epochs", NAMED, HELD),
    ("weighted (λ = 0.3), hard negatives, 20 sft, 3 epochs, less SFT on the chosen, 3 epochs", NAMED, BEST_ON_CHOSEN),
    ("uniform, hard negatives, 20 sft, 3 epochs, less SFT on the chosen, 3 epochs", HELD, BEST_ON_CHOSEN),
    ("weighted (λ = 1) less uniform, random negatives", weighted(RANDOM), RANDOM),
    ("weighted (λ = 1) less uniform, hard negatives", weighted(HARD), HARD),
    ("hard less random negatives, uniform", HARD, RANDOM),
    ("hard less random negatives, weighted (λ = 1)", weighted(HARD), weighted(RANDOM)),
    ("hard negatives, weighted (λ = 1), less random, uniform", weighted(HARD), RANDOM),
]
