"""Image metrics of a part of the surface: pixels that the given view shows, and the rest; colors in CIELAB.

Over all pixels of a region in all compared views together: one figure an object, whatever a single view has of it.
Letters: n views, images [n, h, w, 3] sRGB in [0, 1] in front of the protocol's background, masks [n, h, w].
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.images import depth_error, normal_error, ssim_map
from nerf2mesh.mesh.color_space import TO_XYZ

_KNEE = 6.0 / 29.0

Images = Float[Tensor, "n h w 3"]
Mask = Bool[Tensor, "n h w"]
Shape = tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w 3"]]
"""Depths and normals."""


def region_scores(image: Images, target: Images, seen: Mask, unseen: Mask, *, best_psnr: float) -> dict[str, float]:
    """Color error over both regions and over each; PSNR, SSIM of each; lightness and chroma error of the unseen one.

    A region without pixels has no figures. Equal pictures score `best_psnr`.
    """
    lab, true_lab = cielab(image), cielab(target)
    scores, structure = {}, _padded(ssim_map(image, target))
    both, apart = seen | unseen, (lab - true_lab).norm(dim=-1)
    if both.any():
        scores["color_error"] = float(apart[both].mean())
    for name, mask in (("seen", seen), ("unseen", unseen)):
        if mask.any():
            scores[f"color_error_{name}"] = float(apart[mask].mean())
            error = (image - target).square().mean(dim=-1)[mask].double().mean()
            scores[f"psnr_{name}"] = min(best_psnr, float(-10.0 * torch.log10(error)))
        inner = mask & ~structure.isnan()
        if inner.any():
            scores[f"ssim_{name}"] = float(structure[inner].mean())
    if unseen.any():
        hidden = (lab - true_lab)[unseen]
        scores["lightness_error_unseen"] = float(hidden[:, 0].abs().mean())
        scores["chroma_error_unseen"] = float(hidden[:, 1:].norm(dim=-1).mean())
    return scores


def region_shape_scores(
    shape: Shape, target: Shape, both: Mask, seen: Mask, unseen: Mask, *, worst_deg: float, worst_depth: float
) -> dict[str, float]:
    """Mean angle (degrees) between normals and mean distance in depth over each region, where `both` cover a pixel.

    shape, target: depths [n, h, w] in world units and normals [n, h, w, 3]. A region of the truth that the result does
    not cover anywhere counts as the worst values; a region without pixels has none.
    """
    scores = {}
    depth, normal, true_depth, true_normal = (one.flatten(0, 1).double() for one in (*shape, *target))  # one tall map
    for name, mask in (("seen", seen), ("unseen", unseen)):
        if mask.any():
            shared = (mask & both).flatten(0, 1)
            scores[f"normal_error_deg_{name}"] = float(normal_error(normal, true_normal, shared).nan_to_num(worst_deg))
            scores[f"depth_error_{name}"] = float(depth_error(depth, true_depth, shared).nan_to_num(worst_depth))
    return scores


def cielab(srgb: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """CIE 1976 L*a*b* of sRGB colors, white D65: L* in [0, 100], the distance of two colors is Delta E*ab."""
    srgb = srgb.double()
    linear = torch.where(srgb > 0.04045, ((srgb + 0.055) / 1.055).clamp_min(0) ** 2.4, srgb / 12.92)
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    ratio = linear @ matrix.T / matrix.sum(dim=1)
    root = torch.where(ratio > _KNEE**3, ratio.clamp_min(0) ** (1 / 3), ratio / (3 * _KNEE**2) + 4.0 / 29.0)
    x, y, z = root.unbind(-1)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=-1)


def _padded(values: Float[Tensor, "n h w"]) -> Float[Tensor, "n h2 w2"]:
    """A map of the 11 x 11 windows that lie inside the image, put at their centers; nan around it."""
    return torch.nn.functional.pad(values, (5, 5, 5, 5), value=torch.nan)
