"""Pool → scores: what a model thinks of each candidate."""
