"""Letterbox bars and card frames: the window of a picture that holds its content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

TOLERANCE = 14
"""Levels of 255 by which a bar's pixels may differ from its color, as JPEG leaves them."""
STRAIGHT = 0.92
"""Of a line of the content's edge: with fewer pixels unlike the bar, it is an object before a plain background."""
LEAST_SHARE = 0.25
"""Of the picture, that the content of a frame covers."""
ROUNDS = 3


@dataclass(frozen=True)
class Window:
    """Rows top to bottom - 1 and columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing an array [h, w, ...]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.bottom - self.top) * (self.right - self.left)


def content_window(rgb: UInt8[np.ndarray, "h w 3"]) -> Window:
    """The picture without bars of one color at two or four sides; the whole picture where it has none.

    A bar ends along a straight line at which nearly all pixels change; a plain background around an object does not.
    """
    height, width = rgb.shape[:2]
    window = Window(0, height, 0, width)
    for _ in range(ROUNDS):
        inner = _stripped(rgb[window.slices])
        if inner is None:
            break
        window = Window(
            window.top + inner.top, window.top + inner.bottom, window.left + inner.left, window.left + inner.right
        )
    return window if window.area >= LEAST_SHARE * height * width else Window(0, height, 0, width)


def _stripped(rgb: np.ndarray) -> Window | None:
    """Inside of one frame or one pair of bars; None where there is none."""
    height, width = rgb.shape[:2]
    if min(height, width) < 24:
        return None
    for corner in (rgb[0, 0], rgb[-1, -1]):
        unlike = np.abs(rgb.astype(np.int16) - corner.astype(np.int16)).max(-1) > TOLERANCE
        inner = _box(unlike)
        if inner is None or inner.area in (0, height * width):
            continue
        if _is_straight(unlike, inner):
            return Window(*_pulled_in(inner, height, width))
    return None


def _box(unlike: Bool[np.ndarray, "h w"]) -> Window | None:
    """Around the rows and columns that hold more than a few pixels unlike the bar."""
    rows, columns = (np.flatnonzero(unlike.mean(axis) > 0.02) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    return Window(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def _is_straight(unlike: Bool[np.ndarray, "h w"], inner: Window) -> bool:
    """Whether opposite sides come in pairs, and each bar ends along a line."""
    height, width = unlike.shape
    bars = (inner.top > 1, inner.bottom < height - 1, inner.left > 1, inner.right < width - 1)
    if not (bars[0] and bars[1]) and not (bars[2] and bars[3]):
        return False
    inside = unlike[inner.slices]
    lines = (inside[:3].mean(1), inside[-3:].mean(1), inside[:, :3].mean(0), inside[:, -3:].mean(0))
    return all(line.max() > STRAIGHT for line, bar in zip(lines, bars, strict=True) if bar)


def _pulled_in(inner: Window, height: int, width: int) -> tuple[int, int, int, int]:
    """The box without its outermost pixels at the bars, which are mixtures."""
    step = max(1, min(height, width) // 200)
    return (
        inner.top + step * (inner.top > 1),
        inner.bottom - step * (inner.bottom < height - 1),
        inner.left + step * (inner.left > 1),
        inner.right - step * (inner.right < width - 1),
    )
