"""Whether two final answers are the same: correct, incorrect or undecided."""
