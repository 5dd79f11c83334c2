"""Known motion by our skeleton: how near joint rotations come to the vertices of models that another skeleton moves.

    python -m benchmarks skeleton_track --data FOLDER [--models Horse Cow ...]

FOLDER holds the rigged models of `benchmarks animated`; each mesh of the first frame is rigged by `nerf2mesh.rig` (kind
auto: its own skeleton is not used), and `fit_track` finds the rotations over 24 frames of one period. Residuals are
distances of the skinned vertices from the model's, mean and 95th percentile over vertices and frames, as shares of the
longest side; still: of the first frame that does not move.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.animated import FRAMES, MODELS, moving
from benchmarks.kept import Row
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.rig import fit_track, rig


def measured(data: Path, name: str) -> Row:
    """The figures of one model."""
    model, start = moving(data, name), MODELS[name][2]
    times = [k * model.seconds / FRAMES for k in range(FRAMES)]
    at = np.stack([model.positions((t + start * model.seconds) % model.seconds) for t in times])
    made = rig(TriangleMesh(at[0], model.faces))
    begun = time.process_time()
    found = fit_track(made, VertexTrack(tuple(times), at.astype(np.float32)))
    seconds = time.process_time() - begun
    figures = {"mean": found.residuals.mean(), "p95": np.percentile(found.residuals, 95.0), "still": found.moved.mean()}
    return {"model": name, "kind": made.skeleton.kind, **figures, "notes": len(made.skeleton.notes), "s": seconds}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table, a line for each model."""
    parser = argparse.ArgumentParser("benchmarks skeleton_track", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the rigged models")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    asked = parser.parse_args(argv)
    print(
        "| model | skeleton | residual, mean | 95th percentile | still | parts not found | seconds of the processor |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in asked.models:
        row = measured(asked.data, name)
        shares = " | ".join(f"{row[key]:.2%}" for key in ("mean", "p95", "still"))
        print(f"| {name} | {row['kind']} | {shares} | {row['notes']} | {row['s']:.1f} |", flush=True)
    return 0
