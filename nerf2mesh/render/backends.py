"""Marching and compositing by one of three libraries with one signature: native, torch, nerfacc.

The signatures are those of `nerf2mesh.kernels.march_rays` and `composite`. nerfacc keeps its own lattice (it starts at
the near plane, not where the ray enters the box), so that its samples differ from ours by less than a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import Composited, Samples, reference

BACKENDS = ("native", "torch", "nerfacc")


class Backend(NamedTuple):
    """The two functions, with the signatures of `nerf2mesh.kernels`."""

    march_rays: Callable[..., Samples]
    composite: Callable[..., Composited]


def load_backend(name: str, device: torch.device) -> Backend:
    """The functions of backend `name` for tensors on `device`; ValueError where it cannot serve."""
    if name == "native":
        return Backend(kernels.march_rays, kernels.composite)
    if name == "torch":
        return Backend(reference.march_rays, reference.composite)
    if name != "nerfacc":
        raise ValueError(f"renderer.backend: expected {', '.join(BACKENDS)}, got {name!r}; choose one of these")
    if device.type != "cuda":
        raise ValueError(f"renderer.backend=nerfacc: expected a CUDA device, got {device}; use renderer.backend=native")
    try:
        import nerfacc  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"renderer.backend=nerfacc: expected the package nerfacc, got {str(error)!r}; "
            "pip install 'nerf2mesh[gpu]', or use renderer.backend=native"
        ) from error
    return Backend(_march_nerfacc, _composite_nerfacc)


def _march_nerfacc(
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
) -> Samples:
    import nerfacc

    n_rays = rays_o.shape[0]
    if n_rays == 0:  # nerfacc would launch an empty grid
        nothing = rays_o.new_zeros(0)
        return Samples(nothing, nothing, nothing.int(), nothing.int().view(0, 2), 0, 0)
    shifts = torch.arange(8, device=rays_o.device)
    cells = ((occupancy_bits[:, None].int() >> shifts) & 1).bool().view(1, *(resolution,) * 3)
    box = rays_o.new_tensor([[-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]])
    # nerfacc's lattice begins with an interval's edge, ours with its middle: half a step less of jitter.
    shift = torch.zeros(n_rays, device=rays_o.device) if jitter is None else jitter - 0.5
    intervals, samples, _ = nerfacc.traverse_grids(
        rays_o,
        rays_d,
        cells,
        box,
        near_planes=(near + shift * step_size).clamp_min(0.0),
        far_planes=torch.full((n_rays,), far, device=rays_o.device),
        step_size=step_size,
        cone_angle=0.0,
    )
    start, end = intervals.vals[intervals.is_left], intervals.vals[intervals.is_right]
    index, packed = samples.ray_indices.int(), samples.packed_info.int()
    if capacity is not None and start.shape[0] > capacity:
        raise ValueError(
            f"capacity: expected at most {capacity} samples, got {start.shape[0]} of nerfacc; render fewer rays at once"
        )
    return Samples((start + end) / 2, end - start, index, packed, start.shape[0], 0)


def _composite_nerfacc(density: Tensor, channels: Tensor, t: Tensor, dt: Tensor, packed_info: Tensor) -> Composited:
    import nerfacc

    n_rays, packed = packed_info.shape[0], packed_info.long()
    index = torch.repeat_interleave(torch.arange(n_rays, device=t.device), packed[:, 1])
    weights, _, _ = nerfacc.render_weight_from_density(t - dt / 2, t + dt / 2, density, packed_info=packed)

    def along(values: Tensor | None) -> Tensor:
        return nerfacc.accumulate_along_rays(weights, values, ray_indices=index, n_rays=n_rays)

    # mip-NeRF 360, equation 15, in one pass over sorted samples: t_i W_i - sum_{j<i} w_j t_j with exclusive sums.
    before = nerfacc.exclusive_sum(weights, packed_info=packed)
    moment = nerfacc.exclusive_sum(weights * t, packed_info=packed)
    distortion = along((2 * (t * before - moment) + weights * dt / 3)[:, None])[:, 0]
    return Composited(along(channels), along(None)[:, 0], along(t[:, None])[:, 0], distortion, weights.detach())
