"""The losses whose noise is found by DDIM inversion instead of being drawn: ISM and SDI."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from nerf2mesh import distill
from nerf2mesh.distill import T_MAX, T_MIN, ddim_step, ladder, to_epsilon
from nerf2mesh.optimize.distillers.guidance_inputs import GuidanceInputs, LatentGradient


def ism(q: GuidanceInputs) -> LatentGradient:
    """Unconditional inversion to s = t - interval by long strides, one more step to t, then both predictions.

    As in the authors' code the inversion starts from a little drawn noise (at T_MIN), and the prediction that carries
    x_s to x_t is the one that is compared.
    """
    c = q.config
    before = (q.time - c.ism_interval).clamp_min(T_MIN)
    noisy = q.level_at(torch.full_like(q.time, T_MIN)).add(q.latents, q.noise())
    times = ladder(before, T_MIN, c.inversion_stride)
    for here, there in pairwise(times):
        (epsilon,) = q.epsilons(noisy, here, "unconditional")
        noisy = ddim_step(noisy, epsilon, q.level_at(here), q.level_at(there))
    (present,) = q.epsilons(noisy, before, "unconditional")
    noisy = ddim_step(noisy, present, q.level_at(before), q.level)
    return LatentGradient(distill.difference_gradient(q.guided_epsilon(noisy, q.time), present, q.weight))


def sdi(q: GuidanceInputs) -> LatentGradient:
    """Inversion with negative guidance from the clean rendering; then the pull to the denoised picture.

    The last step goes past t by a random part of a stride, and the noise found there is used at t.
    """
    noise = inverted_noise(q)
    x0_hat = q.guided_x0(q.level.add(q.latents, noise), q.time)
    return LatentGradient(distill.x0_gradient(x0_hat, q.latents))


def inverted_noise(q: GuidanceInputs) -> Tensor:
    """The noise that DDIM inversion finds for the rendering; Perp-Neg, where it is on, guides here too."""
    c = q.config
    past = c.inversion_stride * torch.rand(q.time.shape, generator=q.generators["time"])
    end = (q.time + past).clamp(max=T_MAX)
    times = ladder(end, T_MIN, c.inversion_stride)
    noisy = q.level_at(times[0]).add(q.latents, torch.zeros_like(q.latents))
    for here, there in pairwise(times):
        level, later = q.level_at(here), q.level_at(there)
        epsilon = to_epsilon(q.prior.kind, q.guided(noisy, here, c.inversion_scale), noisy, level)
        noisy = ddim_step(noisy, epsilon, level, later)
        if c.inversion_eta:
            noisy = noisy + c.inversion_eta * distill.ddim_deviation(level, later) * q.noise("inversion")
    return distill.noise_of(noisy, q.latents, q.level_at(times[-1]))
