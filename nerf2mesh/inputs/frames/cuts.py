"""Finds a cut in a clip: what is shown from one frame to the next is another thing.

Letters
    h_k: the histogram of the object's colors in frame k, of sum 1, over 6^3 cells, blurred by one cell; d_k = 1/2 |h_k
    - h_{k-1}|_1, the share of the object that has changed its color (Swain and Ballard 1991, "Color indexing"). Motion
    and turning change it slowly. o_k: 1 - IoU of both masks, moved onto each other's middle. A cut is where d_k or o_k
    is large, and far larger than between the other frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

CELLS = 6
COLORS_CHANGE, SHAPE_CHANGES = 0.4, 0.75
"""From here on d and o are large."""
TIMES_USUAL = 3.0
"""And they are so many times the median of all frames."""
SIDE_PX = 64


def cut_in(frames: Sequence[np.ndarray]) -> int | None:
    """The index of the first frame after a cut, None where there is none; frames: straight RGBA [h, w, 4] in [0, 1]."""
    hues = [_histogram(frame) for frame in frames]
    shapes = [_shape(frame[..., 3]) for frame in frames]
    colors = np.array([0.5 * np.abs(b - a).sum() for a, b in pairwise(hues)])
    others = np.array([1.0 - (a & b).sum() / max(int((a | b).sum()), 1) for a, b in pairwise(shapes)])
    cut = _sudden(colors, COLORS_CHANGE) | _sudden(others, SHAPE_CHANGES)
    return int(np.flatnonzero(cut)[0]) + 1 if cut.any() else None


def _sudden(change: np.ndarray, least: float) -> np.ndarray:
    return (change > least) & (change > TIMES_USUAL * np.median(change) if len(change) > 2 else change > least)


def _histogram(frame: np.ndarray) -> np.ndarray:
    solid = frame[..., 3] > 0.5
    cell = np.minimum((frame[solid][:, :3] * CELLS).astype(int), CELLS - 1)
    counts = np.zeros((CELLS,) * 3)
    np.add.at(counts, tuple(cell.T), 1.0)
    return gaussian_filter(counts / max(counts.sum(), 1.0), 0.7, mode="nearest")


def _shape(alpha: np.ndarray) -> np.ndarray:
    """bool [SIDE_PX, SIDE_PX]: the mask with its middle in the middle; a frame covers half of the side."""
    rows, columns = np.nonzero(alpha > 0.5)
    scale = 0.5 * SIDE_PX / max(alpha.shape)
    found = np.zeros((SIDE_PX, SIDE_PX), bool)
    if len(rows):
        place = [np.round((x - x.mean()) * scale + SIDE_PX / 2).astype(int) for x in (rows, columns)]
        found[tuple(np.clip(x, 0, SIDE_PX - 1) for x in place)] = True
    return found
