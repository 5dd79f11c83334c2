"""Hash-grid encoding with gradients to parameters and points, and its Jacobian-vector product as a forward operator.

Letters: x a point in [0, 1]^D, p the parameters, y = E(x, p) the features, J = dE/dx. Indices and weights are
recomputed in every backward pass, never stored. The encoding is differentiable twice: the gradient to the points is
itself an operator with a first-order backward, including the cross terms and smoothstep's curvature.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ._check import check_tensor
from .layout import GridLayout

ops = torch.ops.n2m
STORAGE = (torch.float32, torch.float16)
Spec = tuple[list[int], float, int]


def hash_grid_encode(
    points: Float[Tensor, "n d"], params: Float[Tensor, "p"], layout: GridLayout, n_active_levels: int | None = None
) -> Float[Tensor, "n f"]:
    """Features of `points` in [0, 1]^D, float32 [n, n_levels * n_features]; coordinates outside wrap around.

    params: flat [layout.n_params], float32 or float16 (sums are float32 either way). Levels from `n_active_levels` on
    give zeros and cost nothing. ValueError for wrong shapes, types or mixed devices. Mueller et al. 2022, eq. 1 to 4.
    """
    spec = _checked(points, params, layout, n_active_levels)
    return _Encode.apply(points, params, spec)


def hash_grid_jvp(
    points: Float[Tensor, "n d"],
    params: Float[Tensor, "p"],
    tangent: Float[Tensor, "n d"],
    layout: GridLayout,
    n_active_levels: int | None = None,
) -> tuple[Float[Tensor, "n f"], Float[Tensor, "n f"]]:
    """E(x) and J(x) tangent in one pass over the tables; a first-order backward reaches points, params and tangent."""
    spec = _checked(points, params, layout, n_active_levels)
    check_tensor("tangent", tangent, tuple(points.shape), like=points)
    return _Jvp.apply(points, params, tangent, spec)


def hash_grid_vjp(
    points: Float[Tensor, "n d"],
    params: Float[Tensor, "p"],
    cotangent: Float[Tensor, "n f"],
    layout: GridLayout,
    n_active_levels: int | None = None,
) -> Float[Tensor, "n d"]:
    """J(x)^T cotangent, differentiable once: with cotangent = d(density)/dy this is the density's gradient in space."""
    spec = _checked(points, params, layout, n_active_levels)
    check_tensor("cotangent", cotangent, (len(points), layout.n_outputs), like=points)
    return _InputGrad.apply(points, params, cotangent, spec)


def _checked(points: Tensor, params: Tensor, layout: GridLayout, n_active_levels: int | None) -> Spec:
    check_tensor("points", points, (None, layout.n_dims))
    check_tensor("params", params, (layout.n_params,), STORAGE, like=points)
    n_active = layout.n_levels if n_active_levels is None else n_active_levels
    if not 0 <= n_active <= layout.n_levels:
        raise ValueError(
            f"n_active_levels: expected a count from 0 to {layout.n_levels}, got {n_active}; None takes all levels"
        )
    return list(layout.geometry), layout.per_level_scale, n_active


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, params, spec):
        ctx.save_for_backward(points, params)
        ctx.spec = spec
        return ops.grid_forward(points, params, *spec)

    @staticmethod
    def backward(ctx, grad):
        points, params = ctx.saved_tensors
        grad_points = _InputGrad.apply(points, params, grad, ctx.spec) if ctx.needs_input_grad[0] else None
        grad_params = _ParamGrad.apply(points, params, grad, ctx.spec) if ctx.needs_input_grad[1] else None
        return grad_points, grad_params, None


class _ParamGrad(torch.autograd.Function):
    """d<grad, E(x, p)>/dp, an operator of its own so that it can be differentiated again."""

    @staticmethod
    def forward(ctx, points, params, grad, spec):
        ctx.save_for_backward(points, grad)
        ctx.spec = spec
        return ops.grid_backward(points, grad, None, None, *spec).to(params.dtype)

    @staticmethod
    def backward(ctx, double):
        # <double, dE^T grad> = <grad, E(x, double)>: an encoding with `double` for its parameters.
        points, grad = ctx.saved_tensors
        to_grad = ops.grid_forward(points, double, *ctx.spec) if ctx.needs_input_grad[2] else None
        to_points = None
        if ctx.needs_input_grad[0]:
            to_points = ops.grid_input_grad(points, double, grad, None, None, *ctx.spec)
        return to_points, None, to_grad, None


class _InputGrad(torch.autograd.Function):
    """g = J^T cotangent; with u = dL/dg: dL/dcotangent = J u, dL/dp and dL/dx are those of <cotangent, J u>."""

    @staticmethod
    def forward(ctx, points, params, cotangent, spec):
        ctx.save_for_backward(points, params, cotangent)
        ctx.spec = spec
        return ops.grid_input_grad(points, params, cotangent, None, None, *spec)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, u):
        points, params, cotangent = ctx.saved_tensors
        to_points = to_params = to_cotangent = None
        if ctx.needs_input_grad[0]:
            to_points = ops.grid_input_grad(points, params, None, u, cotangent, *ctx.spec)
        if ctx.needs_input_grad[1]:
            to_params = ops.grid_backward(points, None, u, cotangent, *ctx.spec).to(params.dtype)
        if ctx.needs_input_grad[2]:
            to_cotangent = ops.grid_jvp(points, params, u, *ctx.spec)[1]
        return to_points, to_params, to_cotangent, None


class _Jvp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, params, tangent, spec):
        ctx.save_for_backward(points, params, tangent)
        ctx.spec = spec
        return ops.grid_jvp(points, params, tangent, *spec)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, grad_tangent):
        points, params, tangent = ctx.saved_tensors
        to_points = to_params = to_tangent = None
        if ctx.needs_input_grad[0]:
            to_points = ops.grid_input_grad(points, params, grad, tangent, grad_tangent, *ctx.spec)
        if ctx.needs_input_grad[1]:
            to_params = ops.grid_backward(points, grad, tangent, grad_tangent, *ctx.spec).to(params.dtype)
        if ctx.needs_input_grad[2]:
            to_tangent = ops.grid_input_grad(points, params, grad_tangent, None, None, *ctx.spec)
        return to_points, to_params, to_tangent, None
