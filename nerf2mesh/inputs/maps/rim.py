"""What a silhouette tells of the surface behind it: at its rim the surface turns away, so there normals point outward
in the picture and depths grow. By this the conventions of a map can be told without asking."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

BAND = 0.05
"""Of the longer side of the object's box: so far into the object the rim reaches, in pixels at least 2."""


def inside_distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Pixels to the silhouette, 0 outside of it. Holes and the picture's border count as outside."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)), np.float32)[1:-1, 1:-1]


def rim(mask: Bool[np.ndarray, "h w"]) -> tuple[Bool[np.ndarray, "h w"], Float[np.ndarray, "h w 2"]]:
    """The pixels of the rim and the direction (right, up) out of the object there, of unit length."""
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    reach = max(2.0, BAND * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    band = mask & (inside_distance(mask) <= reach)
    soft = ndimage.gaussian_filter(mask.astype(np.float32), reach / 2, mode="constant")
    down, right = np.gradient(-soft)
    outward = np.stack([right, -down], -1)
    return band, outward / np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-9)


def nearness(values: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> float:
    """How far larger values lie inside the object rather than at its rim: their rank correlation with the distance to
    the silhouette, -1 (depths) to 1 (disparities)."""
    from scipy.stats import spearmanr

    inside = inside_distance(mask)[mask]
    found = float(np.asarray(spearmanr(inside, values[mask]))[0])
    return 0.0 if np.isnan(found) else found
