"""The arms that are taken to the test problems: named after the screening and before any test problem was looked at."""

from .arms import CHOSEN, HARD, RANDOM, SFT, weighted, with_sft

FINALISTS = [SFT, CHOSEN, RANDOM, weighted(RANDOM), HARD, weighted(HARD), with_sft(HARD), weighted(with_sft(HARD))]

COMPARISONS = [
    ("weighted - uniform, random", weighted(RANDOM), RANDOM),
    ("weighted - uniform, hard", weighted(HARD), HARD),
    ("weighted - uniform, hard + sft", weighted(with_sft(HARD)), with_sft(HARD)),
    ("weighted hard + sft - SFT on the chosen", weighted(with_sft(HARD)), CHOSEN),
]
