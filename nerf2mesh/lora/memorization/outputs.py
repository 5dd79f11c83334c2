"""What a network with an adapter makes: views of an object from noise, with a picture given or hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.distill import ddim_sample, to_epsilon, to_x0
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, decode_rgba, encode_rgba
from nerf2mesh.priors.builtin.prior import BuiltinPrior

STEPS, T_HIGH = 12, 0.98


@torch.no_grad()
def sample_views(prior: BuiltinPrior, scene: Frames, generator: torch.Generator, *, hidden: bool) -> Tensor:
    """Views [V, 4, s, s], premultiplied RGBA in [0, 1], of the object that frame 0 of one scene shows, or where it is
    `hidden` of whatever the network comes up with, from the cameras of the scene's other frames. DDIM, no guidance.
    """
    given = encode_rgba(_floats(scene.images[:, :1])).to(prior.device)
    geometry = scene.to(prior.device).geometry
    kind = torch.full(scene.images.shape[:2], NOISY, device=prior.device)
    kind[:, 0] = ABSENT if hidden else CLEAN
    shape = (1, scene.images.shape[1] - 1, *scene.images.shape[2:])

    def denoise(noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        level = prior.level(t)
        frames = torch.cat([given, noisy], dim=1)
        velocity = prior.network(frames, level.log_snr.reshape(-1), kind, geometry, None, n_given=1)
        return to_x0(prior.kind, velocity, noisy, level).clamp(-1.0, 1.0), to_epsilon(
            prior.kind, velocity, noisy, level
        )

    start = torch.randn(shape, generator=generator).to(prior.device)
    times = torch.linspace(T_HIGH, 0.0, STEPS + 1, device=prior.device)[:, None]
    return decode_rgba(ddim_sample(start, times, denoise, prior.level))[0].clamp(0.0, 1.0).cpu()


def _floats(images: Tensor) -> Tensor:
    return images.float() / (255.0 if not images.dtype.is_floating_point else 1.0)
