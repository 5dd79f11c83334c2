"""Benchmarks of a source checkout, run from its root: `python -m benchmarks`. Results are committed under results/."""
