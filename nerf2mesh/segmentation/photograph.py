"""What a camera and a file do to a picture [s, s, 3] in [0, 1]: exposure, color, blur, noise, JPEG, bars, frames."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from nerf2mesh.segmentation.textures import blurred, color


def photographed(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture as a camera gives it; uint8 [s, s, 3]."""
    picture = _exposed(rng, picture)
    if rng.random() < 0.35:
        picture = blurred(picture, rng.uniform(0.4, 1.6))
    if rng.random() < 0.6:
        picture = _noisy(rng, picture)
    rounded = (picture.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    if rng.random() < 0.5:
        rounded = _compressed(rounded, int(rng.integers(30, 96)))
    return rounded


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """uint8 [s, s, 3] as a JPEG file of that quality holds it."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def _exposed(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    if rng.random() < 0.3:
        picture = picture * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.5:
        contrast, brightness = rng.uniform(0.6, 1.25), rng.normal(0.0, 0.07)
        picture = (picture - 0.5) * np.float32(contrast) + np.float32(0.5 + brightness)
    if rng.random() < 0.3:
        picture = picture.clip(0.0, 1.0) ** np.float32(np.exp(rng.normal(0.0, 0.35)))
    if rng.random() < 0.08:
        grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
        picture = np.repeat(grey[..., None], 3, axis=-1)
    return picture.astype(np.float32)


def _noisy(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Sensor noise: a constant part, and one that grows with the root of the brightness; at times of large grain."""
    strength, grain = min(rng.exponential(0.018), 0.07), rng.choice([0.0, 0.0, 0.7])
    shape = picture.shape if rng.random() < 0.6 else (*picture.shape[:2], 1)
    noise = rng.standard_normal(shape, np.float32) * (0.5 + 0.7 * np.sqrt(picture.clip(0.0, 1.0)))
    return picture + np.float32(strength * (1.0 + 2.0 * grain)) * blurred(noise.astype(np.float32), grain)


def framed(rng: np.random.Generator, picture: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture with letterbox bars, or as a card on a plain ground; the mask moves with it."""
    size = picture.shape[0]
    outer = np.empty_like(picture)
    outer[:] = color(rng) if rng.random() < 0.4 else np.float32(rng.integers(2))
    if rng.random() < 0.5:
        bar = int(rng.uniform(0.05, 0.2) * size)
        inside, whole = slice(bar, size - bar), slice(None)
        window = (inside, whole) if rng.random() < 0.6 else (whole, inside)
        outer[window] = picture[window]
        inner = np.zeros_like(mask)
        inner[window] = mask[window]
        return outer, inner
    side = int(rng.uniform(0.7, 0.95) * size)
    top, left = rng.integers(0, size - side + 1, 2)
    inner = np.zeros_like(mask)
    window = slice(top, top + side), slice(left, left + side)
    outer[window] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    inner[window] = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return outer, inner
