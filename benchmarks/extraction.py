"""Marching cubes beside others: `python -m benchmarks.extraction [--resolutions 128,256]`.

The field is a ring and a thin bar. Ours evaluates only where the surface can be and puts the vertices on the field; the
others get the dense grid of values. Seconds are CPU seconds of one thread. vertices_rms_cells: distance of the vertices
from the surface; identical: the sparse extraction against ours on every block.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nerf2mesh.mesh import FieldAccess
from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.marching_cubes import extract_surface

STEEP = 10.0


def distance(p: torch.Tensor) -> torch.Tensor:
    ring = torch.hypot(torch.hypot(p[:, 0], p[:, 1]) - 0.4, p[:, 2]) - 0.12
    q = p.abs() - p.new_tensor([0.9, 0.02, 0.02])
    return torch.minimum(ring, q.clamp_min(0.0).norm(dim=-1) + q.amax(-1).clamp_max(0.0))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__.split("\n\n")[0])
    parser.add_argument("--resolutions", type=lambda text: [int(t) for t in text.split(",")], default=[128, 256])
    torch.set_num_threads(1)
    rows = [row for n in parser.parse_args(argv).resolutions for row in measure(n)]
    for row in rows:
        print(json.dumps(row))
    return 0 if all(row.get("identical", True) for row in rows) else 1


def measure(n: int) -> list[dict[str, object]]:
    sparse, seconds = timed(lambda: extract_surface(_level(), n))
    dense, dense_seconds = timed(lambda: extract_surface(_level(), n, dense=True))
    same = np.array_equal(sparse.faces, dense.faces) and np.array_equal(sparse.vertices, dense.vertices)
    counts = sparse.metadata["evaluations"]
    ours = _row("nerf2mesh, sparse", n, sparse.vertices, len(sparse.faces), seconds)
    ours |= {"evaluations_share": (counts["search"] + counts["refine"]) / counts["dense"], "identical": bool(same)}
    rows = [ours, _row("nerf2mesh, every block", n, dense.vertices, len(dense.faces), dense_seconds)]
    values, grid_seconds = timed(lambda: _grid(n))
    for name, march in _others().items():
        (vertices, faces), march_seconds = timed(lambda march=march: march(values))
        row = _row(name, n, np.asarray(vertices) * (2.0 / n) - 1.0, len(faces), grid_seconds + march_seconds)
        rows.append(row | {"marching_s": march_seconds, "evaluations_share": 1.0})
    return rows


def _others() -> dict[str, Callable]:
    import mcubes

    found = {"PyMCubes, dense": lambda values: mcubes.marching_cubes(values, 0.0)}
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        return found
    return found | {"scikit-image, dense": lambda values: marching_cubes(values, 0.0)[:2]}


def _level() -> LevelSet:
    return LevelSet(FieldAccess(logit=lambda p: -STEEP * distance(p)), 0.0)


def _grid(n: int) -> np.ndarray:
    axis, level = np.linspace(-1.0, 1.0, n + 1, dtype=np.float32), _level()
    planes = [
        np.stack(np.meshgrid(axis[i : i + 1], axis, axis, indexing="ij"), -1).reshape(-1, 3) for i in range(n + 1)
    ]
    return np.concatenate([level(plane) for plane in planes]).reshape((n + 1,) * 3)


def _row(name: str, n: int, vertices: np.ndarray, n_faces: int, seconds: float) -> dict[str, object]:
    off = distance(torch.from_numpy(np.ascontiguousarray(vertices, np.float64))).numpy() * n / 2.0
    rms = float(np.sqrt((off**2).mean()))
    return {"method": name, "resolution": n, "faces": n_faces, "seconds": round(seconds, 2), "vertices_rms_cells": rms}


def timed(make: Callable) -> tuple:
    began = time.process_time()
    made = make()
    return made, time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
