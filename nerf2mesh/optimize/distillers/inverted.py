"""The losses whose noise is found by DDIM inversion instead of being drawn: ISM and SDI.

Each has two time grids (`distill.inversion_grid`): "uniform" is the method on equal strides from T_MIN on; "authors"
takes the steps, starts and levels of the authors' code, whatever they are.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from nerf2mesh import distill
from nerf2mesh.distill import STEPS, T_MAX, T_MIN, ddim_step, ladder, noise_of, to_epsilon, to_x0
from nerf2mesh.optimize.distillers.guidance_inputs import GuidanceInputs, LatentGradient
from nerf2mesh.priors.foundation.schedule import DiscreteSchedule


def ism(q: GuidanceInputs) -> LatentGradient:
    """Unconditional inversion to s = t - interval by long strides, one more step to t, then both predictions.

    As in the authors' code the inversion starts from a little drawn noise, and the prediction that carries x_s to x_t
    is the one that is compared.
    """
    c = q.config
    interval = distill.ism_interval(c, q.progress)
    if c.inversion_grid == "authors":
        steps, t = distill.ism_steps(q.time, interval, c.inversion_stride)
        times, q = [step / STEPS for step in steps], replace(q, time=t / STEPS)
    else:
        times = ladder((q.time - interval).clamp_min(T_MIN), T_MIN, c.inversion_stride)
    noisy = q.level_at(times[0]).add(q.latents, q.noise())
    for here, there in pairwise(times):
        (epsilon,) = q.epsilons(noisy, here, "unconditional")
        noisy = ddim_step(noisy, epsilon, q.level_at(here), q.level_at(there))
    (present,) = q.epsilons(noisy, times[-1], "unconditional")
    noisy = ddim_step(noisy, present, q.level_at(times[-1]), q.level)
    return LatentGradient(distill.difference_gradient(q.guided_epsilon(noisy, q.time), present, q.weight))


def sdi(q: GuidanceInputs) -> LatentGradient:
    """Inversion with negative guidance from the clean rendering; then the pull to the denoised picture.

    The last step goes past t by a random part of a stride. On the uniform grid the noise found there is used at t; the
    authors' code takes what it found as it is and denoises it as if it were at t.
    """
    past = torch.rand(q.time.shape, generator=q.generators["time"])
    if q.config.inversion_grid == "authors":
        return LatentGradient(distill.x0_gradient(_authors_x0(q, past), q.latents))
    end = (q.time + q.config.inversion_stride * past).clamp(max=T_MAX)
    times = ladder(end, T_MIN, q.config.inversion_stride)
    noisy = _inverted(q, q.level_at(times[0]).add(q.latents, torch.zeros_like(q.latents)), times)
    noise = noise_of(noisy, q.latents, q.level_at(times[-1]))
    return LatentGradient(distill.x0_gradient(q.guided_x0(q.level.add(q.latents, noise), q.time), q.latents))


def _authors_x0(q: GuidanceInputs, past: Tensor) -> Tensor:
    """The inversion starts from the latents themselves, not scaled by any alpha.

    The network is told that they are one stride before the first step (-99 of 1000). A prior whose time is continuous
    cannot be told that; for it they are at the first step.
    """
    steps, t = distill.sdi_steps(q.time, past, q.config.inversion_stride)
    if not isinstance(getattr(q.prior, "schedule", None), DiscreteSchedule):
        steps = steps[1:]
    q = replace(q, time=t / STEPS)
    noisy = _inverted(q, q.latents, [step / STEPS for step in steps])
    return to_x0(q.prior.kind, q.guided(noisy, q.time), noisy, q.level)


def _inverted(q: GuidanceInputs, noisy: Tensor, times: list[Tensor]) -> Tensor:
    """DDIM from the first to the last of `times`, guided by inversion_scale; Perp-Neg, where it is on, guides too."""
    c = q.config
    for here, there in pairwise(times):
        level, later = q.level_at(here), q.level_at(there)
        epsilon = to_epsilon(q.prior.kind, q.guided(noisy, here, c.inversion_scale), noisy, level)
        noisy = ddim_step(noisy, epsilon, level, later)
        if c.inversion_eta:
            noisy = noisy + c.inversion_eta * distill.ddim_deviation(level, later) * q.noise("inversion")
    return noisy
