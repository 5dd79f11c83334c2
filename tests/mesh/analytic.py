"""Analytic shapes as fields, rendered by plain dense marching: the truth that the mesh room is tested against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.mesh import FieldAccess
from nerf2mesh.types import Camera, Rendering

Distance = Callable[[Tensor], Tensor]
SHARPNESS = 200.0


def sphere(radius: float = 0.6, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Distance:
    return lambda p: (p - p.new_tensor(center)).norm(dim=-1) - radius


def torus(radius: float = 0.55, tube: float = 0.22) -> Distance:
    return lambda p: torch.hypot(torch.hypot(p[:, 0], p[:, 1]) - radius, p[:, 2]) - tube


def box(half: tuple[float, float, float]) -> Distance:
    def distance(p: Tensor) -> Tensor:
        q = p.abs() - p.new_tensor(half)
        return q.clamp_min(0.0).norm(dim=-1) + q.amax(-1).clamp_max(0.0)

    return distance


def box_frame(half: float = 0.6, bar: float = 0.12) -> Distance:
    """Twelve square bars along the edges of a cube: genus 5."""

    def distance(p: Tensor) -> Tensor:
        q = p.abs() - (half - bar)
        r = (q.abs() - bar).sort(dim=-1).values
        second = r[..., 1]  # the middle one: two coordinates must be near the rim
        return torch.maximum(second, p.abs().amax(-1) - half)

    return distance


def union(*parts: Distance) -> Distance:
    return lambda p: torch.stack([part(p) for part in parts]).amin(0)


def checker(points: Tensor, directions: Tensor | None = None) -> Tensor:
    """A smooth pattern of the position."""
    return 0.5 + 0.45 * torch.sin(points * points.new_tensor([7.0, 9.0, 11.0]) + 0.3)


def solid(distance: Distance, *, scale: float = SHARPNESS, n_steps: int = 256, color=checker, **more) -> FieldAccess:
    """A density field 30 exp(-scale * distance), at most exp(6), around a shape."""
    shift = float(np.log(30.0))

    def logit(points: Tensor) -> Tensor:
        return (shift - scale * distance(points)).clamp(-12.0, 6.0)

    def render(camera: Camera) -> Rendering:
        return march(lambda p: torch.exp(logit(p)), color, camera, n_steps)

    return FieldAccess(logit=logit, color=color, render=render, **more)


def march(density: Distance, color, camera: Camera, n_steps: int) -> Rendering:
    """Dense ray marching between the box's near and far side."""
    rays = camera.rays().flatten()
    reach = rays.origins.norm(dim=-1, keepdim=True)
    near, far = (reach - 1.2).clamp_min(0.0), reach + 1.2
    t = near + (far - near) * (torch.arange(n_steps) + 0.5) / n_steps
    points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
    flat = points.reshape(-1, 3)
    alpha = 1.0 - torch.exp(-density(flat).reshape(t.shape) * (far - near) / n_steps)
    weights = alpha * torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1.0 - alpha[:, :-1]], 1), 1)
    opacity = weights.sum(1)
    rgb = (weights[..., None] * color(flat).reshape(*t.shape, 3)).sum(1)
    depth = (weights * t).sum(1) / opacity.clamp_min(1e-6) * (opacity > 1e-3)
    shape = (camera.height_px, camera.width_px)
    return Rendering(rgb.reshape(*shape, 3), opacity.reshape(shape), depth.reshape(shape))
