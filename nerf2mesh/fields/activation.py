"""From the field's logit to density, and back.

Letters
    x: logit (what marching cubes sees). sigma: density in 1 / world unit, so that a ray crossing a length d of it keeps
    exp(-sigma d) of its light.
Every activation has `forward(x)` and `inverse(sigma)` and increases, so that sigma and x have the same level sets.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = ("softplus", "exp", "laplace")
_EXP_LIMIT = 15.0
_SMALLEST = 1e-12


class _TruncatedExp(torch.autograd.Function):
    """exp(x) whose gradient stops growing at x = 15 (Mueller et al. 2022, instant-ngp)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x.clamp(max=2 * _EXP_LIMIT))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(-_EXP_LIMIT, _EXP_LIMIT))


class SoftplusDensity(nn.Module):
    """sigma = scale * log(1 + exp(x))."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logit: Tensor) -> Tensor:
        """Densities (1 / world unit) of logits, any shape."""
        return F.softplus(logit) * self.scale

    def inverse(self, density: Tensor) -> Tensor:
        """Logits of densities (1 / world unit), any shape."""
        y = (density / self.scale).clamp_min(_SMALLEST)
        return y + torch.log(-torch.expm1(-y))


class ExpDensity(nn.Module):
    """sigma = scale * exp(x), with the truncated gradient."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logit: Tensor) -> Tensor:
        """Densities (1 / world unit) of logits, any shape."""
        return _TruncatedExp.apply(logit) * self.scale

    def inverse(self, density: Tensor) -> Tensor:
        """Logits of densities (1 / world unit), any shape."""
        return torch.log((density / self.scale).clamp_min(_SMALLEST))


class LaplaceDensity(nn.Module):
    """sigma = Psi(x / beta) / beta with Psi the Laplace distribution's CDF and a learned beta.

    x is minus the signed distance (positive inside). Yariv et al. 2021, Volume Rendering of Neural Implicit Surfaces,
    equations 2 and 3, with alpha = 1 / beta. beta = |learned| + beta_min keeps it positive.
    """

    def __init__(self, beta: float = 0.1, beta_min: float = 1e-3) -> None:
        super().__init__()
        self.beta_min = beta_min
        self.raw_beta = nn.Parameter(torch.tensor(beta - beta_min))

    @property
    def beta(self) -> Tensor:
        """Present sharpness, world units, positive."""
        return self.raw_beta.abs() + self.beta_min

    def forward(self, logit: Tensor) -> Tensor:
        """Densities (1 / world unit) of logits, any shape."""
        beta = self.beta
        tail = 0.5 * torch.expm1(-logit.abs() / beta)
        return (0.5 - torch.sign(logit) * tail) / beta

    def inverse(self, density: Tensor) -> Tensor:
        """Logits of densities (1 / world unit), any shape."""
        beta = self.beta
        p = (density * beta).clamp(_SMALLEST, 1 - 1e-7)
        return torch.where(p < 0.5, torch.log(2 * p), -torch.log(2 - 2 * p)) * beta


def make_activation(kind: str, *, scale: float, beta: float) -> SoftplusDensity | ExpDensity | LaplaceDensity:
    """The activation named `kind` (one of ACTIVATIONS); `scale` in 1 / world unit, `beta` in world units.

    Raises ValueError for another name.
    """
    if kind == "softplus":
        return SoftplusDensity(scale)
    if kind == "exp":
        return ExpDensity(scale)
    if kind == "laplace":
        return LaplaceDensity(beta)
    raise ValueError(f"field.density_activation: expected {', '.join(ACTIVATIONS)}, got {kind!r}; choose one of these")
