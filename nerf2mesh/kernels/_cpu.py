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


IMPLEMENTATIONS = {
    "grid_forward": grid_forward,
    "grid_jvp": grid_jvp,
    "grid_backward": grid_backward,
    "grid_input_grad": grid_input_grad,
}
for _name, _function in IMPLEMENTATIONS.items():
    LIBRARY.impl(_name, _function, "CPU")
