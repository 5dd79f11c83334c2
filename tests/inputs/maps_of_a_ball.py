"""A ball's picture, depths and normals from the closed form of a ray and a sphere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nerf2mesh.types import Camera

RADIUS = 0.8
SIZE_PX = 96
VIEW = {"azimuth_deg": 35.0, "elevation_deg": 20.0}


@dataclass(frozen=True)
class Ball:
    """depth [h, w] along the ray, normal [h, w, 3] in world axes, hit [h, w]; float64, 0 where the ray misses."""

    camera: Camera
    hit: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor

    @property
    def rotation(self) -> torch.Tensor:
        return self.camera.camera_to_world[:3, :3].double()

    @property
    def axis_depth(self) -> torch.Tensor:
        return self.depth * (self.camera.rays().directions.double() @ -self.rotation[:, 2])

    @property
    def camera_normal(self) -> torch.Tensor:
        return self.normal @ self.rotation

    def save_picture(self, path: Path) -> str:
        rgba = np.full((SIZE_PX, SIZE_PX, 4), 180, np.uint8)
        rgba[..., 3] = 255 * self.hit.numpy()
        Image.fromarray(rgba).save(path)
        return str(path)


def seen_ball() -> Ball:
    camera = Camera.orbit(VIEW["azimuth_deg"], VIEW["elevation_deg"], width_px=SIZE_PX)
    rays = camera.rays()
    origins, directions = rays.origins.double(), rays.directions.double()
    along = (origins * directions).sum(-1)
    inside = along.square() - origins.square().sum(-1) + RADIUS**2
    hit = inside > 0
    depth = torch.where(hit, -along - inside.clamp_min(0).sqrt(), 0.0)
    points = origins + depth[..., None] * directions
    return Ball(camera, hit, depth, torch.where(hit[..., None], points / RADIUS, 0.0))


def sixteen_bits(values: torch.Tensor, hit: torch.Tensor) -> np.ndarray:
    """1 to 65535 over the ball, 0 elsewhere."""
    low, high = values[hit].min(), values[hit].max()
    scaled = 1.0 + 65534.0 * (values - low) / (high - low)
    return torch.where(hit, scaled, 0.0).round().numpy().astype(np.uint16)


def as_colors(normals: torch.Tensor) -> np.ndarray:
    return np.round(127.5 + 127.5 * normals.numpy()).astype(np.uint8)
