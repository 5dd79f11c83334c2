"""A plain background: one color, or one that changes linearly over the picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from nerf2mesh.inputs.masks import border, parts, tidy


def background_plane(rgb: Float[np.ndarray, "h w 3"]) -> tuple[Float[np.ndarray, "h w"], float]:
    """Distance in CIE Lab to the picture's background, taken as a color that is linear in x and y.

    The plane is fitted to a thin frame along the border, in three rounds that leave outliers (an object touching the
    border) out. Returns the distances [h, w] and the share of the border that fits within 9 units.
    """
    import cv2

    lab = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2Lab)
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    terms = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], axis=-1)
    frame = border(height, width)
    samples, colors = terms[frame], lab[frame]
    keep = np.linalg.norm(colors - np.median(colors, axis=0), axis=-1) < 25.0
    for _ in range(3):
        if keep.sum() < 12:
            break
        plane = np.linalg.lstsq(samples[keep], colors[keep], rcond=None)[0]
        error = np.linalg.norm(samples @ plane - colors, axis=-1)
        keep = error < 9.0
    else:
        return np.linalg.norm(terms @ plane - lab, axis=-1), float(keep.mean())
    return np.full((height, width), np.inf, np.float32), 0.0


def plain_mask(distance: Float[np.ndarray, "h w"], tolerance: float, *, holes: bool = True) -> Bool[np.ndarray, "h w"]:
    """What is left when the plain background is flooded from the border; `distance` is that of `background_plane`.

    holes: large enclosed regions of the background's color are background too. False for strokes on paper, which
    enclose the object.
    """
    return tidy(~_flooded(distance, tolerance, holes))


def _flooded(distance: Float[np.ndarray, "h w"], tolerance: float, holes: bool) -> Bool[np.ndarray, "h w"]:
    """Background-like pixels connected to the border, and large enclosed regions of nearly the exact background."""
    from scipy import ndimage

    labels, count = parts(distance < tolerance)
    touching = np.unique(labels[border(*labels.shape)])
    is_background = np.zeros(count + 1, bool)
    is_background[touching[touching > 0]] = True
    if holes and count and is_background.any():
        noise = float(np.median(distance[is_background[labels]]))
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(np.ones_like(distance), labels, index)
        typical = ndimage.median(distance, labels, index)
        # The hole of a handle has the background's own color; a white eye before white is small.
        is_background[1:] |= (area > 0.004 * labels.size) & (typical <= max(1.5 * noise, 1.0))
    return is_background[labels]
