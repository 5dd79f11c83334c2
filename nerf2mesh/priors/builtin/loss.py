"""The loss of the built-in denoiser, for its training and for the adapters that are fitted to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import NOISY, noise_level
from nerf2mesh.utils.precision import fast_dtype


def velocity_loss(
    network: Any,
    images: Tensor,
    geometry: FrameGeometry,
    kind: Tensor,
    t: Tensor,
    noise: Tensor,
    words: Tensor | None = None,
) -> Tensor:
    """Mean squared error of v over the noisy frames. Frame 0 of every scene is given, shown or hidden."""
    level = noise_level(t[:, None, None, None, None], network.config.patch)
    noisy_frame = (kind == NOISY)[:, :, None, None, None]
    given = torch.where(noisy_frame, level.add(images, noise), images)
    target = level.alpha * noise - level.sigma * images
    dtype = fast_dtype("auto", images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        v = network(given, level.log_snr.reshape(-1), kind, geometry, words, n_given=1)
    error = (v - target[:, 1:]).square() * noisy_frame[:, 1:]
    return error.sum() / (noisy_frame[:, 1:].sum() * images[0, 0].numel())
