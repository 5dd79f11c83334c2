"""Image metrics: pure functions of torch tensors, batched, on any device.

Letters: images are [*b, h, w, c] in [0, 1] (data range 1), masks and depths [*b, h, w]. Every function returns one
value per image, shape [*b]; take the mean of those, never the metric of the mean error (they differ: on the chicken
fixture the mean PSNR is 25.41 dB and the PSNR of the mean squared error 25.08 dB). Composite RGBA before you compare.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SSIM_GAUSSIAN = "gaussian"
SSIM_UNIFORM = "uniform"


def over(rgba: Float[Tensor, "*b h w 4"], background: float | Tensor = 1.0) -> Float[Tensor, "*b h w 3"]:
    """A straight-alpha RGBA picture in front of `background` (white by default)."""
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    return rgb * alpha + (1.0 - alpha) * background


def psnr(image: Float[Tensor, "*b h w c"], target: Float[Tensor, "*b h w c"]) -> Float[Tensor, "*b"]:
    """Peak signal to noise ratio in dB, 10 log10(1 / MSE) over all pixels and channels; inf for equal images."""
    _same_shape(image, target)
    return -10.0 * torch.log10((image - target).square().mean(dim=(-3, -2, -1)))


def foreground_psnr(
    image: Float[Tensor, "*b h w c"], target: Float[Tensor, "*b h w c"], mask: Float[Tensor, "*b h w"]
) -> Float[Tensor, "*b"]:
    """PSNR in dB over the pixels where `mask` (the target's opacity) is above one half; nan where there is none.

    The background agrees by construction and inflates the whole-image figure: this one does not move when the frame
    grows around the object.
    """
    _same_shape(image, target)
    inside = (mask > 0.5).to(image.dtype)
    error = (image - target).square().mean(dim=-1) * inside
    return -10.0 * torch.log10(error.sum(dim=(-2, -1)) / inside.sum(dim=(-2, -1)))


def ssim(
    image: Float[Tensor, "*b h w c"], target: Float[Tensor, "*b h w c"], *, window: str = SSIM_GAUSSIAN
) -> Float[Tensor, "*b"]:
    """Structural similarity (Wang et al. 2004), the mean over channels and over windows that lie inside the image.

    window "gaussian": sigma 1.5, 11 taps, population covariance: torchmetrics' default with data range 1, and
    scikit-image's with gaussian_weights=True, sigma=1.5, use_sample_covariance=False.
    window "uniform": 7 x 7 box, sample covariance: scikit-image's own default. The two differ in the fourth digit.
    The variances are differences of nearly equal numbers: computed in float64 (float32 moves the fourth digit too).
    """
    return ssim_map(image, target, window=window).mean(dim=(-2, -1)).float()


def ssim_map(
    image: Float[Tensor, "*b h w c"], target: Float[Tensor, "*b h w c"], *, window: str = SSIM_GAUSSIAN
) -> Float[Tensor, "*b h2 w2"]:
    """`ssim` of every window that lies inside the image (10 or 6 pixels fewer a side), mean over channels, float64."""
    _same_shape(image, target)
    image, target = image.double(), target.double()
    taps, covariance_scale = _ssim_window(window, image)
    if min(image.shape[-3:-1]) < taps.numel():
        raise ValueError(
            f"image: expected at least {taps.numel()} px each way, got {tuple(image.shape)}; SSIM needs more"
        )
    x, y = (v.movedim(-1, -3).reshape(-1, *v.shape[-3:-1]) for v in (image, target))
    mean_x, mean_y = _blur(x, taps), _blur(y, taps)
    var_x = (_blur(x * x, taps) - mean_x * mean_x) * covariance_scale
    var_y = (_blur(y * y, taps) - mean_y * mean_y) * covariance_scale
    cov = (_blur(x * y, taps) - mean_x * mean_y) * covariance_scale
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return score.reshape(*image.shape[:-3], image.shape[-1], *score.shape[-2:]).mean(dim=-3)


def mask_iou(
    mask: Float[Tensor, "*b h w"], target: Float[Tensor, "*b h w"], *, threshold: float = 0.5
) -> Float[Tensor, "*b"]:
    """Intersection over union of two opacity maps cut at `threshold`; 1 where both are empty."""
    _same_shape(mask, target)
    a, b = mask > threshold, target > threshold
    union = (a | b).sum(dim=(-2, -1))
    shared = (a & b).sum(dim=(-2, -1))
    return torch.where(union > 0, shared / union.clamp_min(1), torch.ones_like(union, dtype=torch.float32))


def depth_error(
    depth: Float[Tensor, "*b h w"], target: Float[Tensor, "*b h w"], valid: Bool[Tensor, "*b h w"]
) -> Float[Tensor, "*b"]:
    """Mean absolute depth difference over the valid pixels (both maps hit something), in the depths' unit.

    No scale or shift is fitted. Pixels that only one map covers belong to the mask IoU. nan where none is valid.
    """
    _same_shape(depth, target)
    error = torch.where(valid, (depth - target).abs(), torch.zeros_like(depth))
    return error.sum(dim=(-2, -1)) / valid.sum(dim=(-2, -1))


def normal_error(
    normal: Float[Tensor, "*b h w 3"], target: Float[Tensor, "*b h w 3"], valid: Bool[Tensor, "*b h w"]
) -> Float[Tensor, "*b"]:
    """Mean angle in degrees between two normal maps over the valid pixels; lengths do not matter."""
    _same_shape(normal, target)
    cross = torch.linalg.cross(normal, target, dim=-1).norm(dim=-1)
    angle = torch.rad2deg(torch.atan2(cross, (normal * target).sum(dim=-1)))
    return torch.where(valid, angle, torch.zeros_like(angle)).sum(dim=(-2, -1)) / valid.sum(dim=(-2, -1))


def _ssim_window(window: str, like: Tensor) -> tuple[Tensor, float]:
    """The taps of one axis, and the factor that turns population into sample covariance."""
    if window == SSIM_GAUSSIAN:
        offsets = torch.arange(-5, 6, dtype=like.dtype, device=like.device)
        taps = torch.exp(-0.5 * (offsets / 1.5) ** 2)
        return taps / taps.sum(), 1.0
    if window == SSIM_UNIFORM:
        return torch.full((7,), 1 / 7, dtype=like.dtype, device=like.device), 49 / 48
    raise ValueError(f"window: expected 'gaussian' or 'uniform', got {window!r}; choose one")


def _blur(x: Float[Tensor, "n h w"], taps: Float[Tensor, "k"]) -> Float[Tensor, "n h2 w2"]:
    """Separable and valid-only; shifted sums take a sixth of conv2d's time in float64 on a CPU."""
    for axis in (-1, -2):
        length = x.shape[axis] - len(taps) + 1
        total = x.narrow(axis, 0, length) * taps[0]
        for offset, tap in enumerate(taps[1:].tolist(), start=1):
            total.add_(x.narrow(axis, offset, length), alpha=tap)
        x = total
    return x


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"image, target: expected one shape, got {tuple(a.shape)} and {tuple(b.shape)}; resize first")
