"""Backgrounds [s, s, 3]: studio grounds, photographic noise and clutter, textures, rooms with a table or a floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from nerf2mesh.segmentation.cutouts import Cutout
from nerf2mesh.segmentation.textures import blurred, color, colored_noise, dead_leaves, gradient, pattern, spectral

Ground = Callable[[np.random.Generator, int], np.ndarray]


def plain(rng: np.random.Generator, size: int) -> np.ndarray:
    """One color."""
    field = np.empty((size, size, 3), np.float32)
    field[:] = color(rng)
    return field


def cluttered(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dead leaves or photographic noise, in and out of focus, at times mixed."""
    first = dead_leaves(rng, size) if rng.random() < 0.7 else colored_noise(rng, size)
    if rng.random() < 0.4:
        first = 0.5 * first + 0.5 * (dead_leaves(rng, size) if rng.random() < 0.5 else colored_noise(rng, size))
    return blurred(first, rng.choice([0.0, 0.7, 1.5, 3.0, 6.0]))


KINDS: dict[str, tuple[Ground, float]] = {
    "plain": (plain, 0.17),
    "gradient": (gradient, 0.19),
    "noise": (colored_noise, 0.12),
    "clutter": (cluttered, 0.24),
    "pattern": (pattern, 0.1),
}
"""Ground and how often it is drawn; the rest are rooms."""


def draw_background(rng: np.random.Generator, size: int, distractors: Sequence[Cutout]) -> tuple[np.ndarray, bool]:
    """A background, and whether it is simple (plain or a gradient), so that no clutter was put on it."""
    choice, total = rng.random(), 0.0
    name = "room"
    for kind, (_, share) in KINDS.items():
        total += share
        if choice < total:
            name = kind
            break
    simple = name in ("plain", "gradient")
    ground = room(rng, size) if name == "room" else KINDS[name][0](rng, size)
    if distractors and not simple and rng.random() < 0.45:
        ground = with_distractors(rng, ground, distractors)
    if rng.random() < 0.3:
        ground = vignette(rng, ground)
    return ground.clip(0.0, 1.0).astype(np.float32), simple


def any_ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """One of KINDS, all alike."""
    grounds = [ground for ground, _ in KINDS.values()]
    return grounds[int(rng.integers(len(grounds)))](rng, size)


def room(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall above a floor or table top, which is seen in perspective."""
    wall = blurred(any_ground(rng, size).astype(np.float32), rng.choice([0.0, 1.5, 4.0]))
    top = in_perspective(rng, any_ground(rng, size).astype(np.float32))
    horizon = rng.uniform(0.2, 0.8) + rng.normal(0.0, 0.08) * (np.arange(size, dtype=np.float32) / size - 0.5)
    depth = np.arange(size, dtype=np.float32)[:, None] / size - horizon[None]
    share = np.clip(depth / rng.uniform(0.01, 0.08) + 0.5, 0.0, 1.0)[..., None]
    shade = 1.0 - rng.uniform(0.0, 0.3) * np.exp(-np.abs(depth) / 0.06)[..., None]
    return (wall * (1 - share) + top * share) * shade


def in_perspective(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """A texture laid flat on the ground: its far edge is narrowed."""
    size = texture.shape[0]
    narrow = rng.uniform(0.5, 2.5)
    far = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    near = far.copy()
    near[2, 0], near[3, 0] = size * (1 + narrow), -size * narrow
    matrix = cv2.getPerspectiveTransform(far, near)
    return cv2.warpPerspective(texture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def with_distractors(rng: np.random.Generator, ground: np.ndarray, cutouts: Sequence[Cutout]) -> np.ndarray:
    """Other objects behind: at the frame's edges, or small, or out of focus."""
    size, ground = ground.shape[0], ground.astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        rgb, alpha = cutouts[int(rng.integers(len(cutouts)))]
        scale = size / alpha.shape[0] * rng.uniform(0.15, 0.8)
        angle = rng.uniform(0, 2 * np.pi)
        edge = np.array([np.cos(angle), np.sin(angle)])
        at = size * (0.5 + rng.uniform(0.5, 0.62) * edge / np.abs(edge).max())
        corner = at - scale * alpha.shape[0] / 2
        matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        cover = cv2.warpAffine(alpha, matrix, (size, size), flags=cv2.INTER_LINEAR)
        paint = cv2.warpAffine(rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        sigma = rng.choice([0.0, 1.0, 2.5])
        cover = blurred(cover, sigma)[..., None]
        ground = ground * (1 - cover) + blurred(paint, sigma) * cover
    return blurred(ground, rng.choice([0.0, 0.0, 1.0, 2.0, 4.0]))


def vignette(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Darker, or now and then brighter, towards the corners."""
    size = ground.shape[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    fall = np.hypot(x, y)[..., None] ** 2 * rng.uniform(0.3, 1.7)
    return ground * (1.0 - fall) if rng.random() < 0.85 else ground + 0.5 * fall


def floor_wear(rng: np.random.Generator, size: int) -> np.ndarray:
    """A faint unevenness [s, s, 1] around 1 that all grounds get."""
    return 1.0 + np.float32(rng.uniform(0.0, 0.05)) * spectral(rng, size, 1.2)[..., None]
