"""CPU implementations of the operators: contiguous float32 memory handed to the native library, or the torch twins."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from . import _lib, reference
from ._ops import LIBRARY
from .layout import layout_from

HALF = torch.float16


def native() -> ctypes.CDLL | None:
    """The library, told how many threads torch uses now."""
    library = _lib.cpu()
    if library is not None:
        library.n2m_set_threads(torch.get_num_threads())
    return library


def pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def packed(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.contiguous() for t in tensors]


def grid_forward(points: Tensor, params: Tensor, geometry: list[int], growth: float, n_active: int) -> Tensor:
    layout, library = layout_from(tuple(geometry), growth), native()
    if library is None:
        return reference.hash_grid_encode(points, params, layout, n_active)
    points, params = packed(points, params)
    out = points.new_empty(points.shape[0], layout.n_outputs)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    status = library.n2m_grid_forward(grid, len(points), pointer(points), pointer(params), pointer(out))
    _lib.check(status, "grid_forward")
    return out


def grid_jvp(points: Tensor, params: Tensor, tangent: Tensor, geometry: list[int], growth: float, n_active: int):
    layout, library = layout_from(tuple(geometry), growth), native()
    if library is None:
        return tuple(t.detach() for t in reference.hash_grid_jvp(points, params, tangent, layout, n_active))
    points, params, tangent = packed(points, params, tangent)
    out = points.new_empty(points.shape[0], layout.n_outputs)
    out_tangent = torch.empty_like(out)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    arrays = [pointer(t) for t in (points, params, tangent, out, out_tangent)]
    _lib.check(library.n2m_grid_jvp(grid, len(points), *arrays), "grid_jvp")
    return out, out_tangent


def grid_backward(points, grad_out, tangent, grad_tangent, geometry: list[int], growth: float, n_active: int) -> Tensor:
    layout, library = layout_from(tuple(geometry), growth), native()
    if library is None:
        params = points.new_zeros(layout.n_params)
        return _twin_gradient(points, params, params, grad_out, tangent, grad_tangent, layout, n_active)
    points, grad_out, tangent, grad_tangent = packed(points, grad_out, tangent, grad_tangent)
    grad_params = points.new_zeros(layout.n_params)
    grid = _lib.grid_struct(layout, n_active, False)
    arrays = [pointer(t) for t in (points, grad_out, tangent, grad_tangent, grad_params)]
    _lib.check(library.n2m_grid_backward(grid, len(points), *arrays), "grid_backward")
    return grad_params


def grid_input_grad(points, params, grad_out, tangent, grad_tangent, geometry, growth: float, n_active: int) -> Tensor:
    layout, library = layout_from(tuple(geometry), growth), native()
    if library is None:
        return _twin_gradient(points, params, points, grad_out, tangent, grad_tangent, layout, n_active)
    points, params, grad_out, tangent, grad_tangent = packed(points, params, grad_out, tangent, grad_tangent)
    grad_points = torch.empty_like(points)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    arrays = [pointer(t) for t in (points, params, grad_out, tangent, grad_tangent, grad_points)]
    _lib.check(library.n2m_grid_input_grad(grid, len(points), *arrays), "grid_input_grad")
    return grad_points


def _twin_gradient(points, params, wanted, grad_out, tangent, grad_tangent, layout, n_active: int) -> Tensor:
    """Gradient with respect to `wanted` (points or params) of <grad_out, out> + <grad_tangent, out_tangent>."""
    for_points = wanted is points
    points, params = points.detach().requires_grad_(), params.detach().requires_grad_()
    with torch.enable_grad():
        total = points.new_zeros(()) + 0.0 * points.sum() + 0.0 * params.sum()
        if grad_tangent is not None:
            out, out_tangent = reference.hash_grid_jvp(points, params, tangent, layout, n_active)
            total = total + (grad_tangent * out_tangent).sum()
        else:
            out = reference.hash_grid_encode(points, params, layout, n_active)
        if grad_out is not None:
            total = total + (grad_out * out).sum()
        (gradient,) = torch.autograd.grad(total, points if for_points else params)
    return gradient.to(torch.float32)


def march(origins, directions, bits, jitter, resolution, n_cascades, near, far, step, capacity: int | None):
    library = native()
    lattice = {"near": near, "far": far, "step_size": step, "jitter": jitter, "n_cascades": n_cascades}
    if library is None:
        found = reference.march_rays(origins, directions, bits, resolution, capacity=capacity, **lattice)
        wanted = found.n_samples + int(found.overflow)
        return found.t, found.dt, found.ray_index, found.packed_info, torch.tensor(wanted)
    origins, directions, bits, jitter = packed(origins, directions, bits, jitter)
    n_rays, parameters = len(origins), _lib.March(resolution, n_cascades, near, far, step)
    # One bit per lattice point that a ray can have; very fine lattices march twice instead of remembering.
    words = int(2.0 * 3.0**0.5 * 2 ** (n_cascades - 1) / step + 2) // 64 + 1
    masks = origins.new_empty(n_rays, words, dtype=torch.int64) if words <= 64 else None
    info, wanted = origins.new_empty(n_rays, 2, dtype=torch.int32), torch.zeros((), dtype=torch.int64)
    inputs = [pointer(x) for x in (origins, directions, bits, jitter, masks)]
    status = library.n2m_march_count(parameters, n_rays, *inputs, words, pointer(info), pointer(wanted))
    _lib.check(status, "march_count")
    total = int(wanted)
    if total >= 2**31:
        raise ValueError(
            f"rays: fewer than 2^31 samples at once wanted, got {total}; march fewer rays or a larger step_size"
        )
    size = total if capacity is None else min(total, capacity)
    if size < total:
        start = info[:, 0].clamp(max=size)
        info = torch.stack([start, torch.minimum(info[:, 1], size - start)], dim=-1)
    t, dt, ray_index = origins.new_empty(size), origins.new_empty(size), info.new_empty(size)
    outputs = [pointer(x) for x in (info, t, dt, ray_index)]
    _lib.check(library.n2m_march_fill(parameters, n_rays, *inputs, words, *outputs), "march_fill")
    return t, dt, ray_index, info, wanted


def composite(density, channels, t, dt, packed_info, stop: float):
    library = native()
    if library is None:
        return tuple(x.detach() for x in reference.composite(density, channels, t, dt, packed_info, stop=stop))
    inputs = packed(density, channels, t, dt, packed_info)
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    out, weights = density.new_empty(n_rays, n_channels), density.new_zeros(density.shape[0])
    opacity, depth, distortion = (density.new_empty(n_rays) for _ in range(3))
    arrays = [pointer(x) for x in (*inputs, out, opacity, depth, distortion, weights)]
    _lib.check(library.n2m_composite_forward(n_rays, n_channels, stop, *arrays), "composite_forward")
    return out, opacity, depth, distortion, weights


def composite_backward(
    density, channels, t, dt, packed_info, opacity, depth, weights, grad_out, grad_opacity, grad_depth, grad_distortion,
    stop: float,
):  # fmt: skip
    library = native()
    grads = (grad_out, grad_opacity, grad_depth, grad_distortion)
    if library is None:
        return _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop)
    inputs = packed(density, channels, t, dt, packed_info, opacity, depth, weights, *grads)
    # Samples of no ray (the padding of a fixed capacity) keep a zero gradient.
    grad_density, grad_channels = density.new_zeros(density.shape), channels.new_zeros(channels.shape)
    arrays = [pointer(x) for x in (*inputs, grad_density, grad_channels)]
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    _lib.check(library.n2m_composite_backward(n_rays, n_channels, stop, *arrays), "composite_backward")
    return grad_density, grad_channels


def _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop: float):
    with torch.enable_grad():
        density, channels = density.detach().requires_grad_(), channels.detach().requires_grad_()
        outputs = reference.composite(density, channels, t, dt, packed_info, stop=stop)[:4]
        total = 0.0 * density.sum() + 0.0 * channels.sum()
        total = total + sum((g * o).sum() for g, o in zip(grads, outputs) if g is not None)
        return torch.autograd.grad(total, (density, channels))


def update_occupancy(ema, bits, cells, values, decay: float, threshold: float, below_mean: bool) -> None:
    library = native()
    if library is None:
        reference.update_occupancy(ema, bits, cells, values, decay, threshold, below_mean=below_mean)
        return
    cells, values = packed(cells, values)
    arrays = [pointer(x) for x in (cells, values)]
    status = library.n2m_update_occupancy(
        ema.numel(), pointer(ema), pointer(bits), cells.numel(), *arrays, decay, threshold, int(below_mean)
    )
    _lib.check(status, "update_occupancy")


def adam(
    param,
    grad,
    mean,
    square,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    step,
    grad_scale,
    row_size,
    skip_zero_rows,
    zero_grad,
) -> None:
    library = native()
    if library is None:
        options = {"weight_decay": weight_decay, "grad_scale": grad_scale, "row_size": row_size}
        options |= {"skip_zero_rows": skip_zero_rows, "zero_grad": zero_grad}
        reference.adam_step(param, grad, mean, square, step=step, lr=lr, betas=(beta1, beta2), eps=eps, **options)
        return
    arrays = [pointer(x) for x in (param, grad, mean, square)]
    rates = (lr, beta1, beta2, eps, weight_decay, 1 - beta1**step, 1 - beta2**step, grad_scale)
    status = library.n2m_adam(param.numel(), *arrays, *rates, row_size, int(skip_zero_rows), int(zero_grad))
    _lib.check(status, "adam")


IMPLEMENTATIONS = {
    "grid_forward": grid_forward,
    "grid_jvp": grid_jvp,
    "grid_backward": grid_backward,
    "grid_input_grad": grid_input_grad,
    "march": march,
    "composite": composite,
    "composite_backward": composite_backward,
    "update_occupancy": update_occupancy,
    "adam": adam,
}
for _name, _function in IMPLEMENTATIONS.items():
    LIBRARY.impl(_name, _function, "CPU")
