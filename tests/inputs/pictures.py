"""Small pictures with a known mask."""

from __future__ import annotations

import numpy as np
from PIL import Image


def disc(
    size: int = 96, radius: float = 30.0, centre: tuple[float, float] | None = None, supersample: int = 8
) -> np.ndarray:
    """Anti-aliased coverage [size, size] in [0, 1] of a disc, by brute-force supersampling."""
    cx, cy = centre or (size / 2, size / 2)
    axis = (np.arange(size * supersample) + 0.5) / supersample
    inside = ((axis[None, :] - cx) ** 2 + (axis[:, None] - cy) ** 2 < radius**2).astype(np.float64)
    return inside.reshape(size, supersample, size, supersample).mean((1, 3))


def disc_on(
    background: np.ndarray | tuple[int, int, int], colour: tuple[int, int, int], **disc_args: object
) -> Image.Image:
    """The disc composited over a plain colour or a picture."""
    coverage = disc(**disc_args)[..., None]
    over = np.asarray(background, np.float64) * np.ones((*coverage.shape[:2], 3))
    return Image.fromarray(np.round(coverage * np.array(colour) + (1 - coverage) * over).astype(np.uint8))


def disc_rgba(colour: tuple[int, int, int], hidden: tuple[int, int, int], **disc_args: object) -> Image.Image:
    """The disc as straight RGBA; fully transparent pixels carry the colour `hidden`."""
    coverage = disc(**disc_args)
    rgb = np.where(coverage[..., None] > 0, np.array(colour), np.array(hidden))
    rgba = np.concatenate([rgb, np.round(coverage * 255)[..., None]], -1).astype(np.uint8)
    return Image.fromarray(rgba, "RGBA")
