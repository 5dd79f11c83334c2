"""Marching, compositing and the occupancy by the native libraries or the torch twins."""

from __future__ import annotations

import torch
from torch import Tensor

from . import _call, _lib, reference
from ._call import call, has_native, packed, packed_given, recordable, recordable_given
from ._check import check_samples, check_size


def march(origins, directions, bits, jitter, resolution, n_cascades, near, far, step, capacity: int | None):
    """t, dt, ray_index [c], packed_info [r, 2] and the count of all samples found, as `march_rays` tells them."""
    if not has_native(origins):
        lattice = {"near": near, "far": far, "step_size": step, "jitter": jitter, "n_cascades": n_cascades}
        found = reference.march_rays(origins, directions, bits, resolution, capacity=capacity, **lattice)
        return (
            *_pad(found[:3], capacity, _call.keeps_capacity(origins)),
            found[3],
            torch.tensor(found.n_samples + found.overflow),
        )
    check_size("origins", origins, 3 * len(origins))
    check_size("directions", directions, origins.numel())
    check_size("bits", bits, n_cascades * resolution**3 // 8, torch.uint8)
    check_size("jitter", jitter, len(origins))
    origins, directions, bits = packed(origins, directions, bits)
    (jitter,) = packed_given(jitter)
    n_rays = len(origins)
    # One bit per lattice point that a ray can have; very fine lattices march twice instead of remembering.
    words = int(2.0 * 3.0**0.5 * 2 ** (n_cascades - 1) / step + 2) // 64 + 1
    masks = origins.new_empty(n_rays, words, dtype=torch.int64) if words <= 64 else None
    info, wanted = origins.new_empty(n_rays, 2, dtype=torch.int32), origins.new_zeros((), dtype=torch.int64)
    parameters = _lib.March(resolution, n_cascades, near, far, step)
    inputs = (parameters, n_rays, origins, directions, bits, jitter, masks, words)
    call("march_count", origins, *inputs, info, wanted)
    info, size, used = _clip(info, wanted, capacity)
    make = origins.new_zeros if size > used else origins.new_empty
    t, dt, ray_index = make(size), make(size), make(size, dtype=torch.int32)
    call("march_fill", origins, *inputs, info, t, dt, ray_index)
    return t, dt, ray_index, info, wanted


def _clip(info: Tensor, wanted: Tensor, capacity: int | None) -> tuple[Tensor, int, int]:
    """packed_info cut to the capacity, the size of the buffers, and how much of them is surely used."""
    fixed = capacity is not None and _call.keeps_capacity(wanted)
    # The only place that waits for a GPU, and only without a capacity.
    total = int(wanted) if capacity is None or not fixed else capacity
    if total >= 2**31:
        raise ValueError(
            f"rays: expected fewer than 2^31 samples at once, got {total}; march fewer rays or with a larger step_size"
        )
    size = total if capacity is None else min(total, capacity)
    if fixed or size < total:
        start = info[:, 0].clamp(max=size)
        info = torch.stack([start, torch.minimum(info[:, 1], size - start)], dim=-1)
    return info, size, 0 if fixed else size


def _pad(buffers: tuple[Tensor, ...], capacity: int | None, fixed: bool) -> list[Tensor]:
    if capacity is None or not fixed:
        return list(buffers)
    return [torch.nn.functional.pad(b, (0, capacity - len(b))) for b in buffers]


def composite(density, channels, t, dt, packed_info, stop: float) -> tuple[Tensor, ...]:
    """Channels [r, k], opacity, depth, distortion [r] and weights [c] of samples, as `composite` of the package."""
    check_samples(density, channels, t, dt, packed_info)
    if not has_native(density):
        return tuple(x.detach() for x in reference.composite(density, channels, t, dt, packed_info, stop=stop))
    inputs = packed(density, channels, t, dt, packed_info)
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    out, weights = density.new_empty(n_rays, n_channels), density.new_zeros(density.shape[0])
    opacity, depth, distortion = (density.new_empty(n_rays) for _ in range(3))
    outputs = (out, opacity, depth, distortion, weights)
    call("composite_forward", density, n_rays, n_channels, stop, *inputs, *outputs)
    return out, opacity, depth, distortion, weights


def composite_backward(
    density, channels, t, dt, packed_info, opacity, depth, weights, grad_out, grad_opacity, grad_depth, grad_distortion,
    stop: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients with respect to density [c] and channels [c, k]; a missing gradient of an output counts as zero."""
    grads = (grad_out, grad_opacity, grad_depth, grad_distortion)
    check_samples(density, channels, t, dt, packed_info)
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    check_size("weights", weights, density.numel())
    check_size("grad_out", grad_out, n_rays * n_channels)
    for per_ray in (opacity, depth, *grads[1:]):
        check_size("opacity, depth, grads", per_ray, n_rays)
    if not has_native(density):
        return _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop)
    inputs = (*packed(density, channels, t, dt, packed_info, opacity, depth, weights), *packed_given(*grads))
    # Samples of no ray (the padding of a fixed capacity) keep a zero gradient.
    grad_density, grad_channels = density.new_zeros(density.shape), channels.new_zeros(channels.shape)
    call("composite_backward", density, n_rays, n_channels, stop, *inputs, grad_density, grad_channels)
    return grad_density, grad_channels


def _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop: float) -> tuple[Tensor, ...]:
    with torch.inference_mode(False), torch.enable_grad():
        density, channels, t, dt = recordable(density, channels, t, dt)
        grads = recordable_given(*grads)
        density, channels = density.detach().requires_grad_(), channels.detach().requires_grad_()
        outputs = reference.composite(density, channels, t, dt, packed_info, stop=stop)[:4]
        total = 0.0 * density.sum() + 0.0 * channels.sum()
        total = total + sum((g * o).sum() for g, o in zip(grads, outputs) if g is not None)
        return torch.autograd.grad(total, (density, channels))


def update_occupancy(ema, bits, cells, values, decay: float, threshold: float, below_mean: bool) -> None:
    """`nerf2mesh.kernels.update_occupancy`, in place on `ema` and `bits`, without the checks of shape and device."""
    if not cells.is_cuda and cells.numel():
        first, last = int(cells.min()), int(cells.max())
        if first < 0 or last >= ema.numel():
            raise ValueError(
                f"cells: expected indices from 0 to {ema.numel() - 1}, got {first} to {last}; drop those outside"
            )
    check_size("ema", ema, 8 * bits.numel())
    check_size("bits", bits, ema.numel() // 8, torch.uint8)
    check_size("cells", cells, values.numel(), torch.int64)
    check_size("values", values, cells.numel())
    if not has_native(ema) or (below_mean and ema.is_cuda):  # on a GPU the mean is torch's to take
        reference.update_occupancy(ema, bits, cells, values, decay, threshold, below_mean=below_mean)
        return
    cells, values = packed(cells, values)
    sizes = (cells.numel(), cells, values, decay, threshold, int(below_mean))
    call("update_occupancy", ema, ema.numel(), ema, bits, *sizes)
