"""Where the object's upright axis lies in each of several level pictures, beside the middle of its own outline.

Two pictures at right angles may be centered by their own boxes: that only says where the object stands. Any other has
to agree with them. From a third side an object without symmetry does not lie about the middle of its box.

Letters
    u_a = -x sin a + y cos a: what the picture from azimuth a shows to the right. In each height z the first two
    pictures allow a rectangle; along u of the third it reaches from L(z) to R(z), and what the third shows there, l(z)
    to r(z), has to lie within when moved by s. A cross-section with a center of symmetry has (l + r) / 2 + s =
    (L + R) / 2; s is the median of this over the heights, as far as L - l <= s <= R - r allows (where not empty).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

ROWS = 128
UPRIGHT = 0.9
"""Least sine of the angle between two pictures that fix the axis."""


def axis_shifts(alphas: Sequence[np.ndarray], azimuths_deg: Sequence[float]) -> Float[np.ndarray, " n"]:
    """How far right of the box's middle the object's axis lies in each level picture, in heights of the object.

    alphas: masks [h, w]. Zeros where no two pictures stand at right angles.
    """
    shifts = np.zeros(len(alphas))
    azimuth = np.radians(np.asarray(azimuths_deg, np.float64))
    pair = _upright_pair(azimuth)
    if pair is None:
        return shifts
    profiles = [row_extents(alpha) for alpha in alphas]
    for k in set(range(len(alphas))) - set(pair):
        shifts[k] = -_moved(profiles[k], [profiles[i] for i in pair], azimuth[k], azimuth[list(pair)])
    return shifts


def _upright_pair(azimuth: np.ndarray) -> tuple[int, int] | None:
    """The first two pictures at right angles; None where there are none."""
    for i in range(len(azimuth)):
        for j in range(i + 1, len(azimuth)):
            if abs(np.sin(azimuth[i] - azimuth[j])) > UPRIGHT:
                return i, j
    return None


def row_extents(alpha: np.ndarray) -> Float[np.ndarray, "rows 2"]:
    """First and last edge of the mask at ROWS heights from the box's top down, right of the box's middle, in heights of
    the box; NaN in empty rows."""
    solid = alpha > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    height = rows[-1] - rows[0] + 1
    middle = (columns[0] + columns[-1] + 1) / 2
    at = solid[rows[0] + ((np.arange(ROWS) + 0.5) / ROWS * height).astype(int)]
    first, last = at.argmax(1), at.shape[1] - at[:, ::-1].argmax(1)
    extents = (np.stack([first, last], 1) - middle) / height
    return np.where(at.any(1, keepdims=True), extents, np.nan)


def _moved(own: np.ndarray, two: list[np.ndarray], azimuth: float, others: np.ndarray) -> float:
    """s of a picture."""
    basis = np.stack([-np.sin(others), np.cos(others)])
    share = np.linalg.solve(basis, np.array([-np.sin(azimuth), np.cos(azimuth)]))
    parts = [np.sort(c * extents, axis=1) for c, extents in zip(share, two)]
    low, high = (parts[0] + parts[1]).T
    known = np.isfinite(own).all(1) & np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return 0.0
    left, right = own[known].T
    low, high = low[known], high[known]
    middle = float(np.median((low + high - left - right) / 2))
    least, most = float((low - left).max()), float((high - right).min())
    return min(max(middle, least), most) if least <= most else middle
