"""Views that the prior guesses in one step, to be fitted like given pictures: a first shape in seconds.

One prediction at the noisiest time is the mean of all that the prior holds possible from a side: blurred, but in the
right place and with the right opacity, which is what a fit of the density needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.distill import guided, to_x0
from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.optimize.views import like_reference
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.types import Camera, View

NOISIEST = 0.999
"""The time of the guess: the end of the times that the built-in prior is trained on."""
ELEVATIONS_DEG = (0.0, 30.0)
_SEED = 7_001
_LEAST_ALPHA = 0.02
"""Below this opacity a straight color would be noise."""


def guess_cameras(n: int, reference: Camera, size_px: int) -> Camera:
    """Cameras [1, n] evenly around the object from the reference's azimuth on, at elevations of 0 and 30 degrees by
    turns; else as the reference."""
    azimuth = reference.azimuth_deg.cpu() + 360.0 * torch.arange(n) / n
    elevation = torch.tensor(ELEVATIONS_DEG).repeat(n // 2 + 1)[:n]
    return like_reference(reference, azimuth[None], elevation[None], size_px)


@torch.no_grad()
def guess_views(
    prior: Prior, condition: Condition, config: DistillConfig, cameras: Camera, *, weight: float = 1.0, seed: int = 0
) -> list[View]:
    """One view for each of `cameras` [1, n]: what the prior makes of noise in one step, with its opacity.

    Guidance is `distill.guidance_scale`, of which 1 is the conditional prediction alone.

    Raises:
        ValueError: the prior knows no opacity, or denoises only so many views together.
    """
    check_guesses_any_view(prior, "optimize.guessed_views")
    noise = drawn_noise(prior, cameras, torch.Generator().manual_seed(_SEED + seed))
    clean = one_step(prior, condition, cameras, noise, NOISIEST, config.guidance_scale)
    pictures = shown(prior, clean)[0]
    alpha = pictures[..., 3:]
    straight = torch.cat([(pictures[..., :3] / alpha.clamp_min(_LEAST_ALPHA)).clamp(0.0, 1.0), alpha], dim=-1)
    return [View(straight[k], cameras[0, k].to("cpu"), weight=weight) for k in range(len(straight))]


def guesses_any_view(prior: Prior) -> bool:
    """Whether the prior can guess views with their opacity, as many at a time as are asked for."""
    return prior.has_alpha and prior.n_views == 1


def check_guesses_any_view(prior: Prior, setting: str) -> None:
    """ValueError where the prior cannot (`guesses_any_view`); `setting` is named as what asks for it."""
    if not guesses_any_view(prior):
        why = "none" if not prior.has_alpha else f"one for {prior.n_views} views at a time"
        raise ValueError(
            f"{setting}: expected a prior with opacity for any number of views, got {why}; set it to 0, or take "
            "prior=builtin"
        )


def drawn_noise(prior: Prior, cameras: Camera, generator: torch.Generator) -> Tensor:
    """Noise of the latents' shape for `cameras` [1, n], drawn on the CPU, on the prior's device."""
    device = next((p.device for p in prior.network.parameters()), torch.device("cpu"))
    blank = torch.zeros(*cameras.batch_shape, prior.image_size, prior.image_size, 4, device=device)
    latents = prior.encode(blank)
    return torch.randn(latents.shape, generator=generator).to(latents)


@torch.no_grad()
def one_step(prior: Prior, condition: Condition, cameras: Camera, noisy: Tensor, time: float, scale: float) -> Tensor:
    """Clean latents [1, n, c, s, s] that the prior makes of noisy ones of `cameras` [1, n] in one step, in [-1, 1].

    time: the noise level, in (0, 1). scale: of the guidance, of which 1 is the conditional prediction alone.
    """
    t, seen = noisy.new_full((1,), time), cameras.to(noisy.device)
    prediction = prior.predict(noisy, t, seen, condition).float()
    if scale != 1.0:
        free = prior.predict(noisy, t, seen, condition, branch="unconditional").float()
        prediction = guided(prediction, free, scale)
    return to_x0(prior.kind, prediction, noisy, prior.level(t)).clamp(-1.0, 1.0)


def shown(prior: Prior, latents: Tensor) -> Tensor:
    """Premultiplied RGBA [1, n, h, w, 4] of latents, on the CPU, in [0, 1]."""
    return prior.decode(latents).float().cpu().clamp(0.0, 1.0)
