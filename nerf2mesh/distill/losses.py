"""Distillation losses: pure functions from predictions and noise levels to the gradient on the latents.

Conventions
    Shapes [B, V, ...]; every gradient is divided by the number of elements of one batch entry and by B, so that it is
    the gradient of a mean over pixels and its weight does not depend on the image size or the number of views.
    x0 latents of the rendering, x_t = alpha x0 + sigma noise, guidance uncond + s (cond - uncond) everywhere
    (Ho & Salimans 2022 write the scale as w = s - 1; threestudio's SDS uses s + 1).
"""

from __future__ import annotations

from torch import Tensor

from nerf2mesh.distill.noise import NoiseLevel


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance in the diffusers form."""
    return unconditional + scale * (conditional - unconditional)


def score_weight(weighting: str, level: NoiseLevel) -> Tensor:
    """w(t) on (predicted noise - noise).

    sds: sigma^2 (Poole et al. 2022, arXiv 2209.14988, section 3); uniform: 1; x0: sigma / alpha, which turns the
    gradient into x0 - x0_hat, since noise_hat - noise = (alpha / sigma) (x0 - x0_hat).
    """
    if weighting == "sds":
        return level.sigma.square()
    if weighting == "x0":
        return level.sigma / level.alpha.clamp_min(1e-3)
    if weighting == "uniform":
        return level.sigma.new_ones(())
    raise ValueError(f"weighting: one of x0, sds, uniform wanted, got {weighting!r}")


def sds_gradient(noise_hat: Tensor, noise: Tensor, level: NoiseLevel, weighting: str = "sds") -> Tensor:
    """Score distillation sampling, w(t) (noise_hat - noise) (Poole et al. 2022, equation 3), mean-normalised."""
    return score_weight(weighting, level) * (noise_hat - noise) / noise.numel()
