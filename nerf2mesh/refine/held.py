"""The source's own pictures, which hold all that is not to change, and the paint-over among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.region import Contains, RegionGrid
from nerf2mesh.refine.start import all_around, box_range
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, Rays, Rendering, View

ALONG = 48
"""Points of a ray at which it is asked whether it crosses the region."""
TURN_DEG = 40.0
"""The holding pictures are not those to which the field was first fitted."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A mesh seen by one camera: straight RGBA [h, w, 4], and which pixels may change, bool [h, w]."""

    image: Tensor
    camera: Camera
    free: np.ndarray


def seen(mesh: TriangleMesh, camera: Camera, region: Contains, grid: RegionGrid | None) -> Picture:
    """The mesh from one camera.

    A pixel is free where it shows surface of the region; with `grid` also where its ray crosses the region before it
    meets the mesh, so that something may grow there.
    """
    shown = rasterize_mesh(mesh, camera, supersample=3)
    rays, hit = camera.rays(), shown.opacity > 0.5
    points = rays.origins + rays.directions * shown.depth[..., None]
    free = np.zeros(hit.shape, bool)
    free[hit.numpy()] = region(points[hit].double().numpy())
    free = binary_dilation(free, np.ones((3, 3)))  # a pixel at the region's border shows both sides
    if grid is not None:
        free |= crossing(rays, torch.where(hit, shown.depth, torch.inf), grid).numpy()
    return Picture(straight(shown), camera, free)


def straight(shown: Rendering) -> Tensor:
    """RGBA [h, w, 4] whose colors are not premultiplied."""
    rgb = shown.rgb / shown.opacity.clamp_min(1e-6)[..., None]
    return torch.cat([rgb, shown.opacity[..., None]], dim=-1).clamp(0.0, 1.0)


def crossing(rays: Rays, depth: Tensor, grid: RegionGrid) -> Tensor:
    """bool [...]: whether rays [..., 3] cross the region before `depth` [...]."""
    shape, flat = depth.shape, rays.flatten()
    near, far = box_range(flat)
    stop = torch.minimum(far, depth.flatten())
    share = (torch.arange(ALONG) + 0.5) / ALONG
    found = torch.zeros(len(stop), dtype=torch.bool)
    for rows in torch.arange(len(stop)).split(1 << 14):
        t = near[rows, None] + (stop - near).clamp_min(0.0)[rows, None] * share
        points = flat.origins[rows, None] + t[..., None] * flat.directions[rows, None]
        found[rows] = (grid(points) & (stop > near)[rows, None]).any(-1)
    return found.reshape(shape)


def holding_views(
    mesh: TriangleMesh, region: Contains, grid: RegionGrid | None, *, n_views: int, size_px: int
) -> list[View]:
    """Views of the mesh all around, of weight 1 together, known only where nothing may change."""
    views = []
    cameras = all_around(n_views, size_px, TURN_DEG)
    for k in range(n_views):
        picture = seen(mesh, cameras[k], region, grid)
        known = torch.from_numpy(~picture.free)
        if bool((known & (picture.image[..., 3] > 0.05)).any()):
            views.append(View(picture.image, picture.camera, weight=1.0 / n_views, known=known))
    return views
