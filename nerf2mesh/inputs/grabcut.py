"""GrabCut (Rother et al. 2004): color models of object and background, from a start in the middle or from a map.

Everything here works on pictures uint8 [h, w, 3] of moderate size and returns masks [h, w].
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerf2mesh.inputs.masks import border, tidy

ITERATIONS = 5
SURE, MAYBE = 0.9, 0.1
"""Probabilities above and below which a pixel's side is settled before the color models are fitted."""


def centered(rgb: UInt8[np.ndarray, "h w 3"], inside: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """The border is background, an inset ellipse of the picture, or of the box `inside` (top, bottom, left, right),
    starts as the object."""
    import cv2

    height, width = rgb.shape[:2]
    top, bottom, left, right = inside or (0, height, 0, width)
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x + 0.5 - left) / (right - left) * 2 - 1, (y + 0.5 - top) / (bottom - top) * 2 - 1)
    state = np.where(radius < (0.85 if inside is None else 1.0), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    if inside is None:
        state[border(height, width)] = cv2.GC_BGD
    else:
        outside = np.ones((height, width), bool)
        outside[top:bottom, left:right] = False
        state[outside] = cv2.GC_BGD
    return without_glints(tidy(_cut(rgb, state)))


def seeded(
    rgb: UInt8[np.ndarray, "h w 3"],
    probability: Float[np.ndarray, "h w"],
    sure: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]] | None = None,
) -> Bool[np.ndarray, "h w"]:
    """From a map of probabilities [h, w]; `sure`: pixels known to be inside and outside."""
    import cv2

    height, width = probability.shape
    reach = 2 * max(1, round(0.006 * max(height, width))) + 1
    kernel = np.ones((reach, reach), np.uint8)
    certain = cv2.erode((probability > SURE).astype(np.uint8), kernel).astype(bool)
    possible = cv2.dilate((probability > MAYBE).astype(np.uint8), kernel).astype(bool)
    state = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[certain] = cv2.GC_FGD
    state[~possible] = cv2.GC_BGD
    if sure is not None:
        state[sure[0]], state[sure[1]] = cv2.GC_FGD, cv2.GC_BGD
    is_object = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    if is_object.sum() < 20 or (~is_object).sum() < 20:
        return is_object
    return _cut(rgb, state)


def without_glints(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Small holes closed: glints and dark spots of the object, not the hole of a ring."""
    from scipy import ndimage

    holes = ndimage.binary_fill_holes(mask) & ~mask
    return mask | (holes & ~tidy(holes, 0.1 * mask.sum()))


def _cut(rgb: np.ndarray, state: np.ndarray) -> np.ndarray:
    import cv2

    cv2.setRNGSeed(0)  # its k-means draws from a process-wide generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    unused = (0, 0, 0, 0)  # the rectangle: the mask says where to begin
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    cv2.grabCut(bgr, state, unused, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
