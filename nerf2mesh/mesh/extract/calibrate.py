"""Finds the density at which the mesh has the silhouettes that the field shows.

A density field has no surface of its own: peers hard-code 1 to 250 and tell users to tune. Here the level set is chosen
that maximizes the mean silhouette IoU between the mesh and the rendered opacity above one half over a ring of cameras;
among thresholds that tie within `TIE`, the one whose depths agree best. The search is on a coarse grid and logarithmic
in density.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.mesh.access import FieldAccess, LevelSet
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

DENSITY_RANGE = (0.5, 500.0)
"""A world unit of the lowest keeps 60 % of the light; a hundredth of a unit of the highest keeps 1 %."""
N_COARSE = 14
N_FINE = 6
TIE = 3e-4


@dataclass(frozen=True)
class Calibration:
    """The surface that was found, and how every threshold that was tried compares with the field's pictures."""

    level: float
    """Logit of the surface."""
    density: float
    """Its density, 1 / world unit."""
    curve: list[dict[str, float]]
    """Each threshold that was tried: density, iou, depth_error (world units; NaN where nothing is seen by both)."""
    seen: np.ndarray | None = None
    """World points [n, 3] at which the field looks opaque from the cameras."""


def view_ring(n: int, size_px: int) -> Camera:
    """`n` cameras around the object at alternating elevations of -20 to 45 degrees, square images of `size_px`."""
    azimuth = torch.arange(n) * (360.0 / n)
    elevation = torch.tensor([15.0, -20.0, 45.0, 5.0]).repeat(n // 4 + 1)[:n]
    return Camera.orbit(azimuth, elevation, width_px=size_px)


def calibrate(
    access: FieldAccess,
    volume: np.ndarray,
    *,
    n_views: int = 16,
    size_px: int = 128,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """The threshold of a density field that can be rendered.

    volume: logits [n, n, n] from `coarse_logits`. n_views, size_px: of the ring of cameras. progress: called with the
    fraction of thresholds that were tried.
    Raises ValueError when nothing is opaque from any camera.
    """
    assert access.render is not None
    cameras = view_ring(n_views, size_px)
    shown = [access.render(cameras[k]) for k in range(n_views)]
    opacity = torch.stack([image.opacity for image in shown]).cpu()
    depth = torch.stack([image.depth for image in shown]).cpu()
    mask = opacity > 0.5
    if not mask.any():
        raise ValueError(
            f"field: expected an opaque object to calibrate by, got opacity {float(opacity.max()):.3g} at most; "
            "optimize longer, or set mesh.threshold to a density"
        )
    volume = np.pad(volume, 1, constant_values=volume.min())
    low, high = DENSITY_RANGE
    high = min(high, _density(access, float(volume.max())))
    low = min(low, 0.5 * high)
    curve: list[dict[str, float]] = []

    def tried(density: float) -> float:
        curve.append(_score(access, volume, density, cameras, mask, depth))
        if progress is not None:
            progress(len(curve) / (N_COARSE + N_FINE))
        return curve[-1]["iou"]

    _search(tried, math.log(low), math.log(high))
    best = max(row["iou"] for row in curve)
    ties = [row for row in curve if row["iou"] >= best - TIE]
    chosen = min(ties, key=lambda row: (math.isnan(row["depth_error"]), row["depth_error"], -row["iou"]))
    curve.sort(key=lambda row: row["density"])
    return Calibration(_logit(access, chosen["density"]), chosen["density"], curve, _seen_points(cameras, mask, depth))


def _seen_points(cameras: Camera, mask: Tensor, depth: Tensor) -> np.ndarray:
    """[n, 3]: where the rays of the pixels in `mask` [v, h, w] end at `depth` [v, h, w]."""
    rays = cameras.rays()
    return (rays.origins + depth[..., None] * rays.directions)[mask].numpy()


def _search(tried: Callable[[float], float], low: float, high: float) -> None:
    """A coarse sweep, then golden-section steps around the best."""
    grid = np.linspace(low, high, N_COARSE + 1)[:-1]  # at the field's maximum there is no surface
    scores = [tried(math.exp(x)) for x in grid]
    k = int(np.argmax(scores))
    a, b = grid[max(k - 1, 0)], grid[min(k + 1, N_COARSE - 1)]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    c, d = b - golden * (b - a), a + golden * (b - a)
    at_c, at_d = tried(math.exp(c)), tried(math.exp(d))
    for _ in range(N_FINE - 2):
        if at_c > at_d:
            b, d, at_d = d, c, at_c
            c = b - golden * (b - a)
            at_c = tried(math.exp(c))
        else:
            a, c, at_c = c, d, at_d
            d = a + golden * (b - a)
            at_d = tried(math.exp(d))


def coarse_logits(access: FieldAccess, resolution: int, chunk_points: int = 1 << 18) -> np.ndarray:
    """Logits at the box's (resolution + 1)^3 nodes; unoccupied ones at the lowest value seen."""
    level = LevelSet(access, 0.0, chunk_points)
    nodes = np.linspace(-1.0, 1.0, resolution + 1, dtype=np.float32)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), axis=-1)
    wanted: np.ndarray = np.ones(grid.shape[:3], bool)
    if access.occupancy is not None:
        from scipy.ndimage import binary_dilation

        occupied = np.asarray(binary_dilation(access.occupancy, np.ones((3, 3, 3), bool)))
        index = np.clip(((nodes + 1.0) * 0.5 * len(occupied)).astype(int), 0, len(occupied) - 1)
        wanted = occupied[np.ix_(index, index, index)]
    values = level(grid[wanted])
    volume = np.full(wanted.shape, values.min() if len(values) else -1e30, np.float32)
    volume[wanted] = values
    return volume


def _score(
    access: FieldAccess, volume: np.ndarray, density: float, cameras: Camera, mask: Tensor, depth: Tensor
) -> dict[str, float]:
    import mcubes

    vertices, faces = mcubes.marching_cubes(volume, _logit(access, density))
    cell = 2.0 / (volume.shape[0] - 3)
    mesh = TriangleMesh((vertices - 1.0) * cell - 1.0, faces.astype(np.int64).reshape(-1, 3))
    image = rasterize_mesh(mesh, cameras, smooth=False)
    drawn = image.opacity > 0.5
    both, either = (drawn & mask).sum((1, 2)), (drawn | mask).sum((1, 2))
    seen = drawn & mask
    error = float((image.depth - depth)[seen].abs().median()) if seen.any() else math.nan
    return {"density": density, "iou": float((both / either.clamp_min(1)).mean()), "depth_error": error}


def _density(access: FieldAccess, logit: float) -> float:
    return float(access.activation(torch.tensor(logit, device=access.device)))


def _logit(access: FieldAccess, density: float) -> float:
    return float(access.inverse_activation(torch.tensor(density, device=access.device)))
