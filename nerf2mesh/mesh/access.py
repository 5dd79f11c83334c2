"""What mesh building needs from a field, as plain functions: any field can be meshed, an analytic shape too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.fields import HashGridField
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.types import Camera, Rendering


@dataclass(frozen=True)
class FieldAccess:
    """Functions of world points [N, 3] in [-1, 1]^3 (float32 on `device`), and the field's picture from a camera."""

    logit: Callable[[Tensor], Tensor]
    """[N] pre-activation density, higher inside; nearly linear across a surface, unlike the density."""
    activation: Callable[[Tensor], Tensor] = torch.exp
    """Logit to density in 1 / world unit."""
    inverse_activation: Callable[[Tensor], Tensor] = torch.log
    color: Callable[[Tensor, Tensor], Tensor] | None = None
    """(points, unit viewing directions) -> sRGB [N, 3]."""
    surface: Callable[[Tensor, Tensor], Tensor] | None = None
    """As `color`: roughness, metallic and zero [N, 3]; None: the field has none."""
    render: Callable[[Camera], Rendering] | None = None
    occupancy: np.ndarray | None = None
    """bool [r, r, r] over the box, index (x, y, z): cells that are False are empty. None: every cell is searched."""
    level: float | None = None
    """The surface's logit where the field itself fixes it (0 for a signed distance); None: it is calibrated."""
    device: str | torch.device = "cpu"
    free_logit: Callable[[Tensor], Tensor] | None = None
    """Where silhouettes bound the object: the logit without the bound, and"""
    depth: Callable[[Tensor], Tensor] | None = None
    """how deep points [N] lie within the bound, in world units, negative outside; None: there is none."""

    @staticmethod
    def of(
        field: HashGridField, occupancy: OccupancyGrid | None = None, renderer: VolumeRenderer | None = None
    ) -> FieldAccess:
        """Access to a `HashGridField`, and to its `OccupancyGrid` and `VolumeRenderer` where there are such."""

        def color(points: Tensor, directions: Tensor) -> Tensor:
            return field(points, directions if field.view_dependent else None).rgb

        def surface(points: Tensor, directions: Tensor) -> Tensor:
            found = field(points, directions if field.view_dependent else None).surface
            assert found is not None
            return torch.nn.functional.pad(found, (0, 1))

        grid = None
        if occupancy is not None:
            grid = occupancy.occupied().cpu().numpy().reshape((occupancy.resolution,) * 3)
        return FieldAccess(
            logit=field.density_logit,
            activation=field.activation,
            inverse_activation=field.inverse_activation,
            color=color,
            surface=surface if field.config.material == "pbr" else None,
            render=None if renderer is None else renderer.render,
            occupancy=grid,
            level=0.0 if field.config.density_activation == "laplace" else None,
            device=next(field.parameters()).device,
            free_logit=None if field.bound is None else field.free_logit,
            depth=None if field.bound is None else field.bound.depth,
        )


DEPTH_SLOPE = 100.0
"""Logits that a world unit of depth within the bound counts at most: as steep as fields are, so that creases between
the bound's sides are seen as such."""


class LevelSet:
    """The field's logit minus the surface's at numpy points, in blocks; counts evaluations and keeps the range seen."""

    def __init__(
        self,
        access: FieldAccess,
        level: float,
        chunk_points: int = 1 << 18,
        fill: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """The level set of `access` at logit `level`.

        chunk_points: points in one call of the field.
        fill: values [N] of points [N, 3]; a point is inside where the field or `fill` is positive (see `solidify`).
        """
        self.access = access
        self.fill = fill
        self.level = float(level)
        self.chunk_points = chunk_points
        self.n_evaluations = 0
        self.smallest, self.largest = np.inf, -np.inf

    @torch.no_grad()
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values [N] float32 at points [N, 3], positive inside. Raises ValueError where the field is NaN."""
        values = self._values(self.access.free_logit or self.access.logit, points)
        self.n_evaluations += len(points)
        if not len(points):
            return values
        n_bad = int(np.isnan(values).sum())
        if n_bad:
            raise ValueError(
                f"field: expected finite logits, got NaN at {n_bad} of {len(points)} points; "
                "resume from an earlier checkpoint with a lower learning rate, since the optimization diverged"
            )
        values = np.clip(values, -1e30, 1e30)
        self.smallest, self.largest = min(self.smallest, values.min()), max(self.largest, values.max())
        values -= np.float32(self.level)
        if self.fill is not None:
            values = np.maximum(values, self.fill(points))
        if self.access.depth is not None:  # nothing reaches beyond, whatever is filled
            values = np.minimum(values, DEPTH_SLOPE * self._values(self.access.depth, points))
        return values

    def _values(self, function: Callable[[Tensor], Tensor], points: np.ndarray) -> np.ndarray:
        """A function of points [N, 3] in blocks, float32 [N]."""
        values = np.empty(len(points), np.float32)
        for start in range(0, len(points), self.chunk_points):
            block = torch.from_numpy(np.ascontiguousarray(points[start : start + self.chunk_points], np.float32))
            values[start : start + len(block)] = function(block.to(self.access.device)).float().cpu().numpy()
        return values
