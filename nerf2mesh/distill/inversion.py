"""DDIM: along the prior's own path from a noisy picture to a clean one (sampling) and back (inversion).

Letters: levels s (cleaner) and t (noisier); e the predicted noise. Song et al. 2020 (arXiv 2010.02502), equation 12,
read upwards: x0_hat = (x_s - sigma_s e) / alpha_s, x_t = alpha_t x0_hat + sigma_t e. The same step serves flows, where
it is the Euler step of the velocity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor

from nerf2mesh.distill.noise import NoiseLevel


def ddim_step(noisy: Tensor, epsilon: Tensor, here: NoiseLevel, there: NoiseLevel) -> Tensor:
    """The noisy image carried from level `here` to `there` along the predicted noise; either may be the noisier."""
    x0_hat = (noisy - here.sigma * epsilon) / here.alpha
    return there.add(x0_hat, epsilon)


def ddim_sample(
    noisy: Tensor,
    times: Iterable[Tensor],
    denoise: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    level_at: Callable[[Tensor], NoiseLevel],
) -> Tensor:
    """Deterministic sampling: DDIM (Song et al. 2020, arXiv 2010.02502, equation 12 with sigma_t = 0).

    Args:
        noisy: the image at the first time.
        times: of the steps, falling; the result is at the last one.
        denoise: gives the predicted clean image and noise, for an image at a time.
        level_at: alpha and sigma at a time.
    """
    for here, there in pairwise(times):
        noisy = level_at(there).add(*denoise(noisy, here))
    return noisy


def ddim_deviation(cleaner: NoiseLevel, noisier: NoiseLevel) -> Tensor:
    """DDIM's standard deviation for eta = 1 between two levels (equation 16).

    sigma_s / sigma_t sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2), which for alpha^2 + sigma^2 = 1 is the paper's.
    """
    kept = (noisier.alpha / cleaner.alpha * cleaner.sigma).square()
    return cleaner.sigma / noisier.sigma * (noisier.sigma.square() - kept).clamp_min(0.0).sqrt()


def noise_of(noisy: Tensor, x0: Tensor, level: NoiseLevel) -> Tensor:
    """The noise that would bring x0 to `noisy`: what SDI uses in place of a random draw."""
    return (noisy - level.alpha * x0) / level.sigma


def ladder(end: Tensor, start: float, stride: float) -> list[Tensor]:
    """Times [B] from `start` up to `end` [B] in steps of at most `stride`, each row ending at its own `end`.

    All rows take as many steps as the longest needs, each row's grid being that of the stride cut off at its end.
    """
    times = [end.new_full(end.shape, start).minimum(end)]
    while bool((times[-1] < end).any()):
        times.append((times[-1] + stride).minimum(end))
    return times


# The authors' codes count in steps of a thousandth (whole numbers) and cut off where times fall between two.
STEPS = 1000
FIRST_STEP = 1
"""Stable Diffusion's steps_offset: both codes' grids begin here."""


def step_of(time: Tensor) -> Tensor:
    """Whole steps [B] (int64) of times [B], cut off; the thousandth of a step makes up for float32."""
    return (time.double() * STEPS + 1e-3).floor().long()


def step_ladder(first: int, stride: int, below: Tensor, end: Tensor) -> list[Tensor]:
    """Steps first, first + stride, ... as far as they are below `below` [B], then `end` [B], all as tensors [B].

    Rows that arrive early stay at their end.
    """
    steps: list[Tensor] = []
    at = first
    while bool((at < below).any()):
        steps.append(torch.where(at < below, at, end))
        at += stride
    return [*steps, end]


def ism_steps(time: Tensor, interval: float, stride: float) -> tuple[list[Tensor], Tensor]:
    """LucidDreamer's steps: the inversion's, whose last is s; and t (guidance/sd_utils.py, add_noise_with_cfg).

    Its indices begin at 0 and are one less than the steps that the network is told.
    """
    t = step_of(time)
    s = (t - int(interval * STEPS + 1e-3)).clamp_min(0)
    indices = step_ladder(0, int(stride * STEPS + 1e-3), s, s)
    return [index + FIRST_STEP for index in indices], t + FIRST_STEP


def sdi_steps(time: Tensor, past: Tensor, stride: float) -> tuple[list[Tensor], Tensor]:
    """SDI's steps: the inversion's, and t (threestudio's stable_diffusion_sdi_guidance.py, get_inversion_timesteps).

    The first is one stride before the first of the grid, below 0; the last goes past t by `past` [B] of a stride.
    """
    t, length = step_of(time), int(stride * STEPS + 1e-3)
    end = (t + (past.double() * length).long()).clamp(max=STEPS - 1)
    steps = step_ladder(FIRST_STEP, length, t, end)
    return [torch.full_like(t, FIRST_STEP - length), *steps], t
