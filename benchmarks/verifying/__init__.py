"""The parts of `benchmarks/verifier.py`: one module for each measure."""
