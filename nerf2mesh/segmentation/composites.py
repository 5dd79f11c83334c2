"""Composites: an object on a background that its light, shadow and color were fitted to, photographed, and its mask."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from nerf2mesh.segmentation.backgrounds import draw_background, floor_wear
from nerf2mesh.segmentation.cutouts import Cutout
from nerf2mesh.segmentation.photograph import framed, photographed
from nerf2mesh.segmentation.textures import blurred, spectral

LEAST_SHARE = 0.008
"""Of the picture: with less of the object in it, a composite is placed again."""


def composite(
    rng: np.random.Generator, size: int, cutouts: Sequence[Cutout], distractors: Sequence[Cutout]
) -> tuple[np.ndarray, np.ndarray]:
    """One of `cutouts`, seldom two or three, on a background: picture [s, s, 3] and mask [s, s], both uint8."""
    picture, simple = draw_background(rng, size, distractors)
    picture = picture * floor_wear(rng, size)
    parts = 1 if rng.random() < 0.88 else int(rng.integers(2, 4))
    mask = np.zeros((size, size), np.float32)
    camouflage = rng.random() < (0.35 if simple else 0.1)
    for k in range(parts):
        rgb, alpha = _placed(rng, size, cutouts[int(rng.integers(len(cutouts)))], k, parts)
        rgb = _weathered(rng, rgb)
        if camouflage:
            rgb = _camouflaged(rng, rgb, alpha, picture)
        picture = _shadowed(rng, picture, alpha)
        cover = blurred(alpha, rng.choice([0.0, 0.0, 0.5, 0.9]))
        picture = picture * (1.0 - cover[..., None]) + rgb * cover[..., None]
        mask = np.maximum(mask, alpha)
    picture = _lit(rng, picture)
    if rng.random() < 0.05:
        picture, mask = framed(rng, picture.astype(np.float32), mask)
    return photographed(rng, picture), (mask * 255.0 + 0.5).astype(np.uint8)


def _placed(rng: np.random.Generator, size: int, cutout: Cutout, k: int, parts: int) -> Cutout:
    """The cutout turned, mirrored, scaled and moved in a frame of `size`; part `k` of `parts` stands beside others."""
    rgb, alpha = cutout
    for _ in range(8):
        matrix = _placement(rng, size, alpha, k, parts)
        placed = _warped(alpha, matrix, size, cv2.BORDER_CONSTANT)
        if placed.mean() > LEAST_SHARE:
            break
    return _warped(rgb, matrix, size, cv2.BORDER_REPLICATE), placed


def _placement(rng: np.random.Generator, size: int, alpha: np.ndarray, k: int, parts: int) -> np.ndarray:
    """Affine map [2, 3] from the cutout's pixels to the frame's."""
    rows, columns = np.flatnonzero(alpha.max(1) > 0.5), np.flatnonzero(alpha.max(0) > 0.5)
    if not len(rows):
        rows = columns = np.arange(alpha.shape[0])
    middle = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2 + 0.5
    longer = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1
    share = rng.beta(2.2, 1.6) * 0.85 + 0.17
    if parts > 1:
        share *= 1.3 / parts
    scale = share * size / longer
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    turn = np.radians(rng.normal(0.0, 12.0) if rng.random() < 0.6 else 0.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = scale * rotation @ mirror
    if rng.random() < 0.3:
        linear = linear @ np.diag(rng.uniform(0.75, 1.3, 2))
    room = max(0.0, 1.0 - share)
    target = 0.5 + rng.normal(0.0, 0.22, 2).clip(-0.48, 0.48) * room
    if rng.random() < 0.15:
        side = rng.integers(2)
        target[side] = rng.choice([0.0, 1.0]) if side == 0 else 1.0
        target[side] += (0.5 - target[side]) * rng.uniform(0.2, 0.9)
    if parts > 1:
        target[0] = (k + 0.5) / parts + rng.normal(0.0, 0.03)
        target[1] = 0.5 + rng.normal(0.0, 0.05)
    return np.concatenate([linear, (target * size - linear @ middle)[:, None]], 1)


def _warped(image: np.ndarray, matrix: np.ndarray, size: int, border: int) -> np.ndarray:
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    image = blurred(image, 0.5 / shrink if shrink < 0.8 else 0.0)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _weathered(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Uneven paint and a highlight or dark side across the object, since renderings are too clean."""
    size = rgb.shape[0]
    if rng.random() < 0.4:
        grain = spectral(rng, size, rng.uniform(0.4, 1.5)) * np.float32(rng.uniform(0.02, 0.2))
        rgb = rgb * (1.0 + grain[..., None])
    if rng.random() < 0.15:
        share = (spectral(rng, size, 1.6) > rng.uniform(0.0, 1.5)).astype(np.float32)[..., None]
        rgb = rgb * (1.0 - share) + rng.random(3).astype(np.float32) * share
    return rgb.clip(0.0, 1.0)


