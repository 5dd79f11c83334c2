"""A field seen at another time: samples are bent into the canonical space, where the field's own kernels serve."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nerf2mesh.fields import Field, FieldOutput
from nerf2mesh.motion.deformation import Deformation
from nerf2mesh.render import OccupancyGrid, VolumeRenderer


class BentField:
    """density(x, t) = density of `field` at the canonical point that is at x at t. A `fields.Field`."""

    def __init__(self, field: Field, deformation: Deformation, time_s: float) -> None:
        self.field, self.deformation, self.time_s = field, deformation, time_s
        self.training: bool = field.training

    @property
    def view_dependent(self) -> bool:
        """As the canonical field is."""
        return self.field.view_dependent

    @property
    def bytes_per_sample(self) -> int:
        """The canonical field's, and the 64 control points around a sample with their weights."""
        return self.field.bytes_per_sample + 64 * 4 * 8

    def canonical(self, points: Tensor) -> Tensor:
        """Where points [n, 3] at the time are in the canonical space."""
        kind = self.deformation.control.dtype
        parts = [self.deformation.inverse(some.to(kind), self.time_s) for some in points.split(1 << 15)]
        return torch.cat(parts).to(points.dtype) if parts else points

    def __call__(self, points: Tensor, directions: Tensor | None = None) -> FieldOutput:
        """As the canonical field, of bent points; directions are not turned."""
        return self.field(self.canonical(points), directions)

    def density(self, points: Tensor) -> Tensor:
        """Density [n]."""
        return self.field.density(self.canonical(points))

    def normals(self, points: Tensor, mode: str = "analytic") -> Tensor:
        """Normals [n, 3]: J^-T n of the canonical ones, of unit length."""
        at = self.canonical(points)
        kind = self.deformation.control.dtype
        jacobian = self.deformation.jacobian(at.to(kind), self.time_s).to(points.dtype)
        normals = self.field.normals(at, mode)
        turned = torch.linalg.solve(jacobian.transpose(-1, -2), normals[..., None])[..., 0]
        return torch.nn.functional.normalize(turned, dim=-1)

    def train(self, mode: bool = True) -> BentField:
        """Switches the canonical field."""
        self.field.train(mode)
        self.training = mode
        return self


def bent_renderer(renderer: VolumeRenderer, deformation: Deformation, time_s: float) -> VolumeRenderer:
    """A renderer of the same field at a time, with an occupancy grid of its own."""
    device = renderer.occupancy.bits.device
    there = replace(deformation, control=deformation.control.to(device))
    field = BentField(renderer.field, there, time_s)
    grid = OccupancyGrid(renderer.occupancy.resolution).to(device)
    grid.bake_full(field, threshold=renderer.config.density_threshold)
    return VolumeRenderer(renderer.config, field, grid)
