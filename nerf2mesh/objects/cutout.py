"""Pictures as people cut them out: hard or soft edges, too wide or too narrow, with some of the backdrop in them."""

from __future__ import annotations

import numpy as np


def cut_out(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Premultiplied pictures [V, h, w, 4] in [0, 1] photographed before one backdrop and cut out again.

    The edge is hard (alpha is 0 or 1), soft (blurred over about a pixel), wide or narrow (half a pixel to one pixel
    beyond or inside the true one). What alpha the true edge leaves to the backdrop shows in the color.
    """
    backdrop = rng.random(3).astype(np.float32) * np.float32(rng.random() < 0.7)
    kind, amount = rng.integers(4), np.float32(rng.uniform(0.5, 1.0))
    alpha = rgba[..., 3]
    photograph = rgba[..., :3] + (1.0 - alpha[..., None]) * backdrop
    if kind == 0:
        cut = (alpha > 0.5).astype(np.float32)
    elif kind == 1:
        cut = alpha + amount * (_blurred(alpha) - alpha)
    else:
        grown = _neighbors(alpha).max(0) if kind == 2 else _neighbors(alpha).min(0)
        cut = alpha + amount * (grown - alpha)
    return np.concatenate([photograph * cut[..., None], cut[..., None]], axis=-1)


def _neighbors(images: np.ndarray) -> np.ndarray:
    """The images [V, h, w] moved by at most one pixel along each axis, [5, V, h, w], the border repeated."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = images.shape[1:]
    steps = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return np.stack([padded[:, y : y + height, x : x + width] for y, x in steps])


def _blurred(images: np.ndarray) -> np.ndarray:
    """Images [V, h, w] under a plus-shaped kernel: 1/2 in the middle, 1/8 at each of four sides."""
    middle, *sides = _neighbors(images)
    return 0.5 * middle + 0.125 * sum(sides)
