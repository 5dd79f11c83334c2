"""A prior whose every answer is known: each branch is a Gaussian over a view's latents.

For x0 ~ N(m, S) and x_t = alpha x0 + sigma noise the best prediction of the noise is
sigma (alpha^2 S + sigma^2 I)^-1 (x_t - alpha m). The branches share S's eigenvectors U, not its eigenvalues, so that in
that basis whole chains of predictions are products of numbers: `Basis` has those closed forms, in numpy.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from nerf2mesh.distill import DistillConfig, NoiseLevel, cosine_level
from nerf2mesh.optimize.distillers import GuidanceInputs
from nerf2mesh.priors import PriorDefaults, SeesCameras
from nerf2mesh.types import Camera

CHANNELS, SIDE, VIEWS = 4, 2, 2
SIZE = CHANNELS * SIDE * SIDE
BRANCHES = ("conditional", "unconditional", "negative", "front", "side")


class AddsNothing(torch.nn.Module):
    """A layer of zeros: it leaves predictions as they are until an adapter on it says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(SIZE, SIZE, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


class GaussianPrior(SeesCameras, PriorDefaults):
    """See `priors.base.Prior`. Images are latents with the channels last; `shared` gives all branches one S."""

    has_alpha = True
    image_size = SIDE

    def __init__(self, kind: str, *, shared: bool = False, seed: int = 0) -> None:
        self.kind = kind
        self.network = AddsNothing()
        g = torch.Generator().manual_seed(seed)
        self.basis = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=g, dtype=torch.float64))[0]
        self.mean = {b: torch.randn(SIZE, generator=g, dtype=torch.float64) for b in BRANCHES}
        spread = {b: 0.2 + torch.rand(SIZE, generator=g, dtype=torch.float64) for b in BRANCHES}
        self.variance = {b: spread["conditional" if shared else b].square() for b in BRANCHES}

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.movedim(-1, -3)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents.movedim(-3, -1)

    def level(self, t: torch.Tensor) -> NoiseLevel:
        t = t.double().reshape(-1, 1, 1, 1, 1)
        return NoiseLevel(1.0 - t, t) if self.kind == "flow" else cosine_level(t)

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        a, s = (x.reshape(-1, 1, 1) for x in (self.level(t).alpha, self.level(t).sigma))
        away = noisy.reshape(*noisy.shape[:2], SIZE) - a * self.mean[branch]
        covariance = self.basis @ torch.diag(self.variance[branch]) @ self.basis.T
        inner = a[..., None].square() * covariance + s[..., None].square() * torch.eye(SIZE, dtype=torch.float64)
        solved = torch.linalg.solve(inner, away[..., None])[..., 0]
        epsilon, x0 = s * solved, self.mean[branch] + a * (solved @ covariance)
        found = {"epsilon": epsilon, "v": a * epsilon - s * x0, "flow": epsilon - x0, "x0": x0}[self.kind]
        return (found + self.network(away)).reshape(noisy.shape)


class Basis:
    """The same Gaussians in the basis of their eigenvectors: everything element by element. x [B, V, SIZE]."""

    def __init__(self, prior: GaussianPrior) -> None:
        self.flow, self.turn = prior.kind == "flow", prior.basis.numpy()
        self.mean = {b: m.numpy() @ self.turn for b, m in prior.mean.items()}
        self.variance = {b: v.numpy() for b, v in prior.variance.items()}

    def into(self, latents: torch.Tensor) -> np.ndarray:
        return latents.double().numpy().reshape(*latents.shape[:2], SIZE) @ self.turn

    def back(self, x: np.ndarray) -> np.ndarray:
        return x @ self.turn.T

    def level(self, t) -> tuple[np.ndarray, np.ndarray]:
        t = np.asarray(t, dtype=np.float64).reshape(-1, 1, 1)
        return (1 - t, t) if self.flow else (np.cos(np.pi * t / 2), np.sin(np.pi * t / 2))

    def epsilon(self, branch: str, x: np.ndarray, t) -> np.ndarray:
        a, s = self.level(t)
        return s * (x - a * self.mean[branch]) / (a * a * self.variance[branch] + s * s)

    def guided(self, x: np.ndarray, t, scale: float, wanted="conditional", free="negative") -> np.ndarray:
        return (1 - scale) * self.epsilon(free, x, t) + scale * self.epsilon(wanted, x, t)

    def x0(self, x: np.ndarray, epsilon: np.ndarray, t) -> np.ndarray:
        a, s = self.level(t)
        return (x - s * epsilon) / a

    def carried(self, x: np.ndarray, mean: np.ndarray, variance: np.ndarray, times: list) -> np.ndarray:
        """DDIM along `times`: each step multiplies x - alpha m by (a a' v + s s') / (a^2 v + s^2)."""
        a, _ = self.level(times[0])
        away = x - a * mean
        for here, there in pairwise(times):
            (a, s), (b, r) = self.level(here), self.level(there)
            away = away * (a * b * variance + s * r) / (a * a * variance + s * s)
        return self.level(times[-1])[0] * mean + away


def guidance_inputs(
    prior: GaussianPrior, config: DistillConfig, batch: int, *, progress: float = 0.25
) -> GuidanceInputs:
    """Random latents under random cameras; generators are seeded by name, so that a test can draw the same."""
    g = torch.Generator().manual_seed(7)
    latents = torch.randn(batch, VIEWS, CHANNELS, SIDE, SIDE, generator=g, dtype=torch.float64)
    source = torch.randn(batch, VIEWS, SIDE, SIDE, CHANNELS, generator=g, dtype=torch.float64)
    time = torch.tensor([0.45, 0.12, 0.8])[:batch]
    cameras = Camera.orbit(torch.linspace(-150.0, 170.0, batch * VIEWS).reshape(batch, VIEWS), 10.0, width_px=SIDE)
    return GuidanceInputs(
        prior, None, config, cameras, progress, time, latents, prior.decode(latents), generators(), source=source
    )


def generators() -> dict[str, torch.Generator]:
    names = ("noise", "time", "inversion", "phi")
    return {name: torch.Generator().manual_seed(100 + i) for i, name in enumerate(names)}
