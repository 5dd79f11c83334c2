"""Marching rays through an occupancy bit grid into packed samples.

Letters: ray r runs o_r + t d_r; it enters the box at t_enter. Its lattice is t_k = t_enter + (k + jitter_r) step for
k = 0, 1, ..., jitter 0.5 where none is given. A lattice point is a sample when the cell it lies in is occupied.
Samples are sorted by ray, then by t, on every device. packed_info[r] = (start, count). A ray has at most 2^24 lattice
points (a float counts no further), and one whose direction is zero has none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

from . import _call
from ._check import check_tensor

MAX_LATTICE = 1 << 24


class Samples(NamedTuple):
    """Samples of a batch of rays. Where a fixed capacity was asked of a GPU, unused places have dt = 0 and ray 0."""

    t: Float[Tensor, "c"]
    dt: Float[Tensor, "c"]
    ray_index: Int32[Tensor, "c"]
    packed_info: Int32[Tensor, "r 2"]
    n_samples: int | Tensor
    """How many places hold samples: an int on the CPU, a scalar tensor on a GPU (reading it waits) or when compiled."""
    overflow: int | Tensor
    """Samples that the capacity had no place for (the last ones); 0 when all are there. Of the type of n_samples."""


def march_rays(
    rays_o: Float[Tensor, "r 3"],
    rays_d: Float[Tensor, "r 3"],
    occupancy_bits: UInt8[Tensor, "b"],
    resolution: int,
    *,
    near: float = 0.0,
    far: float = 1e10,
    step_size: float,
    jitter: Float[Tensor, "r"] | None = None,
    capacity: int | None = None,
    n_cascades: int = 1,
) -> Samples:
    """Samples of the rays inside occupied cells of [-1, 1]^3 between `near` and `far` (units of |rays_d|).

    occupancy_bits: uint8 [n_cascades * resolution^3 / 8]; cell (x, y, z) of cascade c, which covers [-2^c, 2^c]^3, is
    bit i & 7 of byte i >> 3 with i = ((c * res + x) * res + y) * res + z. jitter: in [0, 1). capacity: None gives
    buffers of the exact size (on a GPU this waits once for the count); a number bounds them, on a GPU without any
    waiting. No gradients. Source of the scheme: Mueller et al. 2022, appendix C and E.
    """
    check_tensor("rays_o", rays_o, (None, 3))
    check_tensor("rays_d", rays_d, tuple(rays_o.shape), like=rays_o)
    _check_lattice(occupancy_bits, rays_o, resolution, n_cascades, near, far, step_size, capacity)
    if jitter is not None:
        check_tensor("jitter", jitter, (rays_o.shape[0],), like=rays_o)
        jitter = jitter.detach()
    lattice = (resolution, n_cascades, near, far, step_size)
    t, dt, ray_index, packed_info, wanted = torch.ops.n2m.march(
        rays_o.detach(), rays_d.detach(), occupancy_bits, jitter, *lattice, capacity
    )
    size = t.shape[0]
    # Reading the count would wait for the GPU, or break the graph.
    if t.device.type != "cpu" or _call.keeps_capacity(t) or torch.compiler.is_compiling():
        return Samples(t, dt, ray_index, packed_info, wanted.clamp(max=size), (wanted - size).clamp(min=0))
    overflow = 0 if capacity is None else max(int(wanted) - capacity, 0)
    return Samples(t, dt, ray_index, packed_info, size, overflow)


def _check_lattice(bits: Tensor, like: Tensor, resolution, n_cascades, near, far, step_size, capacity) -> None:
    if resolution < 2 or resolution % 2 or resolution > 1024:
        raise ValueError(f"resolution: expected an even number from 2 to 1024, got {resolution}; 64 or 128 are usual")
    if not 1 <= n_cascades <= 8 or (n_cascades > 1 and resolution % 4):
        raise ValueError(
            "n_cascades: expected 1 to 8, and a resolution divisible by 4 for more than one, "
            f"got {n_cascades} at resolution {resolution}; change one of the two"
        )
    n_cells = n_cascades * resolution**3
    if n_cells > 2**32:  # their numbers are unsigned 32-bit
        raise ValueError(f"resolution, n_cascades: expected at most 2^32 cells, got {n_cells}; take fewer cascades")
    smallest = 2.0 * 3.0**0.5 * 2 ** (n_cascades - 1) / MAX_LATTICE
    if not step_size >= smallest:
        raise ValueError(f"step_size: expected at least {smallest:.2g}, got {step_size}; take a larger one")
    if not (0.0 <= near < far):
        raise ValueError(f"near, far: expected 0 <= near < far, got {near} and {far}; set them in this order")
    if capacity is not None and not 0 <= capacity < 2**31:
        raise ValueError(f"capacity: expected None or a count below 2^31, got {capacity}; None holds all")
    check_tensor("occupancy_bits", bits, (n_cascades * resolution**3 // 8,), (torch.uint8,), like=like)
