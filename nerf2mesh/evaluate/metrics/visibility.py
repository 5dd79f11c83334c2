"""Which part of a surface the given cameras show: depth maps of the true mesh, compared point by point.

A point is seen by a camera where the mesh has nothing nearer on the line between them (shadow mapping, Williams 1978):
its depth is at most that of a map of MAP_PX pixels a side plus DEPTH_TOLERANCE. Between pixels the inverse depth is
interpolated, which is exact on planes. And its side must face the camera: of a view's pixel the side that the view
shows, of a sample of the surface the side that its face winds to. Letters: N points, V views.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.solids import occupancy
from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

MAP_PX = 1024
DEPTH_TOLERANCE = 2e-3
"""World units; the world box has side 2."""


def seen_points(
    mesh: TriangleMesh, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], cameras: Sequence[Camera]
) -> Bool[Tensor, "n"]:
    """Which points of the mesh's surface one of the single cameras shows, on the side that `normals` look to."""
    seen = torch.zeros(len(points), dtype=torch.bool)
    for camera in cameras:
        facing = ((camera.position - points.float()) * normals.float()).sum(-1) > 0
        seen |= facing & _seen_by(mesh, points.float(), camera)
    return seen


def seen_pixels(
    mesh: TriangleMesh, views: Camera, cameras: Sequence[Camera]
) -> tuple[Bool[Tensor, "v h w"], Bool[Tensor, "v h w"]]:
    """Of views [V] of the mesh, the pixels whose surface `cameras` show, and those whose surface they do not.

    A pixel's surface is what its center's ray meets first; pixels whose center meets nothing are in neither.
    """
    drawn = rasterize_mesh(mesh, views, smooth=False)
    covered, rays = drawn.opacity > 0.5, views.rays()
    assert drawn.normal is not None
    points = (rays.origins + drawn.depth[..., None] * rays.directions)[covered]
    normals, away = drawn.normal[covered], rays.directions[covered]
    normals = normals * -(normals * away).sum(-1, keepdim=True).sign()
    seen = torch.zeros_like(covered)
    seen[covered] = seen_points(mesh, points, normals, cameras)
    return seen, covered & ~seen


def unseen_share(mesh: TriangleMesh, cameras: Sequence[Camera], *, samples: int = 20_000, seed: int = 0) -> float:
    """Share of the surface's area that none of the cameras shows; surfaces inside the object count as not shown."""
    surface = Surface.of(mesh)
    points, face = surface.sample(samples, seed=seed)
    outward = surface.normals[face] * (-1.0 if mesh.volume < 0 else 1.0)
    return 1.0 - float(seen_points(mesh, points, outward, cameras).double().mean())


def solidity(mesh: TriangleMesh, solid: Bool[Tensor, "n n n"] | None = None, *, resolution: int = 128) -> float:
    """Volume over the volume of the convex hull: 1 for a convex object; 0 for one that lies in a plane.

    The volume is that of the voxels of [-1, 1]^3 inside the mesh: `solid` where it is known, else `solids.occupancy`.
    """
    from scipy.spatial import ConvexHull, QhullError

    solid = occupancy(mesh, resolution) if solid is None else solid
    try:
        hull = float(ConvexHull(np.unique(mesh.vertices, axis=0)).volume)
    except QhullError:
        return 0.0
    return min(1.0, float(solid.double().mean()) * 8.0 / hull)


def _seen_by(mesh: TriangleMesh, points: Float[Tensor, "n 3"], camera: Camera) -> Bool[Tensor, "n"]:
    assert not camera.orthographic, "depth is compared along lines through one eye"
    camera = camera.resized(MAP_PX, MAP_PX)
    drawn = rasterize_mesh(mesh, camera)
    forward = -camera.camera_to_world[:3, 2]
    along = drawn.depth * (camera.rays().directions @ forward)
    inverse = torch.where(drawn.opacity > 0.5, 1.0 / along.clamp_min(1e-6), 0.0)
    pixels, ahead = camera.project(points)
    grid = (2.0 * pixels / MAP_PX - 1.0)[None, None]
    limit = torch.nn.functional.grid_sample(inverse[None, None], grid, padding_mode="border", align_corners=False)
    inside = (ahead > 0) & (pixels > 0).all(-1) & (pixels < MAP_PX).all(-1)
    return inside & (ahead <= 1.0 / limit[0, 0, 0].clamp_min(1e-6) + DEPTH_TOLERANCE)
