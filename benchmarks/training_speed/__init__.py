"""Parts of `benchmarks/training.py`: pairs, contestants, and what is measured of them."""
