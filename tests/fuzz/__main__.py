"""Every fuzz target for so many seconds, each in its own process: `python -m tests.fuzz SECONDS [SEED] [NAME ...]`.

Prints a line for each. Exit code 1 where one had a fault, took more than 2 GB, or did not end by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.common import MAX_PEAK_BYTES

NO_TARGETS = ("__init__", "__main__", "common", "test_targets")
FAULTS = ("tracebacks", "hangs", "unnamed", "accepted")


def names() -> list[str]:
    """The targets that are there."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NO_TARGETS)


def run(name: str, seconds: str, seed: str) -> bool:
    """Whether the target found nothing."""
    command = [sys.executable, "-m", f"tests.fuzz.{name}", seconds, seed]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    peak_mb = usage.ru_maxrss // 1000
    try:
        counts = json.loads(lines[-1])
        faults = sum(counts.get(kind, 0) for kind in FAULTS)
    except (IndexError, ValueError):
        counts, faults = "it did not end by itself", 1
    if faults:
        print("\n".join(lines[:-1]))
    print(f"{name:12} peak {peak_mb} MB, {counts}", flush=True)
    return status == 0 and not faults and 1e6 * peak_mb < MAX_PEAK_BYTES


def main() -> int:
    """The exit code."""
    seconds, seed, *chosen = [*sys.argv[1:], *(["600", "0"][len(sys.argv) - 1 :])]
    clean = [run(name, seconds, seed) for name in chosen or names()]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