def _camouflaged(rng: np.random.Generator, rgb: np.ndarray, alpha: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The object in the ground's own color: its shading stays, weakened, and a small difference to the ground."""
    inside = alpha > 0.5
    if not inside.any():
        return rgb
    grey = rgb.mean(-1, keepdims=True) if rng.random() < 0.6 else rgb
    contrast = rng.uniform(0.25, 0.9)
    around = ground[inside].mean(0)
    level = around * rng.uniform(0.7, 1.25) + rng.normal(0.0, 0.05)
    if rng.random() < 0.5:
        brightest = np.quantile(grey[inside], 0.95)
        return (level * (1.0 + contrast * (grey / max(float(brightest), 0.05) - 1.0))).clip(0.0, 1.0).astype(np.float32)
    return (level + contrast * (grey - grey[inside].mean(0))).clip(0.0, 1.0).astype(np.float32)


def _shadowed(rng: np.random.Generator, ground: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The ground under a contact shadow, a cast shadow, both, or with a faint reflection."""
    size = ground.shape[0]
    rows, columns = np.flatnonzero(alpha.max(1) > 0.5), np.flatnonzero(alpha.max(0) > 0.5)
    if not len(rows) or rng.random() < 0.3:
        return ground
    bottom, left, right = int(rows[-1]), int(columns[0]), int(columns[-1])
    shade = np.zeros((size, size), np.float32)
    if rng.random() < 0.7:
        width = (right - left) * rng.uniform(0.3, 0.75)
        flat = width * rng.uniform(0.08, 0.4)
        at = ((left + right) / 2 + rng.normal(0.0, 0.12) * width, bottom + rng.uniform(-0.5, 0.7) * flat)
        blob = np.zeros((size, size), np.float32)
        cv2.ellipse(blob, (at, (2 * width, 2 * flat), 0.0), 1.0, -1, cv2.LINE_AA)
        shade = np.maximum(shade, rng.uniform(0.2, 0.9) * blurred(blob, flat * rng.uniform(0.15, 0.9)))
    if rng.random() < 0.5:
        lean, flatten = rng.normal(0.0, 0.9), rng.uniform(0.1, 0.8) * rng.choice([1.0, 1.0, -1.0])
        matrix = np.array([[1.0, lean, -lean * bottom], [0.0, flatten, bottom * (1.0 - flatten)]])
        cast = blurred(cv2.warpAffine(alpha, matrix, (size, size)), rng.uniform(0.3, 5.0))
        shade = np.maximum(shade, rng.uniform(0.15, 0.75) * cast)
    elif rng.random() < 0.3:
        matrix = np.array([[1.0, 0.0, rng.normal(0.0, 0.06) * size], [0.0, 1.0, rng.normal(0.0, 0.06) * size]])
        behind = blurred(cv2.warpAffine(alpha, matrix, (size, size)), rng.uniform(2.0, 7.0))
        shade = np.maximum(shade, rng.uniform(0.1, 0.5) * behind)
    tint = 1.0 - shade[..., None] * (1.0 - rng.uniform(0.0, 0.25, 3).astype(np.float32))
    return (ground * tint).astype(np.float32)


def _lit(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A light that falls unevenly over the whole picture, the object included."""
    if rng.random() < 0.7:
        return picture
    return picture * (1.0 + rng.uniform(0.03, 0.2) * spectral(rng, picture.shape[0], 2.2)[..., None])
