"""Plain torch twins of the native operators: same signatures, any device, any floating type, autograd throughout.

They are the oracle of the tests (in float64), the fallback where no native library could be built, and the way to
second derivatives. Clarity first; memory grows with samples times levels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .composite import Composited
from .layout import GridLayout
from .march import MAX_LATTICE, Samples

PRIMES = (1, 2654435761, 805459861)
UINT32 = 0xFFFFFFFF


def grid_indices(cell: Tensor, layout: GridLayout, level: int) -> Tensor:
    """Entries [n, 2^n_dims] of the corners of cells [n, n_dims] int64, in unsigned 32-bit arithmetic."""
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


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]`, whose gradient adds up in one order (PyTorch's own for `[]` does not on several CPU threads)."""
    return table.index_select(0, index.reshape(-1)).reshape(*index.shape, *table.shape[1:])


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
        outputs.append((weights[..., None] * _rows(entries, index).to(dtype)).sum(dim=1))
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


def march_rays(
    rays_o: Tensor,
    rays_d: Tensor,
    occupancy_bits: Tensor,
    resolution: int,
    *,
    near: float = 0.0,
    far: float = 1e10,
    step_size: float,
    jitter: Tensor | None = None,
    capacity: int | None = None,
    n_cascades: int = 1,
) -> Samples:
    """Twin of `nerf2mesh.kernels.march_rays`: tests every lattice point of every ray."""
    half = float(2 ** (n_cascades - 1))
    parallel = rays_d == 0
    faces = torch.stack([(-half - rays_o) / rays_d, (half - rays_o) / rays_d])
    enter = faces.amin(0).masked_fill(parallel, -torch.inf).amax(-1).clamp(min=near)
    leave = faces.amax(0).masked_fill(parallel, torch.inf).amin(-1).clamp(max=far)
    missed = (parallel & (rays_o.abs() > half)).any(-1) | ~(enter < leave) | parallel.all(-1)
    enter, leave = enter.masked_fill(missed, 0.0), leave.masked_fill(missed, 0.0)
    longest = float((leave - enter).max()) if len(rays_o) else 0.0
    n_steps = min(math.ceil(longest / step_size) + 2, MAX_LATTICE) if len(rays_o) else 0
    offset = 0.5 if jitter is None else jitter[:, None]
    k = torch.arange(n_steps, device=rays_o.device, dtype=rays_o.dtype) + offset
    t = (k * torch.tensor(step_size, dtype=rays_o.dtype)).expand(len(rays_o), -1) + enter[:, None]
    points = t[..., None] * rays_d[:, None] + rays_o[:, None]
    hit = (t < leave[:, None]) & _occupied(points, occupancy_bits, resolution, n_cascades)
    return _pack(t, hit, step_size, capacity)


def _occupied(points: Tensor, bits: Tensor, resolution: int, n_cascades: int) -> Tensor:
    reach = points.abs().amax(-1)
    innermost = torch.zeros_like(reach, dtype=torch.long)
    cascade = sum(((reach > 2.0**c).long() for c in range(n_cascades - 1)), innermost)
    inside = points * torch.exp2(-cascade.to(points.dtype))[..., None]
    # A ray from very far away has places that are no number; they count as the first cell, as in the kernels.
    cell = ((inside + 1) * (0.5 * resolution)).nan_to_num(nan=0.0).clamp(0, resolution - 1).long()
    index = ((cascade * resolution + cell[..., 0]) * resolution + cell[..., 1]) * resolution + cell[..., 2]
    return (bits[index >> 3].int() >> (index & 7).int()) & 1 == 1


def _pack(t: Tensor, hit: Tensor, step_size: float, capacity: int | None) -> Samples:
    count = hit.sum(-1, dtype=torch.int32)
    start = torch.cumsum(count, 0, dtype=torch.int32) - count
    total = int(count.sum())
    size = total if capacity is None else min(total, capacity)
    start = start.clamp(max=size)
    packed_info = torch.stack([start, torch.minimum(count, size - start)], dim=-1)
    ray_index = hit.nonzero()[:size, 0].int()
    t = t[hit][:size]
    return Samples(t, torch.full_like(t, step_size), ray_index, packed_info, size, total - size)


def composite(
    density: Tensor, channels: Tensor, t: Tensor, dt: Tensor, packed_info: Tensor, *, stop: float = 0.0
) -> Composited:
    """Twin of `nerf2mesh.kernels.composite`: rays padded to one length, sums along them by cumsum."""
    n_rays, longest = len(packed_info), int(packed_info[:, 1].max()) if len(packed_info) else 0
    place = torch.arange(longest, device=density.device)
    used = place < packed_info[:, 1:]
    index = torch.where(used, packed_info[:, :1] + place, 0).long()
    alpha = torch.where(used, -torch.expm1(-_rows(density, index) * _rows(dt, index)), 0.0)
    passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], dim=1), dim=1)[:, :-1]
    passed = passed if longest else alpha
    w = torch.where(passed >= stop, passed * alpha, 0.0)
    t_at, dt_at = torch.where(used, _rows(t, index), 0.0), torch.where(used, _rows(dt, index), 0.0)
    W, M = torch.cumsum(w, 1) - w, torch.cumsum(w * t_at, 1) - w * t_at
    distortion = (2 * w * (t_at * W - M) + w * w * dt_at / 3).sum(1)
    out = (w[..., None] * _rows(channels, index)).sum(1) if longest else channels.sum(0).expand(n_rays, -1) * 0.0
    weights = torch.zeros_like(density).index_put((index[used],), w[used]).detach()
    return Composited(out, w.sum(1), (w * t_at).sum(1), distortion, weights)


def update_occupancy(
    ema: Tensor,
    bits: Tensor,
    cells: Tensor,
    values: Tensor,
    decay: float,
    threshold: float,
    *,
    below_mean: bool = False,
) -> None:
    """Twin of `nerf2mesh.kernels.update_occupancy`."""
    ema.mul_(decay).scatter_reduce_(0, cells, values.to(ema.dtype), "amax")
    limit = ema.double().mean().to(ema.dtype).clamp(max=threshold) if below_mean else threshold
    bits.copy_(((ema > limit).view(-1, 8) << torch.arange(8, device=ema.device)).sum(-1).to(torch.uint8))


def adam_step(
    param: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    grad_scale: float = 1.0,
    row_size: int = 1,
    skip_zero_rows: bool = False,
    zero_grad: bool = False,
) -> None:
    """Twin of `nerf2mesh.kernels.adam_step`."""
    g = grad * grad_scale
    new_mean = mean * betas[0] + g * (1 - betas[0])
    new_square = square * betas[1] + g * g * (1 - betas[1])
    root = (new_square / (1 - betas[1] ** step)).sqrt()
    new_param = param * (1 - lr * weight_decay) - lr / (1 - betas[0] ** step) * new_mean / (root + eps)
    keep = ~(grad.reshape(-1, row_size) != 0).any(-1, keepdim=True) & skip_zero_rows
    keep = keep.expand(-1, row_size).reshape(param.shape)
    for old, new in ((param, new_param), (mean, new_mean), (square, new_square)):
        old.copy_(torch.where(keep, old, new))
    if zero_grad:
        grad.zero_()
