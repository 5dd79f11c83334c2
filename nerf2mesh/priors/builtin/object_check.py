"""How well a network denoises held-out objects: the loss at fixed noise levels, and its one-step guess of them."""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.distill.noise import to_x0
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, MultiViewDenoiser, decode_rgba, encode_rgba, noise_level
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.utils.precision import fast_dtype

CHECK_TIMES = (0.3, 0.6, 0.9)
"""The last one's clean guess is measured as a picture."""
_AT_ONCE = 8


@torch.no_grad()
def check_objects(network: MultiViewDenoiser, batch: Batch, n_frames: int = 4) -> dict[str, float]:
    """Of one given picture (view 0 as it was drawn) and `n_frames` - 1 noisy views, the same noise every time.

    objects_v_loss_t*: mean squared error of v; objects_iou_t0.9: of the masks (opacity over 1/2); objects_psnr_t0.9:
    in dB, on white; both are means over views of the guess that one step from t = 0.9 makes.
    """
    generator = torch.Generator().manual_seed(3)
    n = len(batch["rgba"])
    images = encode_rgba(batch["rgba"][:, :n_frames].permute(0, 1, 4, 2, 3).float() / 255.0)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    geometry = FrameGeometry(
        batch["pose"][:, :n_frames], batch["focal"][:, :n_frames] / images.shape[-1], batch["orthographic"]
    )
    found: dict[str, list[Tensor]] = {}
    for first in range(0, n, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        for t in CHECK_TIMES:
            v, guess, target = _denoised(network, images[rows], noise[rows], geometry[rows], t)
            found.setdefault(f"objects_v_loss_t{t}", []).append((v - target).square().mean((1, 2, 3, 4)))
        iou, psnr = picture_scores(decode_rgba(guess), decode_rgba(images[rows, 1:]))
        found.setdefault(f"objects_iou_t{t}", []).append(iou.mean(1))
        found.setdefault(f"objects_psnr_t{t}", []).append(psnr.mean(1))
    return {name: float(torch.cat(values).mean()) for name, values in found.items()}


def _denoised(
    network: MultiViewDenoiser, images: Tensor, noise: Tensor, geometry: FrameGeometry, t: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the noisy frames: predicted v, the clean images it implies, and the true v; each [B, V - 1, 4, s, s]."""
    time = torch.full((len(images), 1, 1, 1, 1), t, device=images.device)
    level = noise_level(time, network.config.patch)
    kind = torch.full(images.shape[:2], NOISY, device=images.device)
    kind[:, 0] = CLEAN
    noisy = torch.where((kind == NOISY)[:, :, None, None, None], level.add(images, noise), images)
    dtype = fast_dtype("auto", images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        v = network(noisy, level.log_snr.reshape(-1), kind, geometry, n_given=1).float()
    target = level.alpha * noise - level.sigma * images
    return v, to_x0("v", v, noisy[:, 1:], level), target[:, 1:]


def picture_scores(guess: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """IoU of the masks and PSNR (dB) on white, [B, V], of premultiplied pictures [B, V, 4, s, s]."""
    ours, theirs = guess[:, :, 3] > 0.5, truth[:, :, 3] > 0.5
    union = (ours | theirs).sum((-2, -1)).clamp_min(1)
    iou = (ours & theirs).sum((-2, -1)) / union
    on_white = [(x[:, :, :3] + 1.0 - x[:, :, 3:]).clamp(0.0, 1.0) for x in (guess, truth)]
    error = (on_white[0] - on_white[1]).square().mean((-3, -2, -1)).clamp_min(1e-10)
    return iou, -10.0 * error.log10()
