"""All that only a CUDA machine can show, in parts: `make gpu-check`, `python -m benchmarks.gpu --help`."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a part; torch is imported only here."""
    from .runner import main as run

    return run(argv)
