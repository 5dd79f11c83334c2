"""`python -m benchmarks NAME [options]`, also `nerf2mesh-bench NAME [options]`.

NAME: sampled_views, foreground, photos, few_photos, sheets, viewpoint, maps, domain, kernels, meshes, extraction,
gpu, step_time, loss_time, prior_memory, prior_training, prior_check, prior_pictures, curation, memorization, viewer,
confidence, refine, materials, finishes, hidden_color, capture, drawings, plans, animated, rigging, skeleton_track.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

NAMES = (
    *("sampled_views", "foreground", "photos", "few_photos", "sheets", "viewpoint", "domain"),
    *("capture", "drawings", "plans", "animated", "rigging", "skeleton_track"),
    *("maps", "kernels", "meshes", "extraction", "gpu", "step_time", "prior_memory", "prior_training", "prior_check"),
    *("prior_pictures", "curation", "memorization", "viewer", "confidence", "refine", "loss_time", "materials"),
    *("finishes", "hidden_color"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one benchmark with the rest of the arguments and leaves with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nPython {sys.version.split()[0]}; each benchmark has its own --help.")
        return
    if arguments[0] not in NAMES:
        raise ValueError(f"benchmark: expected one of {', '.join(NAMES)}, got {arguments[0]!r}; choose one")
    sys.exit(import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]))


if __name__ == "__main__":
    main()
