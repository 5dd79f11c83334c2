"""A prior whose time is numbered as Stable Diffusion's: a table of a thousand levels, a network that sees the number.

The network is a smooth function of the latents, the number and the branch, in float64 and without weights that anybody
trained: what a loop over it gives depends on every step of the loop, and on nothing else.
"""

from __future__ import annotations

import torch

from nerf2mesh.distill import DistillConfig, NoiseLevel
from nerf2mesh.optimize.distillers import GuidanceInputs
from nerf2mesh.priors.base import PriorDefaults
from nerf2mesh.priors.foundation.schedule import DiscreteSchedule
from nerf2mesh.types import Camera
from tests.distill.gaussian import generators

SHIFT = {"conditional": 0.3, "unconditional": -0.2, "negative": 0.9, "front": 1.4, "side": -0.7}
SIDE, CHANNELS = 4, 3


def stable_diffusion_levels() -> torch.Tensor:
    """Cumulative alphas [1000] of Stable Diffusion's scaled-linear betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    return (1.0 - betas).cumprod(0)


def network(x: torch.Tensor, number: torch.Tensor, branch: str) -> torch.Tensor:
    """The predicted noise for latents [..., c, s, s] at `number`, which broadcasts; it mixes neighbors and channels."""
    mixed = 0.6 * x + 0.3 * x.roll(1, -1) - 0.2 * x.roll(1, -3)
    return torch.sin(mixed + SHIFT[branch] + 0.004 * number) + 0.4 * mixed


class NumberedPrior(PriorDefaults):
    """See `priors.base.Prior`. `decode` shows more than a picture can."""

    has_alpha = True
    image_size = SIDE
    camera_embedding = None
    kind = "epsilon"

    def __init__(self) -> None:
        self.schedule = DiscreteSchedule(stable_diffusion_levels())

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.movedim(-1, -3)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (0.5 + 0.8 * latents).movedim(-3, -1)

    def level(self, t: torch.Tensor) -> NoiseLevel:
        return self.schedule.level(t)

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        number = self.schedule.timestep(t).double().reshape(-1, 1, 1, 1, 1)
        return network(noisy, number, branch)


def numbered_inputs(config: DistillConfig, times: list[float], *, progress: float = 0.1) -> GuidanceInputs:
    """One scene a time, two views each, with seeded generators."""
    g = torch.Generator().manual_seed(3)
    n = len(times)
    latents = torch.randn(n, 2, CHANNELS, SIDE, SIDE, generator=g, dtype=torch.float64)
    images = torch.rand(n, 2, SIDE, SIDE, CHANNELS, generator=g, dtype=torch.float64)
    cameras = Camera.orbit(torch.linspace(-150.0, 170.0, 2 * n).reshape(n, 2), 10.0, width_px=SIDE)
    prior, time = NumberedPrior(), torch.tensor(times)
    return GuidanceInputs(prior, None, config, cameras, progress, time, latents, images, generators())
