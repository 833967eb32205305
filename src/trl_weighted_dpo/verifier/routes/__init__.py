"""Where the values of a solution come from, and whether they lead to the reference answer."""
