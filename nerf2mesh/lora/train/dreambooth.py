"""The subject adapter on any prior, through nothing but the prior's interface: encode, level, predict.

DreamBooth (Ruiz et al. 2023, arXiv 2208.12242) as LoRA: the network learns to denoise the given pictures under the
input's own condition, equation 1 there in the prior's own parametrization. With prior preservation (equation 2) it also
learns pictures of the class that the untouched prior drew beforehand, under the class prompt, so that the class does
not turn into the subject. A prior that wants several views together (`n_views`) gets as many pictures a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.distill import ddim_sample, from_x0, guided, to_epsilon, to_x0
from nerf2mesh.lora import adapters
from nerf2mesh.lora.config import LoraConfig
from nerf2mesh.lora.frames import learn
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.types import Camera

CLASS_GUIDANCE, SAMPLING_STEPS = 7.5, 25
T_LOW, T_HIGH = 0.02, 0.98


@dataclass(frozen=True)
class ClassPictures:
    """What the prior drew by itself under the class prompt: latents [n, 1, V, c, s, s] and that condition."""

    latents: Tensor
    condition: Condition
    cameras: Camera


def fit_pictures(
    prior: Prior,
    condition: Condition,
    given: Frames,
    config: LoraConfig,
    generator: torch.Generator,
    *,
    preserved: ClassPictures | None = None,
    renderings: Frames | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[float]:
    """Fits adapter SUBJECT (attached if need be) for `config.steps` and leaves it frozen. Returns the losses.

    given, renderings: pictures to learn, one a step. preserved: from `class_pictures`; None learns without.
    """
    weight = next(prior.network.parameters(), None)
    if weight is None:
        raise ValueError("lora.subject: expected a prior whose network has weights, got none; set lora=none")
    pool, device = given if renderings is None else given.joined(renderings), weight.device

    def loss() -> Tensor:
        images, cameras = draw_pictures(pool, prior.n_views, prior.image_size, generator)
        with torch.no_grad():
            latents = prior.encode(images.to(device))
        total = denoising_loss(prior, latents, cameras, condition, generator)
        if preserved is None:
            return total
        pick = int(torch.randint(len(preserved.latents), (), generator=generator))
        other = denoising_loss(prior, preserved.latents[pick], preserved.cameras, preserved.condition, generator)
        return total + config.preservation_weight * other

    return learn(prior.network, config, loss, progress)


def denoising_loss(
    prior: Prior, latents: Tensor, cameras: Camera, condition: Condition, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the conditional prediction at a time drawn uniformly; latents [1, V, c, s, s]."""
    t = T_LOW + (T_HIGH - T_LOW) * torch.rand(1, generator=generator).to(latents.device)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    level = prior.level(t)
    noisy = level.add(latents, noise)
    wanted = from_x0(prior.kind, latents, noisy, level)
    return F.mse_loss(prior.predict(noisy, t, cameras.to(latents.device), condition), wanted)


def draw_pictures(frames: Frames, n: int, size: int, generator: torch.Generator) -> tuple[Tensor, Camera]:
    """n pictures [1, n, size, size, 4] of the one scene, each zoomed a little as by another focal length, and their
    cameras [1, n]."""
    pool, geometry = frames.images[0], frames.geometry
    pick = torch.randint(len(pool), (n,), generator=generator)
    zoom = torch.empty(n).uniform_(0.9, 1.1, generator=generator)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0 / zoom
    images = F.interpolate(pool[pick], size=(size, size), mode="bilinear", antialias=True)
    images = F.grid_sample(images, F.affine_grid(theta, [n, 4, size, size], align_corners=False), align_corners=False)
    focal = (size * geometry.focal[0, pick] * zoom)[None, :, None].expand(1, n, 2)
    middle = torch.full((1, n, 2), 0.5 * size)
    cameras = Camera(geometry.pose[0, pick][None], focal, middle, size, size, bool(geometry.orthographic[0]))
    return images.permute(0, 2, 3, 1)[None], cameras


@torch.no_grad()
def class_pictures(
    prior: Prior, condition: Condition, cameras: Camera, n: int, generator: torch.Generator
) -> ClassPictures:
    """n latents that the bare prior draws under `condition`, seen by `cameras` [1, V]; no adapter is active."""
    size = prior.image_size
    shape = prior.encode(
        torch.zeros(*cameras.batch_shape, size, size, 4, device=next(prior.network.parameters()).device)
    ).shape
    with adapters.using(prior.network, {}):
        drawn = [sample_latents(prior, condition, cameras, shape, generator) for _ in range(n)]
    return ClassPictures(torch.stack(drawn), condition, cameras)


@torch.no_grad()
def sample_latents(
    prior: Prior, condition: Condition, cameras: Camera, shape: torch.Size, generator: torch.Generator
) -> Tensor:
    """Latents of `shape` from noise, by DDIM with classifier-free guidance, for any parametrization."""
    device = next(prior.network.parameters()).device
    x, cameras = torch.randn(shape, generator=generator).to(device), cameras.to(device)

    def denoise(noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        level = prior.level(t)
        found = prior.predict_branches(noisy, t, cameras, condition, ("conditional", "unconditional"))
        prediction = guided(found["conditional"], found["unconditional"], CLASS_GUIDANCE)
        return to_x0(prior.kind, prediction, noisy, level), to_epsilon(prior.kind, prediction, noisy, level)

    times = torch.linspace(T_HIGH, 0.0, SAMPLING_STEPS + 1, device=device)[:, None]
    return ddim_sample(x, times, denoise, prior.level)
