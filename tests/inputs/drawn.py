"""Pictures that the old rule got wrong, drawn here: shaded balls with known masks."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

SIZE = 200


def ball(
    middle: tuple[float, float] = (100.0, 100.0), radius: float = 48.0, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Mask [s, s] and Lambert shade in [0, 1] of a ball lit from the upper left."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    u, v = (x - middle[0]) / radius, (y - middle[1]) / radius
    inside = u * u + v * v < 1.0
    z = np.sqrt(np.clip(1.0 - u * u - v * v, 0.0, 1.0))
    light = np.array([-0.5, -0.6, 0.62])
    return inside, np.clip(light[0] * u + light[1] * v + light[2] * z, 0.0, 1.0)


def picture(kind: str, seed: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A picture and its mask: white, dark, vignette, shadow, busy."""
    rng = np.random.default_rng(seed)
    inside, shade = ball((104.0, 92.0))
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    if kind == "white":
        ground, color = np.full((SIZE, SIZE, 3), 249.0), (200 + 50 * shade)[..., None] * np.ones(3)
        ground -= 60 * _soft((104, 148), (46, 9), 6)[..., None]
    elif kind == "dark":
        ground, color = np.full((SIZE, SIZE, 3), 9.0), (18 + 28 * shade)[..., None] * np.ones(3)
    elif kind == "vignette":
        fall = 1.0 - 1.1 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
        ground = 205.0 * fall[..., None] * np.array([1.0, 0.98, 0.95])
        color = (70 + 130 * shade)[..., None] * np.array([0.3, 0.5, 1.0])
    elif kind == "shadow":
        ground = np.full((SIZE, SIZE, 3), 236.0) - 150 * _soft((128, 142), (52, 11), 5)[..., None]
        color = (60 + 150 * shade)[..., None] * np.array([0.35, 0.9, 0.4])
    else:
        ground = busy_ground(rng)
        color = (50 + 190 * shade)[..., None] * np.array([1.0, 0.35, 0.25])
    noise = rng.normal(0, 8 if kind == "vignette" else 1, (SIZE, SIZE, 3))
    pixels = np.where(inside[..., None], color, ground) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), inside


def busy_ground(rng: np.random.Generator) -> np.ndarray:
    """Dark and bright green blobs."""
    blobs = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 5)[..., None] * 500
    return np.clip(120 + blobs, 20, 230) * np.array([0.5, 0.9, 0.6])


def _soft(middle: tuple[float, float], radii: tuple[float, float], sigma: float) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    flat = ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2 < 1
    return ndimage.gaussian_filter(flat.astype(float), sigma)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks."""
    return float((a & b).sum() / (a | b).sum())
