"""Memory and time of a training run, from its recipe and the model's config, without weights."""
