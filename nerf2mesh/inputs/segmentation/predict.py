"""Probabilities of belonging to the object, for a whole picture: seen whole, then seen again up close."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from nerf2mesh.inputs.segmentation.network import SegmentationNetwork
from nerf2mesh.inputs.segmentation.weights import PACKAGED, read_network

MARGIN = 0.2
"""Around the object's box, as a share of its longer side, when it is seen up close."""
CLOSE = 0.8
"""A box whose longer side is more of the picture's than this is not looked at again."""


def object_probability(
    rgb: UInt8[np.ndarray, "h w 3"], weights: Path | None = None, box: tuple[int, int, int, int] | None = None
) -> Float[np.ndarray, "h w"]:
    """For every pixel of a picture. box: (top, bottom, left, right) where the object is known to be."""
    network = read_network(weights or PACKAGED)
    if box is not None:
        return _up_close(network, rgb, box, np.zeros(rgb.shape[:2], np.float32))
    whole = _seen(network, rgb)
    found = _box(whole)
    if found is None:
        return whole
    top, bottom, left, right = found
    if max(bottom - top, right - left) > CLOSE * max(rgb.shape[:2]):
        return whole
    close = _up_close(network, rgb, found, whole)
    return 0.35 * whole + 0.65 * close


def _up_close(
    network: SegmentationNetwork, rgb: np.ndarray, box: tuple[int, int, int, int], outside: np.ndarray
) -> np.ndarray:
    """Seen in a square window around the box; `outside` is the answer for the rest of the picture."""
    top, bottom, left, right = box
    side = (1.0 + 2.0 * MARGIN) * max(bottom - top, right - left)
    y, x = (top + bottom) / 2, (left + right) / 2
    rows = slice(max(0, int(y - side / 2)), min(rgb.shape[0], int(y + side / 2) + 1))
    columns = slice(max(0, int(x - side / 2)), min(rgb.shape[1], int(x + side / 2) + 1))
    answer = outside.copy()
    answer[rows, columns] = _seen(network, rgb[rows, columns])
    return answer


@torch.inference_mode()
def _seen(network: SegmentationNetwork, rgb: np.ndarray) -> np.ndarray:
    """The mean of a picture's answer and its mirror image's, [h, w]; the picture is squeezed into a square."""
    import cv2

    height, width = rgb.shape[:2]
    size = network.config.size_px
    way = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=way)
    picture = torch.from_numpy(small).permute(2, 0, 1).float().div(255.0)
    logits = network(torch.stack([picture, picture.flip(-1)]).to(torch.float32))
    probability = torch.sigmoid(0.5 * (logits[0] + logits[1].flip(-1))).numpy()
    return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)


def _box(probability: np.ndarray) -> tuple[int, int, int, int] | None:
    """Around the pixels that are likely the object's."""
    mask = probability > 0.4
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < 2 or len(columns) < 2:
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
