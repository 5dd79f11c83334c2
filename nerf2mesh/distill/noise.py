"""Noise levels: one time axis for every prior, and the conversions between what networks predict.

Letters
    t in [0, 1]: 0 clean, 1 pure noise. x_t = alpha(t) x0 + sigma(t) noise.
    Variance preserving (diffusion): alpha^2 + sigma^2 = 1, v = alpha noise - sigma x0 (Salimans & Ho 2022,
    arXiv 2202.00512).
    Flow (rectified flow, Liu et al. 2022, arXiv 2209.03003): alpha = 1 - t, sigma = t, flow = noise - x0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["epsilon", "v", "x0", "flow"]


@dataclass(frozen=True)
class NoiseLevel:
    """alpha and sigma, shaped so that they broadcast against the images of a batch."""

    alpha: Tensor
    sigma: Tensor

    def add(self, x0: Tensor, noise: Tensor) -> Tensor:
        """x_t = alpha x0 + sigma noise, in the shape of x0."""
        return self.alpha * x0 + self.sigma * noise

    @property
    def log_snr(self) -> Tensor:
        """log(alpha^2 / sigma^2)."""
        return 2.0 * (self.alpha.clamp_min(1e-6).log() - self.sigma.clamp_min(1e-6).log())


def cosine_level(t: Tensor) -> NoiseLevel:
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2) (Nichol & Dhariwal 2021 without offset)."""
    return NoiseLevel(torch.cos(0.5 * math.pi * t), torch.sin(0.5 * math.pi * t))


def to_x0(kind: Kind, prediction: Tensor, noisy: Tensor, level: NoiseLevel) -> Tensor:
    """The clean image that a prediction implies.

    epsilon: (x_t - sigma e) / alpha; v: (alpha x_t - sigma v) / (alpha^2 + sigma^2); flow: x_t - sigma f for
    alpha + sigma = 1, in general (x_t - sigma f) / (alpha + sigma).
    """
    a, s = level.alpha, level.sigma
    if kind == "x0":
        return prediction
    if kind == "epsilon":
        return (noisy - s * prediction) / a.clamp_min(1e-6)
    if kind == "v":
        return (a * noisy - s * prediction) / (a * a + s * s)
    if kind == "flow":
        return (noisy - s * prediction) / (a + s)
    raise ValueError(f"kind: expected epsilon, v, x0 or flow, got {kind!r}; choose one")


def to_epsilon(kind: Kind, prediction: Tensor, noisy: Tensor, level: NoiseLevel) -> Tensor:
    """The noise that a prediction implies: (x_t - alpha x0) / sigma."""
    if kind == "epsilon":
        return prediction
    x0 = to_x0(kind, prediction, noisy, level)
    return (noisy - level.alpha * x0) / level.sigma.clamp_min(1e-6)


def to_flow(kind: Kind, prediction: Tensor, noisy: Tensor, level: NoiseLevel) -> Tensor:
    """The flow that a prediction implies: its noise less its clean image."""
    if kind == "flow":
        return prediction
    x0 = to_x0(kind, prediction, noisy, level)
    return to_epsilon("x0", x0, noisy, level) - x0


def from_x0(kind: Kind, x0: Tensor, noisy: Tensor, level: NoiseLevel) -> Tensor:
    """The prediction of a network of this kind that would mean `x0`."""
    if kind == "x0":
        return x0
    noise = (noisy - level.alpha * x0) / level.sigma.clamp_min(1e-6)
    if kind == "epsilon":
        return noise
    if kind == "v":
        return level.alpha * noise - level.sigma * x0
    if kind == "flow":
        return noise - x0
    raise ValueError(f"kind: expected epsilon, v, x0 or flow, got {kind!r}; choose one")
