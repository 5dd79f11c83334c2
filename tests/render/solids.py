"""Fields with closed forms, and rays: what the renderer's tests measure against."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nerf2mesh.fields import FieldOutput
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Rays


class Solid(nn.Module):
    """Constant density and color inside a ball or a box; a learnable factor on both."""

    bytes_per_sample = 400
    view_dependent = False

    def __init__(self, shape: str, size: float, density: float, color: tuple[float, float, float] = (0.2, 0.6, 0.9)):
        super().__init__()
        self.shape, self.size = shape, size
        self.density_inside = nn.Parameter(torch.tensor(density))
        self.color = nn.Parameter(torch.tensor(color))

    def inside(self, points: Tensor) -> Tensor:
        reach = points.norm(dim=-1) if self.shape == "ball" else points.abs().amax(-1)
        return reach < self.size

    def density(self, points: Tensor) -> Tensor:
        return self.inside(points) * self.density_inside

    def forward(self, points: Tensor, directions: Tensor | None = None) -> FieldOutput:
        density = self.density(points)
        # The color varies in space so that mistakes in the order of samples show.
        rgb = (self.color * (0.75 + 0.25 * points)).clamp(0, 1)
        return FieldOutput(density, rgb, density)

    def normals(self, points: Tensor, mode: str) -> Tensor:
        return nn.functional.normalize(points, dim=-1)


def renderer_of(field: nn.Module, *, resolution: int = 16, **config) -> VolumeRenderer:
    return VolumeRenderer(RendererConfig(**config), field, OccupancyGrid(resolution))


def random_rays(n: int, seed: int = 0, reach: float = 0.8) -> Rays:
    """Rays from a sphere of radius 3 towards points of the box; some miss a ball of radius 0.6."""
    generator = torch.Generator().manual_seed(seed)
    origins = nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1) * 3
    targets = (torch.rand(n, 3, generator=generator) * 2 - 1) * reach
    return Rays(origins, nn.functional.normalize(targets - origins, dim=-1))


def ball_chord(rays: Rays, radius: float) -> tuple[Tensor, Tensor]:
    """Distance at which each ray enters a ball at the origin, and the length it stays inside (0: missed)."""
    along = (rays.origins * rays.directions).sum(-1)
    root = (along**2 - (rays.origins**2).sum(-1) + radius**2).clamp_min(0).sqrt()
    return -along - root, 2 * root


def mean_depth(enter: Tensor, length: Tensor, density: float) -> Tensor:
    """Mean distance at which light is lost in a homogeneous medium of the given length."""
    lost = torch.exp(-density * length)
    return enter + 1 / density - length * lost / (1 - lost)
