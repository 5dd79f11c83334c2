"""The loss of the built-in denoiser, for its training and for the adapters that are fitted to it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
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
    *,
    snr_limit: float = 0.0,
    opacity_weight: float = 0.0,
) -> Tensor:
    """Mean squared error of v over the noisy frames. Frame 0 of every scene is given, shown or hidden.

    snr_limit: if above 0, scenes are weighted by min(SNR, limit) / (SNR + 1) (min-SNR for velocities, Hang et al. 2023,
    arXiv 2303.09556, section 3.4; SNR as the network sees it, of a patch's mean). opacity_weight: of the mean squared
    error between the noisy frames' alpha and what they see of the volume's own opacity.
    """
    level = noise_level(t[:, None, None, None, None], network.config.patch)
    noisy_frame = (kind == NOISY)[:, :, None, None, None]
    given = torch.where(noisy_frame, level.add(images, noise), images)
    target = level.alpha * noise - level.sigma * images
    dtype = fast_dtype("auto", images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        log_snr = level.log_snr.reshape(-1)
        if opacity_weight:
            v, opacity = network(given, log_snr, kind, geometry, words, n_given=1, with_opacity=True)
        else:
            v, opacity = network(given, log_snr, kind, geometry, words, n_given=1), None
    error = (v - target[:, 1:]).square() * noisy_frame[:, 1:]
    if snr_limit:
        snr = network.config.patch**2 * log_snr.exp()
        error = error * (snr.clamp_max(snr_limit) / (snr + 1.0))[:, None, None, None, None]
    loss = error.sum() / (noisy_frame[:, 1:].sum() * images[0, 0].numel())
    if opacity is None:
        return loss
    return loss + opacity_weight * opacity_error(opacity, images[:, 1:], noisy_frame[:, 1:, 0, 0, 0])


def opacity_error(opacity: Tensor, images: Tensor, where: Tensor) -> Tensor:
    """Mean squared error of opacities [B, V, h, h] against the alpha of images [B, V, 4, s, s] (means of pixels),
    over the frames `where` [B, V]."""
    alpha = 0.5 * (F.avg_pool2d(images[:, :, 3], images.shape[-1] // opacity.shape[-1]) + 1.0)
    return ((opacity - alpha).square().mean((2, 3)) * where).sum() / where.sum().clamp_min(1)
