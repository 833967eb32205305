"""Pool → scores: confidence, perplexity and log-probs of each candidate under a model."""

SCORING_VERSION = "1"
"""Result version of scores: it changes whenever a score of the same model and tokens may, by more than rounding."""
