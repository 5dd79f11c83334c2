"""What the rasterizer sees of a mesh, as a list of covered samples: the raw material of training views and drawings.

Letters: V views, s pixels a side, k samples a pixel along one axis, N covered samples of all views together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nerf2mesh.procedural.gbuffer import GBuffer
from nerf2mesh.render.rasterizer import MeshArrays, ViewArrays, camera_arrays, rasterize_to
from nerf2mesh.types import Camera

SAMPLES = 2
"""Samples per pixel along one axis."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Covered samples: `at` [N] flat positions in the images [V, k s, k s]; albedo, normal (towards the eye), point,
    ray (unit direction from the eye) [N, 3] in world axes; depth [N] along the ray."""

    at: np.ndarray
    albedo: np.ndarray
    normal: np.ndarray
    point: np.ndarray
    ray: np.ndarray
    depth: np.ndarray
    n_views: int
    size_px: int

    def images(self, values: np.ndarray) -> np.ndarray:
        """Means over each pixel's samples [V, s, s, C] of values [N, C], zero where nothing is covered."""
        side = self.size_px * SAMPLES
        canvas = np.zeros((self.n_views * side * side, values.shape[-1]), np.float32)
        canvas[self.at] = values
        canvas = canvas.reshape(self.n_views, side, side, -1)
        pieces = [canvas[:, i::SAMPLES, j::SAMPLES] for i in range(SAMPLES) for j in range(SAMPLES)]
        return sum(pieces[1:], start=pieces[0]) / np.float32(len(pieces))

    def rgba(self, colors: np.ndarray) -> np.ndarray:
        """Premultiplied pictures [V, s, s, 4] of colors [N, 3]."""
        return self.images(np.concatenate([colors, np.ones_like(colors[:, :1])], axis=1))

    def gbuffer(self, colors: np.ndarray, albedo: np.ndarray) -> GBuffer:
        """For drawings (`procedural.drawing`), of colors and colors without light [N, 3]."""
        facing = -(self.normal * self.ray).sum(-1, keepdims=True)
        stacked = [colors, np.ones_like(facing), albedo, self.normal, self.depth[:, None], facing]
        images = torch.from_numpy(self.images(np.concatenate(stacked, axis=1)))
        rgb, alpha, base, normal, depth, facing = images.split([3, 1, 3, 3, 1, 1], dim=-1)
        covered = alpha.clamp_min(1e-6)
        buffer = {"rgb": rgb, "alpha": alpha[..., 0], "albedo": base, "normal": normal}
        return buffer | {"depth": (depth / covered)[..., 0], "facing": (facing / covered)[..., 0]}


def see(mesh: MeshArrays, camera: Camera, device: torch.device | str = "cpu") -> Surface:
    """The surface seen by cameras of batch shape [V], square and s pixels a side; drawn on `device`."""
    size = camera.width_px
    assert camera.height_px == size
    fine = camera.resized(size * SAMPLES, size * SAMPLES)
    views = ViewArrays(*camera_arrays(fine), orthographic=camera.orthographic)
    drawn = rasterize_to(device, mesh, views, outputs=("rgb", "opacity", "depth", "normal"))
    images = {name: image.cpu().numpy() for name, image in drawn.items()}
    at = np.flatnonzero(images["opacity"])
    depth = images["depth"].reshape(-1)[at]
    ray, point = _traced(views, at, depth)
    normal = images["normal"].reshape(-1, 3)[at]
    away = np.einsum("nk,nk->n", normal, ray) > 0.0
    normal[away] *= -1.0
    albedo = images["rgb"].reshape(-1, 3)[at]
    return Surface(at, albedo, normal, point, ray, depth, len(views.cameras), size)


def _traced(views: ViewArrays, at: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions and end points [N, 3] float32 of the samples `at` (sorted); the rule of `Camera.rays`.

    Views may differ in their pose alone.
    """
    cameras = views.cameras.astype(np.float32)
    focal, principal = cameras[0, 16:18], cameras[0, 18:]
    assert np.array_equal(cameras[:, 16:], np.broadcast_to(cameras[0, 16:], (len(cameras), 4)))
    row, column = np.divmod(np.arange(views.height * views.width), views.width)
    x = (column.astype(np.float32) + 0.5 - principal[0]) / focal[0]
    y = (principal[1] - row.astype(np.float32) - 0.5) / focal[1]
    flat = np.zeros_like(x)
    start = np.stack([x, y, flat] if views.orthographic else [flat, flat, flat], axis=1)
    along = np.stack([flat, flat, flat - 1.0] if views.orthographic else [x, y, flat - 1.0], axis=1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    rays, points = np.empty((len(at), 3), np.float32), np.empty((len(at), 3), np.float32)
    limits = np.searchsorted(at, np.arange(len(cameras) + 1) * len(x))
    for k, pose in enumerate(cameras[:, :16].reshape(-1, 4, 4)):
        part = slice(limits[k], limits[k + 1])
        place, turn = at[part] - k * len(x), pose[:3, :3].T
        rays[part] = along[place] @ turn
        points[part] = start[place] @ turn + pose[:3, 3] + depth[part, None] * rays[part]
    return rays, points
