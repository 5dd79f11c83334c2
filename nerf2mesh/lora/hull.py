"""Visual hulls (Laurentini 1994): the points whose projections lie in the silhouettes of all views; and shells of them
with colors, drawn as points.

Letters: V views, n points, s pixels a side. Cameras are batches of V square ones; the world box is [-1, 1]^3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.types import Camera

GRID = 80
"""Points along an axis; they lie 0.025 world units apart."""
COLOR_BEHIND = 0.06
"""World units behind the nearest point of a pixel up to which a point takes the pixel's color."""


@dataclass(frozen=True)
class Shell:
    """The outer points [n, 3] of a hull and their colors [n, 3], straight RGB."""

    points: Tensor
    colors: Tensor

    def mirrored(self) -> Shell:
        """Its mirror image in the plane y = 0."""
        return Shell(self.points * torch.tensor([1.0, -1.0, 1.0]), self.colors)


def inside(masks: Tensor, cameras: Camera, grid: int = GRID) -> Tensor:
    """bool [grid^3]: which points lie in all masks, bool [V, s, s]; beyond a picture's border lies nothing."""
    points = grid_points(grid)
    kept = torch.arange(len(points))
    for k, mask in enumerate(masks):
        at, depth = cameras[k].project(points[kept])
        column, row = at.floor().long().unbind(-1)
        last = mask.shape[-1] - 1
        within = (column >= 0) & (column <= last) & (row >= 0) & (row <= last) & (depth > 0)
        kept = kept[within & mask[row.clamp(0, last), column.clamp(0, last)]]
    found = torch.zeros(len(points), dtype=torch.bool)
    found[kept] = True
    return found


def grid_points(grid: int = GRID) -> Tensor:
    """The centers [grid^3, 3] of the cells of the world box."""
    axis = (torch.arange(grid) + 0.5) * (2.0 / grid) - 1.0
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


def shell_of(images: Tensor, cameras: Camera, opacity: float = 0.4, grid: int = GRID) -> Shell:
    """The colored shell of the hull of views [V, 4, s, s], premultiplied RGBA in [0, 1].

    A point's color is the mean over the views in which nothing of the hull lies in front of it; gray where none is.
    """
    full = inside(images[:, 3] > opacity, cameras, grid).reshape(grid, grid, grid)
    empty = F.pad((~full).float()[None, None], (1, 1, 1, 1, 1, 1), value=1.0)
    outer = full & (F.max_pool3d(empty, 3, stride=1)[0, 0] > 0)
    points = grid_points(grid)[outer.reshape(-1)]
    straight = images[:, :3] / images[:, 3:].clamp_min(1e-3)
    total, seen = torch.zeros(len(points), 3), torch.zeros(len(points), 1)
    for k, image in enumerate(straight):
        pixel, depth, within = _pixels(points, cameras[k])
        nearest = torch.full((image[0].numel(),), torch.inf)
        nearest.scatter_reduce_(0, pixel[within], depth[within], "amin")
        front = within & (depth <= nearest[pixel] + COLOR_BEHIND)
        total[front] += image.flatten(1).T[pixel[front]]
        seen[front] += 1.0
    return Shell(points, torch.where(seen > 0, total / seen.clamp_min(1.0), 0.5).clamp(0.0, 1.0))


def draw(shell: Shell, cameras: Camera) -> Tensor:
    """The shell's points as premultiplied RGBA [V, 4, s, s]: the nearest point of a pixel gives its color, holes of a
    pixel are closed."""
    size, views = cameras.width_px, []
    for k in range(len(cameras.camera_to_world)):
        pixel, depth, within = _pixels(shell.points, cameras[k])
        order = depth[within].argsort(descending=True).numpy()
        image = np.zeros((size * size, 4), dtype=np.float32)
        color = np.concatenate([shell.colors[within].numpy(), np.ones((len(order), 1), np.float32)], axis=1)
        image[pixel[within].numpy()[order]] = color[order]  # of equal pixels the last, which is the nearest, stays
        views.append(_closed(torch.from_numpy(image).T.reshape(4, size, size)))
    return torch.stack(views)


def _pixels(points: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Number of the pixel (0 where it has none), depth, and whether it lies in the picture, of each point."""
    at, depth = camera.project(points)
    column, row = at.floor().long().unbind(-1)
    size = camera.width_px
    within = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (depth > 0)
    return torch.where(within, row * size + column, 0), depth, within


def _closed(image: Tensor) -> Tensor:
    """Pixels that are empty between full ones get their neighbors' mean."""
    full = image[3:]
    wide = F.max_pool2d(full, 3, stride=1, padding=1)
    close = -F.max_pool2d(-wide, 3, stride=1, padding=1)
    near = F.avg_pool2d(F.pad(image, (1, 1, 1, 1)), 3, stride=1)
    filled = near / near[3:].clamp_min(1e-6)
    return torch.where((full == 0) & (close > 0), filled, image)
