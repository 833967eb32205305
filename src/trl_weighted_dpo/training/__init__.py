"""Weighted DPO training: the objective, and a `DPOTrainer` that applies it."""
