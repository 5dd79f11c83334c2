"""How well a mask fits its picture: whether its edge lies on edges of the picture, whether it agrees with a map, holds
together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerf2mesh.inputs.masks import parts

REACH_PX = 2.0
"""How far on both sides of the mask's edge colors are compared."""
LEAST_STEP = 1.2
"""CIE Lab: a smaller difference across the edge is none."""


class EdgeMap:
    """A picture's colors, ready for asking how sharply they change across a mask's edge."""

    def __init__(self, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        import cv2

        lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
        smooth = cv2.GaussianBlur(lab, (0, 0), 0.8)
        # Immerkaer 1996: a second difference that flat and sloping colors leave at 0, of deviation 6 sigma.
        kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
        second = np.abs(cv2.filter2D(lab, cv2.CV_32F, kernel))
        self.noise = float(np.median(second.sum(-1)) / 0.6745 / 6.0)
        self.lab = smooth

    def alignment(self, mask: Bool[np.ndarray, "h w"]) -> float:
        """Share of the mask's edge on which colors change in a step: more than the noise, and more than a little
        further out. The picture's border does not count; 0 where there is no other edge."""
        import cv2

        height, width = mask.shape
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
        gy, gx = np.gradient(soft)
        inner = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        margin = 3
        inner[:margin], inner[-margin:], inner[:, :margin], inner[:, -margin:] = False, False, False, False
        y, x = np.nonzero(inner)
        if len(y) < 8:
            return 0.0
        length = np.maximum(np.hypot(gx[y, x], gy[y, x]), 1e-6)
        ny, nx = -gy[y, x] / length, -gx[y, x] / length  # outward
        steps = (-REACH_PX + 0.5, REACH_PX + 0.5, 2.5 * REACH_PX)
        inside, outside, further = (self._at(y + d * ny, x + d * nx, height, width) for d in steps)
        step = np.linalg.norm(outside - inside, axis=-1)
        slope = np.linalg.norm(further - outside, axis=-1)
        return float(np.mean((step > LEAST_STEP + self.noise) & (step > 1.6 * slope)))

    def _at(self, y: np.ndarray, x: np.ndarray, height: int, width: int) -> np.ndarray:
        rows, columns = np.round(y).astype(int).clip(0, height - 1), np.round(x).astype(int).clip(0, width - 1)
        return self.lab[rows, columns]


def agreement(mask: Bool[np.ndarray, "h w"], probability: Float[np.ndarray, "h w"]) -> float:
    """Expected IoU of a mask with the object, were each pixel the object's with its probability."""
    either = np.maximum(probability, mask).sum()
    return float(probability[mask].sum() / either) if either > 0 else 0.0


def overlap(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union."""
    either = (first | second).sum()
    return float((first & second).sum() / either) if either else 0.0


def connectedness(mask: Bool[np.ndarray, "h w"]) -> float:
    """Share of the mask's area in its three largest parts."""
    labels, count = parts(mask)
    if not count:
        return 0.0
    area = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    return float(area[:3].sum() / area.sum())
