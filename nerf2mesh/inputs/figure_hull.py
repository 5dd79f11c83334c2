"""The figures of a sheet as a bound: nothing of the object lies outside of any figure's outline, but for a margin.

The outlines' visual hull (Laurentini 1994) is what all figures allow. Drawings agree only roughly; the margin is what
they may be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from nerf2mesh.types import View

GRID_PX = 256
"""Side of the grid of distances; between its points they are interpolated."""


def bounded(views: Sequence[View], margin: float) -> tuple[View, ...]:
    """The orthographic views with their `clearance`, wider by `margin` (a share of the object's height)."""
    heights = [
        float(np.ptp(np.flatnonzero((v.image[..., 3] > 0.5).any(1)))) / float(v.camera.focal_px[1]) for v in views
    ]
    wider = margin * max(heights)
    return tuple(replace(view, clearance=torch.from_numpy(_inside(view) + np.float32(wider))) for view in views)


def _inside(view: View) -> Float[np.ndarray, "s s"]:
    """How deep the grid's points lie within the view's mask, in world units, negative outside."""
    import cv2
    from scipy.ndimage import distance_transform_edt

    side = min(GRID_PX, view.camera.width_px)
    alpha = cv2.resize(view.image[..., 3].numpy(), (side, side), interpolation=cv2.INTER_AREA)
    within = alpha > 0.5
    deep, out = (np.asarray(distance_transform_edt(part)) for part in (within, ~within))
    distance = np.where(within, deep - 0.5, 0.5 - out)
    focal = float(view.camera.resized(side, side).focal_px[0])
    return (np.where(np.abs(distance) < 1.0, alpha - 0.5, distance) / focal).astype(np.float32)
