"""The solid that a mesh shows to the outside, for meshes that need not be closed.

Models made for games are open, lie within each other and turn faces inward, so that counting crossings says little
about their inside. Here a point is inside where the surface hides it from each of many directions; deep cavities that
no direction looks into count as solid, for the truth and for results alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import DEFAULT_DISTANCE, Camera

N_DIRECTIONS = 48
SIDE_PX = 192
HALF_EXTENT = 1.0


def hidden_solid(mesh: TriangleMesh, resolution: int = 80) -> Tensor:
    """bool [n, n, n] at the voxel centers of [-1, 1]^3, axes x, y, z: hidden from N_DIRECTIONS orthographic cameras."""
    axis = ((torch.arange(resolution) + 0.5) / resolution * 2.0 - 1.0) * HALF_EXTENT
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    inside = torch.ones(len(points), dtype=torch.bool)
    cameras = directions()
    rendering = rasterize_mesh(mesh, cameras)
    reach = torch.where(rendering.opacity > 0.5, rendering.depth, math.inf)
    for k in range(N_DIRECTIONS):
        left = torch.nonzero(inside)[:, 0]
        pixel, depth = cameras[k].project(points[left])
        column, row = pixel.floor().long().clamp(0, SIDE_PX - 1).unbind(-1)
        inside[left] = depth > reach[k, row, column]
    return inside.reshape(resolution, resolution, resolution)


def directions() -> Camera:
    """Orthographic cameras on a Fibonacci lattice of the sphere, whose frames hold [-1, 1]^3."""
    k = torch.arange(N_DIRECTIONS) + 0.5
    azimuth = torch.remainder(k * 360.0 * 0.6180339887498949, 360.0)
    elevation = torch.rad2deg(torch.asin(1.0 - 2.0 * k / N_DIRECTIONS))
    fov = 2.0 * math.degrees(math.atan(math.sqrt(3.0) / DEFAULT_DISTANCE))
    return Camera.orbit(azimuth, elevation, fov_deg=fov, width_px=SIDE_PX, orthographic=True)


def hidden_iou(mesh: TriangleMesh, target: TriangleMesh, resolution: int = 80) -> float:
    """Intersection over union of the two meshes' `hidden_solid`; 1 if both are empty."""
    a, b = hidden_solid(mesh, resolution), hidden_solid(target, resolution)
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
