"""Guidance: how predictions under several conditions become one.

Everything here is linear in differences of predictions, so it may be done in whatever the network predicts (epsilon, v,
x0, flow) and converted afterwards: at one noise level the conversions are affine.

Letters: c conditional, u unconditional, n negative predictions [B, V, ...]; s the scale of c + ... = u + s (c - u)
(diffusers' form; Ho & Salimans 2022, arXiv 2207.12598, write w = s - 1; threestudio's SDS and SDI use s - 1 too).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.distill.config import DistillConfig

OVERHEAD_DEG = 60.0
"""Above this elevation a view is one from overhead: neither front, side nor back (threestudio's threshold)."""


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance in the diffusers form."""
    return unconditional + scale * (conditional - unconditional)


def guidance_scale(config: DistillConfig, progress: float) -> float:
    """The scale at `progress` in [0, 1]."""
    if config.guidance_end is None:
        return config.guidance_scale
    return config.guidance_scale + (config.guidance_end - config.guidance_scale) * min(max(progress, 0.0), 1.0)


def rescaled(prediction: Tensor, conditional: Tensor, share: float, *, joint: bool = False) -> Tensor:
    """share * prediction * std(c) / std(prediction) + (1 - share) * prediction.

    Lin et al. 2023 (arXiv 2305.08891), equations 15 and 16. The deviation is that of each view, or with `joint` of
    all views of a scene together, as MVDream has it.
    """
    dims = tuple(range(1 if joint else 2, prediction.ndim))
    ratio = conditional.std(dims, keepdim=True) / prediction.std(dims, keepdim=True).clamp_min(1e-8)
    return prediction * (share * ratio + (1.0 - share))


def perp_neg(conditional: Tensor, unconditional: Tensor, negatives: Tensor, weights: Tensor, scale: float) -> Tensor:
    """u + s (p + sum_i w_i perp(n_i - u; p)) with p = c - u and perp(n; p) = n - p <n, p> / <p, p>.

    Perp-Neg (Armandpour et al. 2023, arXiv 2304.04968). negatives [N, B, V, ...], weights [N, B, V] (of each view,
    mostly negative). The inner product is over one view: a view's result does not depend on the others in its batch.
    """
    positive = conditional - unconditional
    dims = tuple(range(2, positive.ndim))
    length = positive.square().sum(dims, keepdim=True).clamp_min(1e-12)
    total = positive
    for negative, weight in zip(negatives, weights, strict=True):
        away = negative - unconditional
        away = away - positive * ((away * positive).sum(dims, keepdim=True) / length)
        total = total + weight.reshape(*weight.shape, *(1,) * len(dims)) * away
    return unconditional + scale * total


def perp_neg_weights(config: DistillConfig, azimuth_deg: Tensor, elevation_deg: Tensor) -> Tensor:
    """Weights [2, *b] of the negatives ("front", "side") at views of azimuth and elevation [*b].

    Curves f(r) = a exp(-b r) + c, all used with a minus: with r = 1 at the front and 0 at the side, front -f_fs(r) and
    side -f_sf(1 - r); behind, with r = 1 at the side and 0 at the back, side -f_sb(r) and front -f_fb(r). From overhead
    both are 0, and a prompt weighs 0 within `perp_neg_cut` of its own direction. The defaults are threestudio's.
    """
    turned = torch.remainder(azimuth_deg + 180.0, 360.0) - 180.0
    away = turned.abs() / 90.0
    before, behind, cut = 1.0 - away, 2.0 - away, 1.0 - config.perp_neg_cut
    in_front = away < 1.0
    front_before = _decay(config.perp_neg_front_side, before) * (before <= cut)
    side_before = _decay(config.perp_neg_side_front, 1.0 - before) * (1.0 - before <= cut)
    side_behind = _decay(config.perp_neg_side_back, behind) * (behind <= cut)
    front = torch.where(in_front, front_before, _decay(config.perp_neg_front_back, behind))
    side = torch.where(in_front, side_before, side_behind)
    return -torch.stack([front, side]) * (elevation_deg <= OVERHEAD_DEG)


def _decay(curve: tuple[float, float, float], r: Tensor) -> Tensor:
    a, b, c = curve
    return a * torch.exp(-b * r) + c
