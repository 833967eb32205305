"""Whether weighting and hard negatives help, measured in the tiny world: see `__main__`."""
