"""Pool → scores: what a model thinks of each candidate."""

SCORING_VERSION = "1"
"""Result version of scores: it changes whenever a score of the same model and tokens may, by more than rounding."""
