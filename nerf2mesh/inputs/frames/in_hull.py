"""How large a picture's object is, and where it lies, beside drawings of it from other sides.

The drawings' visual hull (Laurentini 1994, "The visual hull concept for silhouette-based image understanding") holds
the object, so that its silhouette from where the picture was taken is nearly the picture's. The window is sought in
which both agree best, over its place and, where no drawing shows the width, its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.inputs.framing import Window, resample
from nerf2mesh.types import Camera, View

CELLS = 128
"""Of the hull, along a side of the box."""
SIDE_PX = 160
COARSE, FINE = 0.08, 0.001
"""First and last step of the search, as shares of the window's side."""
LEAST = 0.4
"""IoU below which the drawings say nothing about the picture."""


def window_in_hull(
    alpha: np.ndarray, drawings: Sequence[View], camera: Camera, start: Window, *, resized: bool
) -> Window | None:
    """The window of a mask [h, w] in which it lies on the hull of `drawings`, from `start` on; None where it does not.

    camera: of the window, square, perspective. resized: whether the window's side is sought too, beside its place.
    """
    wanted = hull_silhouette(drawings, camera.resized(SIDE_PX, SIDE_PX))
    if not wanted.any():
        return None
    n_wanted = float(wanted.sum())
    picture = np.repeat(alpha[..., None].astype(np.float32), 4, axis=2)

    def agrees(at: np.ndarray) -> float:
        shown = resample(picture, _moved(start, at), SIDE_PX)[..., 3]
        both = float(shown[wanted].sum())
        return both / max(float(shown.sum()) + n_wanted - both, 1.0)

    best, step = np.zeros(3), COARSE
    value = agrees(best)
    axes = np.eye(3)[: 3 if resized else 2]
    moves = np.concatenate([axes, -axes])
    while step >= FINE:
        tried = [(agrees(best + step * move), k) for k, move in enumerate(moves)]
        most, k = max(tried, key=lambda pair: (pair[0], -pair[1]))
        if most > value:
            value, best = most, best + step * moves[k]
        else:
            step /= 2
    return _moved(start, best) if value >= LEAST else None


def _moved(window: Window, by: np.ndarray) -> Window:
    """The window moved by shares of its side (right, down), and larger by exp of the third."""
    side = window[2] * float(np.exp(by[2]))
    middle = np.asarray(window[:2]) + window[2] / 2 + window[2] * by[:2]
    return float(middle[0] - side / 2), float(middle[1] - side / 2), side


def hull_silhouette(drawings: Sequence[View], camera: Camera) -> np.ndarray:
    """bool [h, w]: what an orthographic camera on a camera's sight sees of all that lies inside every drawing's mask.

    Not the camera itself: a thing's outline lies about its middle in depth, and the hull's nearest corners, where there
    is nothing of it, would make it larger than it is.
    """
    import cv2

    axis = (torch.arange(CELLS) + 0.5) / CELLS * 2.0 - 1.0
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    for view in drawings:
        row, column = _cells(view.camera, points)
        height, width = view.image.shape[:2]
        within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside = view.image[row.clamp(0, height - 1), column.clamp(0, width - 1), 3] > 0.5
        points = points[within & inside]
    shown = np.zeros((camera.height_px, camera.width_px), np.uint8)
    flat = replace(camera, focal_px=camera.focal_px / camera.position.norm(), orthographic=True)
    row, column = _cells(flat, points)
    within = (column >= 0) & (column < shown.shape[1]) & (row >= 0) & (row < shown.shape[0])
    shown[row[within].numpy(), column[within].numpy()] = 1
    return cv2.morphologyEx(shown, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0


def _cells(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the pixel of each point."""
    column, row = camera.project(points)[0].floor().long().unbind(-1)
    return row, column
