"""Evaluation: accuracy with intervals, and paired comparison of models on the same problems (no torch)."""
