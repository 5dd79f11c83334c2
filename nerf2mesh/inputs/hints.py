"""What the user says about where the object is: a box around it, points inside and outside of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.masks import parts

POINT_SHARE = 0.008
"""Radius around a point that belongs to its side, as a share of the picture's longer side."""
BELIEF = 0.85
"""Probability of what is joined to a point inside by like colors, before GrabCut decides."""


@dataclass(frozen=True, eq=False)
class Hints:
    """box [x0, y0, x1, y1] or None, points [n, 3] (x, y, 1 inside or 0 outside), all in pixels."""

    box: np.ndarray | None
    points: np.ndarray

    @staticmethod
    def of(config: InputConfig, scale: float = 1.0) -> Hints:
        """Those of the configuration, whose pixels are those of the file, times `scale`."""
        box = np.array(config.box, float) if config.box else None
        return Hints(box, np.array(config.points, float).reshape(-1, 3)).scaled(scale)

    def __bool__(self) -> bool:
        return self.box is not None or len(self.points) > 0

    def scaled(self, factor: float) -> Hints:
        """For a picture of `factor` times the size."""
        return Hints(None if self.box is None else self.box * factor, self.points * np.array([factor, factor, 1.0]))

    def check(self, height: int, width: int, path: str) -> None:
        """ValueError where a hint lies outside of a picture of h x w pixels."""
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or min(x1 - x0, y1 - y0) < 8:
                raise ValueError(
                    f"input.box: expected [x0,y0,x1,y1] of at least 8 px inside {width} x {height} px, got "
                    f"{[round(v, 1) for v in self.box.tolist()]} for {path}; measure it in pixels from the top left"
                )
        for x, y, _ in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(
                    f"input.points: expected points inside {width} x {height} px, got [{x:g}, {y:g}] for {path}; "
                    "measure them in pixels from the top left"
                )

    def box_in(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """(top, bottom, left, right), whole pixels inside of [h, w]."""
        if self.box is None:
            return None
        x0, y0, x1, y1 = np.round(self.box).astype(int)
        top, left = min(max(y0, 0), height - 4), min(max(x0, 0), width - 4)
        return int(top), int(max(min(y1, height), top + 4)), int(left), int(max(min(x1, width), left + 4))

    def maps(self, height: int, width: int) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """Pixels that are surely inside and surely outside."""
        y, x = np.mgrid[0:height, 0:width]
        radius = max(1.5, POINT_SHARE * max(height, width))
        inside, outside = np.zeros((height, width), bool), np.zeros((height, width), bool)
        for px, py, side in self.points:
            near = np.hypot(x + 0.5 - px, y + 0.5 - py) <= radius
            (inside if side > 0.5 else outside)[near] = True
        box = self.box_in(height, width)
        if box is not None:
            beyond = np.ones((height, width), bool)
            beyond[box[0] : box[1], box[2] : box[3]] = False
            outside |= beyond
        return inside & ~outside, outside

    def imposed(
        self,
        probability: Float[np.ndarray, "h w"],
        sure: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]],
        rgb: UInt8[np.ndarray, "h w 3"],
        look: Callable[[tuple[int, int, int, int]], Float[np.ndarray, "h w"]],
    ) -> Float[np.ndarray, "h w"]:
        """A map of probabilities in keeping with the hints.

        Where it was wrong at a point, a watershed from the points says where the object is; `look` gives the map of a
        box, and the watershed itself is the answer where that is wrong, too.
        """
        if not self:
            return probability
        inside, outside = sure
        answer = probability.copy()
        if inside.any() and _is_wrong(answer, inside, outside):
            ours = _watershed(rgb, inside, outside, probability)
            answer = look(_box_of(ours))
            if _is_wrong(answer, inside, outside):
                answer = np.where(ours, np.maximum(probability, BELIEF), np.minimum(probability, 1.0 - BELIEF))
        answer[inside], answer[outside] = 1.0, 0.0
        return answer

    def kept(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
        """The parts of a mask of the whole picture that hold a point inside, all parts where no point is inside."""
        chosen = self.points[self.points[:, 2] > 0.5]
        if not len(chosen):
            return mask
        labels, _ = parts(mask)
        rows = chosen[:, 1].astype(int).clip(0, mask.shape[0] - 1)
        columns = chosen[:, 0].astype(int).clip(0, mask.shape[1] - 1)
        held = np.unique(labels[rows, columns])
        return np.isin(labels, held[held > 0])


def _is_wrong(probability: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> bool:
    """Whether a map says otherwise at a point."""
    return bool((probability[inside] < 0.5).any() or (outside.any() and (probability[outside] > 0.5).any()))


def _box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _watershed(rgb: np.ndarray, inside: np.ndarray, outside: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Pixels nearer to `inside` than to what is outside, along a way over like colors (Meyer 1992)."""
    import cv2

    markers = np.zeros(rgb.shape[:2], np.int32)
    frame = np.ones_like(inside)
    frame[2:-2, 2:-2] = False
    markers[frame & (probability < 0.5)] = 2
    markers[outside] = 2
    markers[inside] = 1
    smooth = cv2.GaussianBlur(np.ascontiguousarray(rgb), (0, 0), 1.0)
    return cv2.watershed(smooth, markers) == 1
