"""One module per dimension of the error profile, all of one shape: [`~facts.Facts`] in, a [`DimensionResult`] out."""
