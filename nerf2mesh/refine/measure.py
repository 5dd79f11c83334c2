"""How well a round kept what was to stay, and how well it shows what was painted."""

from __future__ import annotations

import numpy as np
import torch

from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.nearest import NearestPoints, surface_colors
from nerf2mesh.refine.round import Round
from nerf2mesh.render import rasterize_mesh

SAMPLES = 20_000
MOST_DB = 99.0


def outside_moved(begun: Round, mesh: TriangleMesh) -> float:
    """The furthest that a vertex outside the region lies from the source, as a share of its longest side."""
    source = begun.source.mesh
    size = float(np.ptp(source.bounds, axis=0).max())
    if begun.change == "color" or begun.config.keep_topology:  # the source's vertices come first, in their order
        rest = ~begun.region(source.vertices)
        moved = np.linalg.norm(mesh.vertices[: source.n_vertices][rest] - source.vertices[rest], axis=1)
    else:
        moved = begun.nearest(mesh.vertices[~begun.region(mesh.vertices)]).distance
    return float(moved.max(initial=0.0)) / size


def outside_colors_db(begun: Round, mesh: TriangleMesh) -> float:
    """PSNR of the colors at points of the source outside the region, against the nearest points of `mesh`."""
    source = begun.source.mesh
    points, _ = Surface.of(source).sample(SAMPLES, seed=1)
    rows = ~begun.region(points.numpy())
    if not rows.any():
        return MOST_DB
    was, now = begun.nearest(points.numpy()[rows]), NearestPoints(mesh)(points.numpy()[rows])
    error = surface_colors(mesh, now.face, now.weights) - surface_colors(source, was.face, was.weights)
    return _decibels(float((error**2).mean()))


def paint_db(begun: Round, mesh: TriangleMesh) -> float | None:
    """PSNR of the mesh against the paint-over in front of white, in the pixels that were free; None without one."""
    if begun.painted is None or begun.painted_free is None:
        return None
    view = begun.painted
    alpha = view.image[..., 3:]
    wanted = view.image[..., :3] * alpha + (1.0 - alpha)
    shown = rasterize_mesh(mesh, view.camera, supersample=3).over(1.0)
    error = (shown - wanted).square()[torch.from_numpy(begun.painted_free)]
    return _decibels(float(error.mean()))


def round_metrics(begun: Round, mesh: TriangleMesh) -> dict[str, object]:
    """For metrics.json."""
    found: dict[str, object] = {}
    if begun.is_bounded:
        found["outside moved"] = {"value": 100.0 * outside_moved(begun, mesh), "better": "lower", "unit": "%"}
        found["outside color PSNR"] = {"value": outside_colors_db(begun, mesh), "better": "higher", "unit": "dB"}
    if (inside := paint_db(begun, mesh)) is not None:
        found["paint-over PSNR"] = {"value": inside, "better": "higher", "unit": "dB"}
    return found


def _decibels(squared: float) -> float:
    return min(MOST_DB, -10.0 * float(np.log10(max(squared, 1e-12))))
