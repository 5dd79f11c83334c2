"""Distillation losses: pure functions from predictions and noise levels to the gradient on the latents.

Conventions
    Shapes [B, V, ...]; every gradient is divided by the number of its elements, so that it is the gradient of a mean
    over pixels and its weight does not depend on the image size or the number of views. A factor 2 or 1/2 of the
    squared error behind a gradient is left out.
    x0 latents of the rendering, noise the drawn one, x_t = alpha x0 + sigma noise, e_* predicted noise, e_hat guided
    (uncond + s (cond - uncond) everywhere, see `guidance`), w(t) from `score_weight`.
    Since e_hat - noise = (alpha / sigma) (x0 - x0_hat), every loss here can be read as pulling x0 to some picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.distill.config import WEIGHTINGS, DistillConfig
from nerf2mesh.distill.noise import NoiseLevel


def score_weight(weighting: str, level: NoiseLevel) -> Tensor:
    """w(t) on (predicted noise - noise).

    sds: sigma^2 (Poole et al. 2022, arXiv 2209.14988, section 3). uniform: 1. x0: sigma / alpha, which turns the
    gradient into x0 - x0_hat (and is ISM's weight). fantasia3d: alpha sigma^2 (Chen et al. 2023, arXiv 2303.13873, as
    threestudio names it). one_minus_alpha: 1 - alpha (threestudio's unified guidance, whose "dreamfusion" squares no
    root).
    """
    if weighting == "sds":
        return level.sigma.square()
    if weighting == "x0":
        return level.sigma / level.alpha.clamp_min(1e-3)
    if weighting == "uniform":
        return level.sigma.new_ones(())
    if weighting == "fantasia3d":
        return level.alpha * level.sigma.square()
    if weighting == "one_minus_alpha":
        return 1.0 - level.alpha
    raise ValueError(f"weighting: expected one of {', '.join(WEIGHTINGS)}, got {weighting!r}; choose one")


def sds_gradient(noise_hat: Tensor, noise: Tensor, level: NoiseLevel, weighting: str = "sds") -> Tensor:
    """Score distillation sampling, w(t) (e_hat - noise) (Poole et al. 2022, equation 3)."""
    return score_weight(weighting, level) * (noise_hat - noise) / noise.numel()


def sjc_gradient(x0_hat: Tensor, x0: Tensor, level: NoiseLevel) -> Tensor:
    """Score Jacobian chaining (Wang et al. 2022, arXiv 2212.00774): (x0 - D) / s with s = sigma / alpha.

    D is the denoiser at y = x0 + s noise, which is x_t / alpha. This is the variance-reduced form (the score at y, plus
    noise / s, whose mean is 0) times s, as the authors' code has it.
    """
    return (x0 - x0_hat) * (level.alpha / level.sigma) / x0.numel()


def csd_gradient(
    conditional: Tensor, unconditional: Tensor, negative: Tensor, factors: tuple[float, float], weight: Tensor
) -> Tensor:
    """Classifier score distillation (Yu et al. 2023, arXiv 2310.19415): w(t) (e_c + n e_u + m e_neg).

    factors (n, m), summing to -1: (-1, 0) is the classifier score e_c - e_u alone.
    """
    null, other = factors
    return weight * (conditional + null * unconditional + other * negative) / conditional.numel()


def csd_factors(config: DistillConfig, progress: float) -> tuple[float, float]:
    """(n, m) of `csd_gradient` at `progress`: from the null prompt to the negative one over `csd_ramp`."""
    share = min(1.0, progress / config.csd_ramp) if config.csd_ramp > 0 else 1.0
    (null, null_end), (other, other_end) = config.csd_null, config.csd_negative
    return null + share * (null_end - null), other + share * (other_end - other)


def nfsd_gradient(
    conditional: Tensor, unconditional: Tensor, negative: Tensor, scale: float, in_domain: Tensor, weight: Tensor
) -> Tensor:
    """Noise-free score distillation (Katzir et al. 2023, arXiv 2310.17590): w(t) (d_D + s (e_c - e_u)).

    d_D is e_u where `in_domain` [B] (small t: the noise is nearly gone), else e_u - e_neg.
    """
    rows = in_domain.reshape(-1, *(1,) * (conditional.ndim - 1))
    domain = torch.where(rows, unconditional, unconditional - negative)
    return weight * (domain + scale * (conditional - unconditional)) / conditional.numel()


def difference_gradient(wanted: Tensor, present: Tensor, weight: Tensor) -> Tensor:
    """w(t) (e_wanted - e_present), the form of several losses that differ in what the second prediction is.

    VSD (Wang et al. 2023, arXiv 2305.16213, equation 9): e_hat at x_t, and e_phi of the renderings' own distribution.
    BSD (Sun et al. 2023, arXiv 2310.16818, equation 7): the same with a teacher tuned on denoised renderings.
    ASD (Ma et al. 2024, arXiv 2407.02040): e_hat at (x_t, t), and e_c at the noisier (x_t', t').
    ISM (Liang et al. 2023, arXiv 2311.11284): e_hat at x_t, and e_u at x_s, x_s -> x_t a DDIM inversion.
    DDS (Hertz et al. 2023, arXiv 2304.07090): e_hat of the edited picture under the new prompt, and of the
    source picture under its own, with the same noise and t.
    """
    return weight * (wanted - present) / wanted.numel()


def x0_gradient(x0_hat: Tensor, x0: Tensor) -> Tensor:
    """x0 - x0_hat: MVDream's reconstruction loss (Shi et al. 2023, arXiv 2308.16512), x0_hat rescaled.

    SDI (Lukoianov et al. 2024, arXiv 2405.15891) is the same gradient with x_t from inverted noise.
    """
    return (x0 - x0_hat) / x0.numel()


def hifa_image_gradient(image_hat: Tensor, image: Tensor, level: NoiseLevel, weight: Tensor) -> Tensor:
    """HiFA's image term (Zhu et al. 2023, arXiv 2305.18766): w(t) (alpha / sigma) (image - decode(x0_hat)).

    A gradient on images [B, V, h, w, ch]; alpha / sigma is what x0 - x0_hat has to e_hat - noise.
    """
    rows = (weight * level.alpha / level.sigma).reshape(-1, *(1,) * (image.ndim - 1))
    return rows * (image - image_hat) / image.numel()


def rfds_gradient(flow_hat: Tensor, noise: Tensor, x0: Tensor) -> Tensor:
    """Rectified flow distillation (Yang et al. 2024, arXiv 2406.03293): f_hat - (noise - x0).

    For alpha + sigma = 1 this is (x0 - x0_hat) / sigma.
    """
    return (flow_hat - (noise - x0)) / x0.numel()


def rfds_rev_noise(flow: Tensor, noise: Tensor, x0: Tensor, level: NoiseLevel) -> Tensor:
    """RFDS-Rev's corrected noise (Yang et al. 2024, arXiv 2406.03293): noise + (1 - sigma) (f - (noise - x0)).

    f is the conditional flow at the uncorrected x_t: one step up the flow from x_t to its noise.
    """
    return noise + (1.0 - level.sigma) * (flow - (noise - x0))
