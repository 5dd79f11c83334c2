"""Centring, scaling and cropping, by exact area resampling of premultiplied color: nothing leaks across the mask.

A window is (left, top, side) in pixels of the source, square, and may reach beyond the picture: outside is transparent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

Window = tuple[float, float, float]


def object_window(alpha: Float[np.ndarray, "h w"], fill: float) -> Window:
    """The square window in which the box of `alpha` > 0.5 is centered and its longer side is `fill` of the window."""
    top, bottom, left, right = object_box(alpha)
    side = max(bottom - top, right - left) / fill
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def object_box(alpha: Float[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of alpha > 0.5, ends exclusive."""
    solid = alpha > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        raise ValueError(
            "input.image: expected an object with pixels over half opaque, got none in the mask; "
            "give a picture with a solid object"
        )
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def whole_window(height: int, width: int) -> Window:
    """The smallest centered square that holds the whole picture."""
    side = float(max(height, width))
    return (width - side) / 2, (height - side) / 2, side


def resample(rgba: Float[np.ndarray, "h w 4"], window: Window, size_px: int) -> Float[np.ndarray, "s s 4"]:
    """`window` of a straight-alpha picture as size_px x size_px, straight alpha; fully transparent pixels are black."""
    left, top, side = window
    height, width = rgba.shape[:2]
    rows = _weights(height, top, side / size_px, size_px)
    columns = _weights(width, left, side / size_px, size_px)
    premultiplied = rgba.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:]
    result = _averaged(columns, np.swapaxes(_averaged(rows, premultiplied), 0, 1)).swapaxes(0, 1)  # [s, s, 4]
    alpha = np.clip(result[..., 3:], 0.0, 1.0)
    alpha = np.where(alpha < 1.0 / 512.0, 0.0, alpha)
    color = np.where(alpha > 0, result[..., :3] / np.maximum(alpha, 1e-6), 0.0)
    return np.concatenate([np.clip(color, 0.0, 1.0), alpha], -1).astype(np.float32)


def resample_known(
    values: Float[np.ndarray, "h w k"], known: Bool[np.ndarray, "h w"], window: Window, size_px: int
) -> tuple[Float[np.ndarray, "s s k"], Bool[np.ndarray, "s s"]]:
    """`window` of a map as size_px x size_px: means over the known part of each pixel, and which pixels are known
    wholly."""
    left, top, side = window
    height, width = known.shape
    rows = _weights(height, top, side / size_px, size_px)
    columns = _weights(width, left, side / size_px, size_px)
    share = known[..., None].astype(np.float32)
    both = np.concatenate([np.where(known[..., None], values, 0.0), share], -1).astype(np.float32)
    result = _averaged(columns, np.swapaxes(_averaged(rows, both), 0, 1)).swapaxes(0, 1)
    whole = result[..., -1] > 0.999
    return np.where(whole[..., None], result[..., :-1] / np.maximum(result[..., -1:], 1e-6), 0.0), whole


def _averaged(weights: Float[np.ndarray, "t n"], values: Float[np.ndarray, "n m k"]) -> Float[np.ndarray, "t m k"]:
    """`weights` @ `values`, added up in the order of n by every number of threads (a BLAS library's order depends on
    it, and the picture's digest must not)."""
    from scipy.sparse import csr_matrix

    flat = csr_matrix(weights) @ np.ascontiguousarray(values).reshape(len(values), -1)
    return flat.reshape(len(weights), *values.shape[1:])


def _weights(n_source: int, start: float, step: float, n_target: int) -> Float[np.ndarray, "t n"]:
    """Row i averages the source over [start + i step, start + (i + 1) step]; linear interpolation when enlarging.

    Source cells outside the picture have no column: they count as zeros.
    """
    source = np.arange(n_source)
    if step >= 1.0:
        low = (start + step * np.arange(n_target))[:, None]
        overlap = np.minimum(low + step, source + 1.0) - np.maximum(low, source)
        return (np.clip(overlap, 0.0, None) / step).astype(np.float32)
    center = (start + step * (np.arange(n_target) + 0.5))[:, None]
    return np.clip(1.0 - np.abs(center - (source + 0.5)), 0.0, None).astype(np.float32)
