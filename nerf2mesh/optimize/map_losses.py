"""Losses of given depths and normals: pure functions of what is rendered and what is given at the same rays.

Letters
    p rendered, g given, w weights [n] (0: not known, or nothing rendered there). Every loss is a mean over w.

Sources
    Relative depth, 1 - Pearson correlation: Magic123 (Qian et al. 2023, arXiv 2306.17843, section 3.1), whose main.py
    has lambda_depth 0.01 beside lambda_rgb 5; threestudio's depth_rel. Depth after a fit of scale and shift by least
    squares: threestudio's systems/zero123.py. 1 - cosine of normals: threestudio's lambda_normal.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

HUBER = 1.345
"""Residuals up to so many robust standard deviations count in full (Huber 1964: 95 % efficient for normal errors)."""
ROUNDS = 8
SMALLEST_SCALE = 1e-6
NEAREST = 1e-3
"""World units: nothing is rendered nearer."""


def pearson_loss(p: Float[Tensor, "n"], g: Float[Tensor, "n"], w: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """1 - correlation over w, 0 to 2; neither scale nor shift of either matters. 1 where one of them is constant."""
    total = w.sum().clamp_min(1e-12)
    p, g = p - (w * p).sum() / total, g - (w * g).sum() / total
    both = ((w * p * p).sum() * (w * g * g).sum()).clamp_min(1e-24).sqrt()
    return 1.0 - (w * p * g).sum() / both


def normal_loss(p: Float[Tensor, "n 3"], g: Float[Tensor, "n 3"], w: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean of 1 - cosine between rendered normals of any length and given unit normals. 0 to 2."""
    cosine = (p * g).sum(-1) / torch.linalg.vector_norm(p, dim=-1).clamp_min(1e-6)
    return (w * (1.0 - cosine)).sum() / w.sum().clamp_min(1e-12)


def depth_loss(p: Float[Tensor, "n"], given: Float[Tensor, "n"], w: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean squared difference, in squared world units, of rendered depths and given ones that are aligned already.

    Depths of `given` that are far off (`robust_weights`) count less; scale, shift and weights have no gradient.
    """
    w = w * robust_weights((p - given).detach(), w)
    return (w * (p - given).square()).sum() / w.sum().clamp_min(1e-12)


def fitted_line(g: Float[Tensor, "n"], p: Float[Tensor, "n"], w: Float[Tensor, "n"], *, shift: bool = True) -> Tensor:
    """(scale, shift) [2] with scale g + shift near p, robust: least squares with Huber's weights, again and again.

    The scale is positive. Where g is constant it is SMALLEST_SCALE. Without `shift` the line goes through 0.
    """
    robust = torch.ones_like(w)
    line = g.new_tensor([1.0, 0.0])
    for _ in range(ROUNDS):
        weight = w * robust
        total = weight.sum().clamp_min(1e-12)
        mean_g = (weight * g).sum() / total if shift else g.new_zeros(())
        mean_p = (weight * p).sum() / total if shift else g.new_zeros(())
        spread = (weight * (g - mean_g).square()).sum()
        scale = (weight * (g - mean_g) * (p - mean_p)).sum() / spread.clamp_min(1e-12)
        scale = scale.clamp_min(SMALLEST_SCALE)
        line = torch.stack([scale, mean_p - scale * mean_g])
        robust = robust_weights(p - line[0] * g - line[1], w)
    return line


def robust_weights(residual: Float[Tensor, "n"], w: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Huber's weights [n], 1 for small residuals; the deviation is 1.4826 times the median of the known ones' size."""
    known = residual[w > 0].abs()
    if known.numel() == 0:
        return torch.ones_like(residual)
    limit = HUBER * 1.4826 * known.median().clamp_min(1e-9)
    return (limit / residual.abs().clamp_min(1e-12)).clamp_max(1.0)


def aligned(p: Float[Tensor, "n"], g: Float[Tensor, "n"], w: Float[Tensor, "n"], kind: str) -> Float[Tensor, "n"]:
    """The given values of a `DepthMap` of this kind as depths in world units, as near to p as its kind leaves open."""
    p = p.detach()
    if kind == "world":
        return g
    if kind == "inverse":
        scale, shift = fitted_line(g, 1.0 / p.clamp_min(NEAREST), w)
        return 1.0 / (scale * g + shift).clamp_min(NEAREST)
    scale, shift = fitted_line(g, p, w, shift=kind == "affine")
    return scale * g + shift


def relative_loss(p: Float[Tensor, "n"], g: Float[Tensor, "n"], w: Float[Tensor, "n"], kind: str) -> Float[Tensor, ""]:
    """`pearson_loss` of depths, or of their inverses where g is a disparity."""
    return pearson_loss(1.0 / p.clamp_min(NEAREST) if kind == "inverse" else p, g, w)
