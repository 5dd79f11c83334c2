"""Pictures of one object from named sides, without measured cameras: brought to one scale, in front of orbit cameras.

The object stands upright and all pictures show all of it, so that from every level side it has one height: its box is
brought to one height and ground line. A view from straight above has the front's width instead. Two sides at right
angles are centered by their own boxes, any other so that it agrees with them (`figure_places`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.figure_places import axis_shifts
from nerf2mesh.inputs.framing import Window, object_box, resample
from nerf2mesh.types import Camera, View

AZIMUTHS_DEG = {
    "front": 0.0,
    "front_left": 45.0,
    "left": 90.0,
    "back_left": 135.0,
    "back": 180.0,
    "back_right": 225.0,
    "right": 270.0,
    "front_right": 315.0,
    "top": 0.0,
    "bottom": 0.0,
}
"""The side that is seen: left is the object's own left, +Y."""
ELEVATIONS_DEG = {"top": 90.0, "bottom": -90.0}
USUAL = {
    1: ("front",),
    2: ("front", "back"),
    3: ("front", "right", "back"),
    4: ("front", "right", "back", "left"),
    5: ("front", "front_right", "right", "back_right", "back"),
}
"""What so many figures are taken for where nothing is said."""
LEVEL_DEG = 35.0
"""Up to this elevation a view shows the object's height."""
MIN_OBJECT_PX = 12


def side_cameras(names: Sequence[str]) -> tuple[list[float], list[float]]:
    """Azimuths and elevations of named sides."""
    return [AZIMUTHS_DEG[name] for name in names], [ELEVATIONS_DEG.get(name, 0.0) for name in names]


def figure_views(
    pictures: Sequence[np.ndarray],
    azimuths_deg: Sequence[float],
    elevations_deg: Sequence[float],
    config: InputConfig,
    *,
    orthographic: bool,
) -> tuple[View, ...]:
    """Square views of cut-out pictures (straight RGBA [h, w, 4], float32 in [0, 1]) at `input.size_px`."""
    windows = common_windows([picture[..., 3] for picture in pictures], azimuths_deg, elevations_deg, config.fill)
    views = []
    for picture, window, azimuth, elevation in zip(pictures, windows, azimuths_deg, elevations_deg):
        camera = Camera.orbit(
            azimuth,
            elevation,
            distance=config.distance,
            fov_deg=config.fov_deg,
            width_px=config.size_px,
            orthographic=orthographic,
        )
        image = torch.from_numpy(resample(picture, window, config.size_px))
        views.append(View(image, camera, domain=config.domain))
    return tuple(views)


def common_windows(
    alphas: Sequence[np.ndarray], azimuths_deg: Sequence[float], elevations_deg: Sequence[float], fill: float
) -> list[Window]:
    """One window for each mask [h, w], so that the object has the same height in all level ones; the longest side of
    any of them is `fill` of its window. A view from above or below has the width of the front or back, else the depth
    of the first level view.

    Raises:
        ValueError: an object of a few pixels.
    """
    boxes = [object_box(alpha) for alpha in alphas]
    sizes = np.array([(bottom - top, right - left) for top, bottom, left, right in boxes], np.float64)
    for i, size in enumerate(sizes):
        if size.max() < MIN_OBJECT_PX:
            raise ValueError(
                f"input.image: expected figures of at least {MIN_OBJECT_PX} px, got {size.max():.0f} px for number "
                f"{i + 1}; give larger pictures"
            )
    level = np.abs(np.asarray(elevations_deg)) <= LEVEL_DEG
    sides = sizes.max(1) / fill
    if level.any():
        per_height = float((sizes[level].max(1) / sizes[level, 0]).max()) / fill
        sides[level] = per_height * sizes[level, 0]
        facing = level & (np.abs(np.sin(np.radians(azimuths_deg))) < 0.5)
        first = int(np.flatnonzero(facing if facing.any() else level)[0])
        share = sizes[first, 1] / sides[first]
        shown = 1 if facing.any() else 0
        sides[~level] = np.maximum(sizes[~level, shown] / share, sizes[~level].max(1))
    beside = np.zeros(len(boxes))
    flat = np.flatnonzero(level)
    beside[flat] = sizes[flat, 0] * axis_shifts([alphas[int(i)] for i in flat], [azimuths_deg[int(i)] for i in flat])
    return [
        ((left + right - side) / 2 + float(shift), (top + bottom - side) / 2, float(side))
        for (top, bottom, left, right), side, shift in zip(boxes, sides, beside)
    ]
