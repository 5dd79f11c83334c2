"""Masks [h, w] and the mattes made of them: parts, edges, and colors cleaned of the background at the edge."""

from __future__ import annotations

from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int

EDGE_PX = 2
"""Width of the band at the mask's edge whose pixels are taken for mixtures of object and background."""


def parts(mask: Bool[np.ndarray, "h w"], structure: np.ndarray | None = None) -> tuple[Int[np.ndarray, "h w"], int]:
    """The number of each pixel's connected part, from 1 (0: outside of the mask), and how many parts there are."""
    from scipy import ndimage

    return cast("tuple[np.ndarray, int]", ndimage.label(mask, structure))  # without `output` always a pair


def tidy(mask: Bool[np.ndarray, "h w"], min_area: float | None = None) -> Bool[np.ndarray, "h w"]:
    """Drop specks: components of fewer pixels than `min_area`, by default 3 percent of the largest one."""
    from scipy import ndimage

    labels, count = parts(mask)
    if not count:
        return mask
    area = ndimage.sum_labels(mask, labels, np.arange(count + 1))
    area[0] = 0
    return (area >= (0.03 * area.max() if min_area is None else min_area))[labels] & mask


def matte(rgb: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 4"]:
    """Alpha and clean colors at the mask's edge.

    In a band of EDGE_PX on both sides of the edge the pixel is c = a F + (1 - a) B with F and B the nearest sure object
    and background colors; a is the least-squares solution, and F replaces c.
    """
    sure_object, sure_background = depth(mask) > EDGE_PX, depth(~mask) > EDGE_PX
    alpha = mask.astype(np.float32)
    if not sure_object.any() or not sure_background.any():
        return np.concatenate([rgb, alpha[..., None]], -1)
    band = ~(sure_object | sure_background)
    front, back = rgb[nearest(sure_object)], rgb[nearest(sure_background)]
    span = front - back
    contrast = (span**2).sum(-1)
    mixed = np.clip(((rgb - back) * span).sum(-1) / np.maximum(contrast, 1e-8), 0.0, 1.0)
    solvable = band & (contrast > 0.02)  # about 0.08 per channel: below that the noise would decide
    alpha[solvable] = mixed[solvable]
    color = np.where(band[..., None], front, rgb)
    return np.concatenate([color, alpha[..., None]], -1).astype(np.float32)


def depth(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance in pixels from each pixel of the mask to the nearest one outside of it."""
    from scipy import ndimage

    return cast("np.ndarray", ndimage.distance_transform_edt(mask))  # None only with arrays to write into


def nearest(mask: Bool[np.ndarray, "h w"]) -> tuple[np.ndarray, ...]:
    """Row and column, each [h, w], of the mask's pixel nearest to each pixel."""
    from scipy import ndimage

    indices = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return tuple(cast("np.ndarray", indices))


def border(height: int, width: int) -> Bool[np.ndarray, "h w"]:
    thickness = max(1, min(height, width) // 100)
    frame = np.ones((height, width), bool)
    frame[thickness:-thickness, thickness:-thickness] = False
    return frame
