"""Benchmarks, run from the repository root: `python -m benchmarks.fidelity`. Results are committed under results/."""
