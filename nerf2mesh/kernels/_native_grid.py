"""The hash grid's operators by the native libraries or the torch twin."""

from __future__ import annotations

import torch
from torch import Tensor

from . import _lib, reference
from ._call import call, fresh, has_native, packed, packed_given, recordable, recordable_given
from ._check import check_grid_sizes
from .layout import layout_from

HALF = torch.float16


def grid_forward(points: Tensor, params: Tensor, geometry: list[int], growth: float, n_active: int) -> Tensor:
    """Features float32 [n, n_outputs] of points [n, d] in [0, 1]; params are float32 or float16 [n_params]."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        return reference.hash_grid_encode(points, params, layout, n_active)
    check_grid_sizes(layout, points, params)
    points, params = packed(points, params)
    out = fresh(points, len(points), layout.n_outputs)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    call("grid_forward", points, grid, len(points), points, params, out)
    return out


def grid_jvp(
    points: Tensor, params: Tensor, tangent: Tensor, geometry: list[int], growth: float, n_active: int
) -> tuple[Tensor, Tensor]:
    """The features and their derivative along `tangent` [n, d], both float32 [n, n_outputs]."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        with torch.inference_mode(False):
            points, params, tangent = recordable(points, params, tangent)
            out, out_tangent = reference.hash_grid_jvp(points, params, tangent, layout, n_active)
            return out.detach(), out_tangent.detach()
    check_grid_sizes(layout, points, params, None, tangent)
    points, params, tangent = packed(points, params, tangent)
    out, out_tangent = (fresh(points, len(points), layout.n_outputs) for _ in range(2))
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    call("grid_jvp", points, grid, len(points), points, params, tangent, out, out_tangent)
    return out, out_tangent


def grid_backward(points, grad_out, tangent, grad_tangent, geometry: list[int], growth: float, n_active: int) -> Tensor:
    """Gradient float32 [n_params] of <grad_out, out> + <grad_tangent, out_tangent>; None counts as zero."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        params = points.new_zeros(layout.n_params)
        return _twin_gradient(points, params, params, grad_out, tangent, grad_tangent, layout, n_active)
    check_grid_sizes(layout, points, None, grad_out, tangent, grad_tangent)
    (points,) = packed(points)
    grad_out, tangent, grad_tangent = packed_given(grad_out, tangent, grad_tangent)
    grad_params = fresh(points, layout.n_params).zero_()
    grid = _lib.grid_struct(layout, n_active, False)
    call("grid_backward", points, grid, len(points), points, grad_out, tangent, grad_tangent, grad_params)
    return grad_params


def grid_input_grad(points, params, grad_out, tangent, grad_tangent, geometry, growth: float, n_active: int) -> Tensor:
    """Gradient float32 [n, d] with respect to the points of what `grid_backward` differentiates."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        return _twin_gradient(points, params, points, grad_out, tangent, grad_tangent, layout, n_active)
    check_grid_sizes(layout, points, params, grad_out, tangent, grad_tangent)
    points, params = packed(points, params)
    grad_out, tangent, grad_tangent = packed_given(grad_out, tangent, grad_tangent)
    grad_points = fresh(points, *points.shape)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    arrays = (points, params, grad_out, tangent, grad_tangent, grad_points)
    call("grid_input_grad", points, grid, len(points), *arrays)
    return grad_points


def _twin_gradient(points, params, wanted, grad_out, tangent, grad_tangent, layout, n_active: int) -> Tensor:
    """Gradient with respect to `wanted` (points or params) of <grad_out, out> + <grad_tangent, out_tangent>."""
    for_points = wanted is points
    with torch.inference_mode(False), torch.enable_grad():
        points, params = (t.detach().requires_grad_() for t in recordable(points, params))
        grad_out, tangent, grad_tangent = recordable_given(grad_out, tangent, grad_tangent)
        total = points.new_zeros(()) + 0.0 * points.sum() + 0.0 * params.sum()
        if grad_tangent is not None:
            assert tangent is not None, "grad_tangent belongs to a derivative along a tangent"
            out, out_tangent = reference.hash_grid_jvp(points, params, tangent, layout, n_active)
            total = total + (grad_tangent * out_tangent).sum()
        else:
            out = reference.hash_grid_encode(points, params, layout, n_active)
        if grad_out is not None:
            total = total + (grad_out * out).sum()
        (gradient,) = torch.autograd.grad(total, points if for_points else params)
    return gradient.to(torch.float32)
