"""Speed of the native operators, as ratios to other ways of doing the same and to this machine's measured floors."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the suite; see `python -m benchmarks.kernels --help`."""
    from .suite import main as run

    return run(argv)
