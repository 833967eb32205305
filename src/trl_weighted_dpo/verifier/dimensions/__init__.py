"""One module per dimension of the error profile, all of one shape: facts in, a score and its evidence out."""
