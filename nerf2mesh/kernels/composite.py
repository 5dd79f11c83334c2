"""Compositing packed samples along their rays: color, opacity, depth, any other channels, and the distortion loss.

With alpha_i = 1 - exp(-density_i dt_i), w_i = alpha_i prod_{j<i} (1 - alpha_j): a channel's result is sum w_i c_i
(Mildenhall et al. 2020, eq. 3), the distortion is sum_ij w_i w_j |t_i - t_j| + 1/3 sum w_i^2 dt_i
(Barron et al. 2022, eq. 15).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from ._check import check_tensor


class Composited(NamedTuple):
    """Results per ray, and the weights of the samples (without gradient). Rays without samples have zeros."""

    channels: Float[Tensor, "r k"]
    opacity: Float[Tensor, "r"]
    depth: Float[Tensor, "r"]
    """sum w_i t_i: not divided by the opacity."""
    distortion: Float[Tensor, "r"]
    weights: Float[Tensor, "c"]


def composite(
    density: Float[Tensor, "c"],
    channels: Float[Tensor, "c k"],
    t: Float[Tensor, "c"],
    dt: Float[Tensor, "c"],
    packed_info: Int32[Tensor, "r 2"],
    *,
    stop: float = 0.0,
) -> Composited:
    """Composites samples as `march_rays` packs them; gradients reach `density` (1 / world unit) and `channels`.

    A ray ends where less than `stop` of the light still passes: later samples get weight and gradient 0. Samples of no
    ray (padding) get gradient 0.
    """
    check_tensor("density", density, (None,))
    n = density.shape[0]
    check_tensor("channels", channels, (n, None), like=density)
    check_tensor("t", t, (n,), like=density)
    check_tensor("dt", dt, (n,), like=density)
    check_tensor("packed_info", packed_info, (None, 2), (torch.int32,), like=density)
    if not 0.0 <= stop < 1.0:
        raise ValueError(f"stop: expected a share of light in [0, 1), got {stop}; 0 composites every sample")
    return Composited(*_Composite.apply(density, channels, t.detach(), dt.detach(), packed_info, stop))


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, channels, t, dt, packed_info, stop):
        results = torch.ops.n2m.composite(density, channels, t, dt, packed_info, stop)
        _, opacity, depth, _, weights = results
        ctx.save_for_backward(density, channels, t, dt, packed_info, opacity, depth, weights)
        ctx.stop = stop
        ctx.mark_non_differentiable(weights)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, to_channels, to_opacity, to_depth, to_distortion, _):
        gradients = (to_channels, to_opacity, to_depth, to_distortion)
        if all(g is None for g in gradients):
            return (None,) * 6
        return *torch.ops.n2m.composite_backward(*ctx.saved_tensors, *gradients, ctx.stop), None, None, None, None
