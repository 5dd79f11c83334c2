"""Where the object is: its box in level axes, from the masks' visual hull, the file, sparse points, or the cameras.

The visual hull (Laurentini 1994) is the largest solid whose silhouettes lie in all masks: a cell of a lattice is cut
away where a photograph that sees it shows background there. Masks are widened by a cell, so that thin parts survive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerf2mesh.inputs.photos.axes import WorldChange, common_place, mask_directions
from nerf2mesh.inputs.photos.capture import Capture, Shot

CELLS = 40
FAULTY = 0.05
"""Share of the photographs whose masks may be wrong about a cell."""
POINTS_KEPT = 0.02
"""Share of the sparse points that is left out at each end of each axis."""
HALF_EXTENT = 0.8
"""The longest half side of the object's box, in the house's world box of [-1, 1]^3."""
INSIDE = 0.95
"""Share of the distance to the nearest camera that a box guessed from the cameras may reach."""


@dataclass(frozen=True)
class Box:
    """low and high corner [3] in level axes around `WorldChange.middle` at scale 1, and where they are from."""

    low: np.ndarray
    high: np.ndarray
    method: str

    def fitted(self, change: WorldChange) -> tuple[WorldChange, np.ndarray]:
        """The change of world that puts this box around the origin at HALF_EXTENT, and its half sides [3] there."""
        middle = 0.5 * (self.low + self.high)
        half = 0.5 * (self.high - self.low)
        scale = HALF_EXTENT / float(half.max())
        moved = WorldChange(change.rotation, change.middle + change.rotation.T @ middle, scale)
        return moved, scale * half


def rough_place(capture: Capture, masks: list[np.ndarray] | None) -> np.ndarray:
    """A point [3] of the world on or near the object."""
    if masks is None:
        return common_place(capture.shots, np.stack([shot.axis for shot in capture.shots]))
    return common_place(capture.shots, mask_directions(capture.shots, masks)[0])


def object_box(capture: Capture, masks: list[np.ndarray] | None, level: WorldChange, wanted: str) -> Box:
    """The object's box, by `wanted`: masks, file, points, cameras, or auto for the first of these that is there.

    masks: [h, w] True on the object, one for each shot, or None where the pictures were not cut out. level: rotation
    and rough middle, scale 1.

    Raises:
        ValueError: `wanted` is not there, or the masks have no common solid.
    """
    there = {"masks": masks is not None, "file": capture.box is not None, "points": capture.points is not None}
    method = next((name for name, has in there.items() if has), "cameras") if wanted == "auto" else wanted
    if not there.get(method, True):
        have = ", ".join([*(name for name, has in there.items() if has), "cameras"])
        raise ValueError(f"input.photos.box: expected one of {have} for this capture, got {method}; choose one of them")
    if method == "masks" and masks is not None:
        return hull_box(capture.shots, masks, level)
    if method == "file" and capture.box is not None:
        moved = level.points(corners(*capture.box))
        return Box(moved.min(0), moved.max(0), "file")
    if method == "points" and capture.points is not None:
        low, high = np.quantile(level.points(capture.points), [POINTS_KEPT, 1 - POINTS_KEPT], axis=0)
        return Box(low - 0.05 * (high - low), high + 0.05 * (high - low), "points")
    radius = min(INSIDE * min(_distance(shot, level) for shot in capture.shots), _seen_radius(capture.shots, level))
    return Box(np.full(3, -radius), np.full(3, radius), "cameras")


def hull_box(shots: tuple[Shot, ...], masks: list[np.ndarray], level: WorldChange) -> Box:
    """The box of the masks' visual hull, from two lattices: around the masks' cones, then around the first hull."""
    radii = mask_directions(shots, masks)[1]
    distances = np.array([_distance(shot, level) for shot in shots])
    half = 1.3 * float(np.max(radii * distances))
    low, high = np.full(3, -half), np.full(3, half)
    for _ in range(2):
        cell = (high - low) / CELLS
        points = _lattice(low, cell)
        sizes = [float(cell.max()) * shot.lens.focal_px[0] / shot.lens.width_px for shot in shots]
        wide = [_widened(m, size * m.shape[1] / away) for m, size, away in zip(masks, sizes, distances)]
        kept = points[carve(shots, wide, points @ level.rotation + level.middle)]
        if not len(kept):
            raise ValueError(
                f"input.image: expected {len(shots)} photographs of one object, got masks without a common solid; "
                "check the poses, the masks (the report's pictures) and whether all show the same object"
            )
        low, high = kept.min(0) - cell, kept.max(0) + cell
    return Box(kept.min(0), kept.max(0), "masks")


def carve(shots: tuple[Shot, ...], masks: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Which world points [n] are on the object by the masks of all but a few photographs that see them."""
    wrong, seen = np.zeros(len(points), np.int32), np.zeros(len(points), np.int32)
    for shot, mask in zip(shots, masks):
        pixels, shown = shot.project(points)
        scale = np.array([mask.shape[1] / shot.lens.width_px, mask.shape[0] / shot.lens.height_px])
        place = np.floor(np.where(shown[:, None], pixels, -1.0) * scale)
        size = np.array([mask.shape[1], mask.shape[0]])
        there = shown & (place >= 0).all(1) & (place < size).all(1)
        column, row = place[there].astype(np.int64).T
        seen += there
        wrong[there] += ~mask[row, column]
    allowed = int(FAULTY * len(shots))
    return (wrong <= allowed) & (2 * seen >= len(shots))


def check_outside(shots: tuple[Shot, ...], change: WorldChange, half: np.ndarray) -> None:
    """ValueError where cameras stand within the object's box [half sides 3]."""
    inside = [shot.path.name for shot in shots if (np.abs(change.points(shot.position[None])[0]) < half).all()]
    if inside:
        raise ValueError(
            f"input.image: expected cameras outside of the object, got {len(inside)} of {len(shots)} within its box "
            f"({', '.join(inside[:3])}); photographs of a room from within are not for this input"
        )


def _widened(mask: np.ndarray, width_px: float) -> np.ndarray:
    """The mask, its object grown by half of `width_px` to all sides."""
    import cv2

    side = max(1, round(width_px))
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _lattice(low: np.ndarray, cell: np.ndarray) -> np.ndarray:
    axes = [low[k] + cell[k] * (np.arange(CELLS) + 0.5) for k in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The eight corners [8, 3] of a box."""
    which = np.array(list(np.ndindex(2, 2, 2)))
    return np.where(which == 0, low, high)


def _distance(shot: Shot, level: WorldChange) -> float:
    return float(np.linalg.norm(shot.position - level.middle))


def _seen_radius(shots: tuple[Shot, ...], level: WorldChange) -> float:
    """Radius of the ball around the middle that all pictures show whole."""
    return min(
        _distance(shot, level)
        * min(0.5 * shot.lens.width_px / shot.lens.focal_px[0], 0.5 * shot.lens.height_px / shot.lens.focal_px[1])
        for shot in shots
    )
