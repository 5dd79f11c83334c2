"""The subject adapter of the built-in prior: it is fitted for a moment to the very thing that it is asked about.

DreamBooth's idea (Ruiz et al. 2023, arXiv 2208.12242) for a multi-view prior: noisy frames are the given views under
changes that the geometry explains (zoom as focal length, the whole world mirrored), and later also renderings of the
field; the given frame is shown in half of the steps and hidden in the others, so that both halves of classifier-free
guidance learn the subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.lora.config import LoraConfig
from nerf2mesh.lora.frames import learn
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, encode_rgba
from nerf2mesh.priors.builtin.prior import BuiltinPrior

N_NOISY = 3


def fit_subject(
    prior: BuiltinPrior,
    given: Frames,
    config: LoraConfig,
    generator: torch.Generator,
    *,
    renderings: Frames | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[float]:
    """Fits adapter SUBJECT (attached if need be) for `config.steps` and leaves it frozen. Returns the losses.

    given: the user's views, the first of which is the prior's reference. renderings: views of the field to learn too.
    """

    def loss() -> Tensor:
        frames, kind = draw_batch(given, renderings, prior.image_size, generator)
        frames, kind = frames.to(prior.device), kind.to(prior.device)
        t = torch.rand(1, generator=generator).clamp(0.02, 0.98).to(prior.device)
        noise = torch.randn(frames.images.shape, generator=generator).to(prior.device)
        return velocity_loss(prior.network, frames.images, frames.geometry, kind, t, noise)

    return learn(prior.network, config, loss, progress)


def draw_batch(
    given: Frames, renderings: Frames | None, size: int, generator: torch.Generator
) -> tuple[Frames, Tensor]:
    """One scene at `size`, in network range: the reference frame and N_NOISY augmented ones; and their kind [1, V]."""
    pool = given if renderings is None else given.joined(renderings)
    pick = torch.randint(pool.images.shape[1], (N_NOISY,), generator=generator)
    zoom = torch.empty(N_NOISY).uniform_(0.85, 1.2, generator=generator)
    reference = _sampled(given.images[0, :1], torch.ones(1), size)
    images = torch.cat([reference, _sampled(pool.images[0, pick], zoom, size)])
    pose = torch.cat([given.geometry.pose[:, :1], pool.geometry.pose[:, pick]], dim=1)
    focal = torch.cat([given.geometry.focal[:, :1], pool.geometry.focal[:, pick] * zoom], dim=1)
    frames = Frames(images[None], FrameGeometry(pose, focal, given.geometry.orthographic))
    frames = frames.mirrored(torch.rand((), generator=generator)[None] < 0.5)
    kind = torch.full((1, 1 + N_NOISY), NOISY)
    kind[0, 0] = CLEAN if torch.rand((), generator=generator) < 0.5 else ABSENT
    return replace(frames, images=encode_rgba(frames.images)), kind


def _sampled(images: Tensor, zoom: Tensor, size: int) -> Tensor:
    """The middle of each picture, magnified by `zoom`, at `size` (transparent outside; antialiased)."""
    fine = 4 * size
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0 / zoom
    images = F.interpolate(images, size=(fine, fine), mode="bilinear", antialias=True)
    grid = F.affine_grid(theta, [len(images), 4, fine, fine], align_corners=False)
    return F.avg_pool2d(F.grid_sample(images, grid, align_corners=False), 4)
