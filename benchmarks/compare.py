"""Two result files side by side: `python -m benchmarks.compare OLD NEW [--method NAME] [--against NAME]`.

The same as `nerf2mesh-bench compare OLD NEW`; see nerf2mesh.evaluate.tables.comparison.
"""

from __future__ import annotations

import sys

from nerf2mesh.evaluate.tables.comparison import report
from nerf2mesh.sweep.commands import compare

__all__ = ["main", "report"]


def main(argv: list[str] | None = None) -> int:
    try:
        compare(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
