"""Plain torch twins of the native operators: same signatures, any device, any floating type, autograd throughout.

They are the oracle of the tests (in float64), the fallback where no native library could be built, and the way to second
derivatives. Clarity first; memory grows with samples times levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import GridLayout

PRIMES = (1, 2654435761, 805459861)
UINT32 = 0xFFFFFFFF


def grid_indices(cell: Tensor, layout: GridLayout, level: int) -> Tensor:
    """Entries [n, 2^n_dims] (within the level) of the corners of cells [n, n_dims] int64, in unsigned 32-bit arithmetic."""
    size, resolution = layout.sizes[level], layout.resolutions[level]
    corners = []
    for corner in range(1 << layout.n_dims):
        index = torch.zeros_like(cell[:, 0])
        for d in range(layout.n_dims):
            along = (cell[:, d] + ((corner >> d) & 1)) & UINT32
            if layout.hashed[level]:
                index = index ^ ((along * PRIMES[d]) & UINT32)
            else:
                index = (index + along * resolution**d) & UINT32
        corners.append(index % size)
    return torch.stack(corners, dim=-1)


def grid_weights(fraction: Tensor, layout: GridLayout) -> Tensor:
    """Interpolation weights [n, 2^n_dims] of the corners; bit d of a corner's number is its step along axis d."""
    s = fraction * fraction * (3 - 2 * fraction) if layout.smoothstep else fraction
    weights = []
    for corner in range(1 << layout.n_dims):
        factors = [s[:, d] if (corner >> d) & 1 else 1 - s[:, d] for d in range(layout.n_dims)]
        weight = factors[0]
        for factor in factors[1:]:
            weight = weight * factor
        weights.append(weight)
    return torch.stack(weights, dim=-1)


def hash_grid_encode(points: Tensor, params: Tensor, layout: GridLayout, n_active_levels: int | None = None) -> Tensor:
    """Twin of `nerf2mesh.kernels.hash_grid_encode`; differentiable any number of times."""
    n_active = layout.n_levels if n_active_levels is None else n_active_levels
    entries = params.reshape(-1, layout.n_features)
    dtype = torch.float32 if params.dtype == torch.float16 else params.dtype
    outputs = []
    for level in range(n_active):
        # Rounded once from double: what a fused multiply-add gives, so that float32 points fall into the same cells.
        place = (points.double() * layout.scales[level] + 0.5).to(points.dtype)
        floor = place.detach().floor()
        index = grid_indices(floor.long(), layout, level) + layout.offsets[level]
        weights = grid_weights(place - floor, layout).to(dtype)
        outputs.append((weights[..., None] * entries[index].to(dtype)).sum(dim=1))
    rest = (layout.n_levels - n_active) * layout.n_features
    outputs.append(points.new_zeros(len(points), rest, dtype=dtype))
    return torch.cat(outputs, dim=-1)


def hash_grid_jvp(
    points: Tensor, params: Tensor, tangent: Tensor, layout: GridLayout, n_active_levels: int | None = None
) -> tuple[Tensor, Tensor]:
    """Twin of `nerf2mesh.kernels.hash_grid_jvp`: by the double-backward trick, so that it stays differentiable."""
    with torch.enable_grad():
        points = points if points.requires_grad else points.detach().requires_grad_()
        out = hash_grid_encode(points, params, layout, n_active_levels)
        dummy = torch.zeros_like(out, requires_grad=True)
        (pulled,) = torch.autograd.grad(out, points, dummy, create_graph=True)
        (out_tangent,) = torch.autograd.grad(pulled, dummy, tangent, create_graph=True)
    return out, out_tangent
