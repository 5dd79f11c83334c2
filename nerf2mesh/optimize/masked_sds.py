"""Keeps distillation off what the given views show already.

Masked distillation (SV3D, Voleti et al. 2024, arXiv 2403.12008): the gradient is scaled by
1 - p smoothstep(cos; low, high), where cos is the largest cosine between a surface point's normal and its direction to
a given camera that sees it, and p is `distill.protect`. SV3D looks at reference views on an orbit; here at those given.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.types import Camera, Rays, Rendering
from nerf2mesh.utils.device_copy import to_device

SIGHT_PX = 64
SLACK = 0.08
"""World units by which a point may lie behind the surface that the given camera sees and still count as seen."""


@torch.no_grad()
def unprotected(
    config: DistillConfig, renderer: VolumeRenderer, given: list[Camera], rays: Rays, rendering: Rendering, size_px: int
) -> Tensor:
    """Factors [V, size_px, size_px] of the gradient, in 1 - protect .. 1, for flat rays of V square views."""
    side = size_px * config.supersample
    points = (rays.origins + rays.directions * rendering.depth[:, None]).reshape(-1, side, side, 3)
    normals = _normals(points, rays.origins.reshape(points.shape))
    best = torch.zeros(points.shape[:-1], device=points.device)
    for camera in given:
        back = F.normalize(to_device(camera.position, points.device) - points, dim=-1)
        cosine = (normals * back).sum(-1).clamp_min(0.0)
        best = torch.maximum(best, cosine * _seen(renderer, camera, points))
    low, high = config.protect_cosine
    share = ((best - low) / (high - low)).clamp(0.0, 1.0)
    shown = share * share * (3.0 - 2.0 * share) * rendering.opacity.reshape(best.shape)
    return F.avg_pool2d((1.0 - config.protect * shown)[:, None], config.supersample)[:, 0]


def _normals(points: Tensor, origins: Tensor) -> Tensor:
    """Unit normals [V, h, w, 3] of a depth map's points, turned to the viewer; from central differences."""
    padded = F.pad(points.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
    across, down = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    normal = F.normalize(torch.linalg.cross(across, down), dim=-1)
    facing = (normal * (origins - points)).sum(-1, keepdim=True)
    return torch.where(facing < 0, -normal, normal)


def _seen(renderer: VolumeRenderer, camera: Camera, points: Tensor) -> Tensor:
    """1 where nothing of the field lies between the point and the camera, else 0."""
    small = camera.resized(SIGHT_PX, SIGHT_PX).to(points.device)
    depth = renderer.render(small, bounded=True).depth
    pixels, _ = small.project(points.reshape(-1, 3))
    inside = ((pixels >= 0) & (pixels < SIGHT_PX)).all(-1)
    column, row = pixels.long().clamp(0, SIGHT_PX - 1).unbind(-1)
    origin = small.rays(pixels).origins if small.orthographic else small.position
    distance = (points.reshape(-1, 3) - origin).norm(dim=-1)
    return (inside & (distance <= depth[row, column] + SLACK)).reshape(points.shape[:-1]).float()
