"""The region that alone may change, as a test of points in the box [-1, 1]^3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from scipy.spatial import KDTree
from torch import Tensor

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.texture.given_views import pixel_width
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.refine.groups import color_points, group_points
from nerf2mesh.refine.nearest import NearestPoints
from nerf2mesh.refine.source import Source
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

Contains = Callable[[np.ndarray], np.ndarray]
"""Points [N, 3] in the box -> bool [N]."""
CELLS = 96
"""Of the coarse copy of a region along one side of the box."""
SLACK_PX, AROUND_PX = 3.0, 5
"""A point is seen that lies no deeper than the pixels around its own, give or take so many widths of a pixel."""
GROUP_REACH = 0.3
"""How far from a marked part of the surface a group's region goes, in world units of the box."""


def everywhere(points: np.ndarray) -> np.ndarray:
    """The region where nothing is said."""
    return np.ones(len(points), bool)


@dataclass(frozen=True)
class Box:
    """low, high: [3]."""

    low: np.ndarray
    high: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(((points >= self.low) & (points <= self.high)).all(-1))


@dataclass(frozen=True)
class Ball:
    """center: [3]."""

    center: np.ndarray
    radius: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(points - self.center, axis=-1) <= self.radius)


class Marked:
    """What lies nearest to a marked part of a surface: triangles with two marked corners of three."""

    def __init__(self, mesh: TriangleMesh, marks: np.ndarray, nearest: NearestPoints) -> None:
        self.face = marks[mesh.faces].sum(1) >= 2
        self.nearest = nearest

    def __call__(self, points: np.ndarray) -> np.ndarray:
        distance, face = self.nearest.sample_distance(points)
        return self.face[face] & (distance <= GROUP_REACH)


class Painted:
    """What a camera sees through a painted mask, as deep as the surface there plus and minus `reach` (world units)."""

    def __init__(self, mesh: TriangleMesh, mask: np.ndarray, camera: Camera, reach: float) -> None:
        self.camera, self.mask = camera.to("cpu"), mask
        seen = rasterize_mesh(mesh, self.camera)
        depth = seen.depth.double().numpy()
        hit = mask & (seen.opacity.numpy() > 0.5)
        if hit.any():  # beyond the outline the region is as deep as the nearest painted surface
            nearest = np.asarray(distance_transform_edt(~hit, return_distances=False, return_indices=True))
            depth = depth[tuple(nearest)]
        slack = np.maximum(reach, SLACK_PX * pixel_width(self.camera, depth))
        self.near, self.far = minimum_filter(depth, AROUND_PX) - slack, maximum_filter(depth, AROUND_PX) + slack

    def __call__(self, points: np.ndarray) -> np.ndarray:
        pixels, along = self.camera.project(torch.from_numpy(np.ascontiguousarray(points, np.float32)))
        column, row = pixels.floor().long().numpy().T
        there = (column >= 0) & (row >= 0) & (column < self.camera.width_px) & (row < self.camera.height_px)
        there &= along.numpy() > 0
        row, column = np.clip(row, 0, self.mask.shape[0] - 1), np.clip(column, 0, self.mask.shape[1] - 1)
        if self.camera.orthographic:
            distance = along.numpy()
        else:
            distance = np.linalg.norm(points - self.camera.position.numpy(), axis=1)
        deep = (distance >= self.near[row, column]) & (distance <= self.far[row, column])
        return there & self.mask[row, column] & deep


@dataclass(frozen=True)
class RegionGrid:
    """The region at the middles of CELLS^3 cells of the box, to be asked about many points; bool [CELLS^3]."""

    inside: Tensor

    @staticmethod
    def of(region: Contains) -> RegionGrid:
        """Asks `region` once about every cell."""
        middle = (np.arange(CELLS) + 0.5) * (2.0 / CELLS) - 1.0
        points = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
        return RegionGrid(torch.from_numpy(np.ascontiguousarray(region(points))))

    def to(self, device: str | torch.device) -> RegionGrid:
        """The same, for points on that device."""
        return RegionGrid(self.inside.to(device))

    def __call__(self, points: Tensor) -> Tensor:
        """bool [...] for points [..., 3]; outside the box nothing is inside."""
        cell = ((points + 1.0) * (0.5 * CELLS)).floor().long()
        there = ((cell >= 0) & (cell < CELLS)).all(-1)
        x, y, z = cell.clamp(0, CELLS - 1).unbind(-1)
        return self.inside[(x * CELLS + y) * CELLS + z] & there


def make_region(
    config: RefineConfig,
    source: Source,
    nearest: NearestPoints,
    mask: np.ndarray | None,
    camera: Camera | None,
    *,
    shape: bool,
) -> Contains:
    """The region that `config` names. mask [h, w] and camera (of the box) are those of `refine.mask`. shape: whether
    the surface may change, so that a mask reaches into the space around it.

    Raises:
        ValueError: the region holds nothing of the mesh, or names a group or color that the mesh lacks.
    """
    if not config.regions:
        return everywhere
    name, mesh = config.regions[0], source.mesh
    region = _named(name, config, source, nearest, mask, camera, shape)
    points = np.concatenate([mesh.vertices, mesh.corners.mean(1), nearest.samples])
    if not region(points).any():
        low, high = (np.round(source.placement.out_of_box(corner), 3).tolist() for corner in mesh.bounds)
        raise ValueError(
            f"refine.{name}: expected a region that holds some of the surface, got one that misses it (the mesh of "
            f"{source.name} goes from {low} to {high}); correct it"
        )
    return region


def _named(
    name: str,
    config: RefineConfig,
    source: Source,
    nearest: NearestPoints,
    mask: np.ndarray | None,
    camera: Camera | None,
    shape: bool,
) -> Contains:
    place, mesh = source.placement, source.mesh
    if name == "box":
        return Box(*(place.into_box(np.array(corner)) for corner in (config.box[:3], config.box[3:])))
    if name == "sphere":
        return Ball(place.into_box(np.array(config.sphere[:3])), config.sphere[3] * place.scale)
    if name == "mask":
        assert mask is not None and camera is not None
        half = 0.5 * float(np.ptp(mesh.bounds, axis=0).max())
        return Painted(mesh, mask, camera, config.mask_reach * half if shape else 0.0)
    if name == "vertex_color":
        marks = color_points(mesh.vertices, mesh.vertex_colors, list(config.vertex_color))
    else:
        points, inside = group_points(source.file, config.vertex_group)
        marks = inside[KDTree(place.into_box(points)).query(mesh.vertices)[1]]
    return Marked(mesh, marks, nearest)
