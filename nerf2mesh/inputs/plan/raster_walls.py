"""Walls in a picture of a plan: the thick runs of ink.

A morphological opening keeps what is at least `input.wall_min_m` thick, so that text, dimension lines, furniture, door
arcs and window lines fall away; their ink stays at hand for telling doors from windows.
"""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from shapely.geometry import Polygon

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.dxf import joined
from nerf2mesh.inputs.linework.kinds import Raster
from nerf2mesh.inputs.linework.straighten import straightened
from nerf2mesh.inputs.plan.kinds import Near, Walls

MIN_WALL_PX = 3
"""A wall has at least this many pixels across; thin lines have one or two."""
PALE = 0.3
"""Ink of thin lines; walls have more than half."""
SLACK_PX = 2.0
"""Bumps that lines leave where they meet a wall's end."""
SMALL_M = 0.8
"""Shorter pieces of thick ink stay only where they are columns: as full as their hull."""


def raster_walls(raster: Raster, config: InputConfig) -> Walls:
    """The walls' region in metres.

    Raises:
        ValueError: no run of ink is thick enough.
    """
    dark = (raster.ink > 0.5).astype(np.uint8)
    side = max(MIN_WALL_PX, round(config.wall_min_m / raster.pixel_m))
    thick = opened(dark, side)
    grown = np.minimum(cv2.dilate(thick, np.ones((3, 3), np.uint8)), dark)  # the rims that squares and discs leave out
    less = max(MIN_WALL_PX, side - 2)
    thick = np.asarray(cv2.morphologyEx(grown, cv2.MORPH_OPEN, np.ones((less, less), np.uint8)))  # not the lines there
    region = joined([piece for piece in _outlines(dark, thick, raster) if not _is_mark(piece)])
    if region.is_empty:
        raise ValueError(
            f"input.image: expected walls as dark runs of at least {side} px ({side * raster.pixel_m:.2f} m), got none "
            f"in {raster.sheet.path}; check input.mm_per_px, or lower input.wall_min_m"
        )
    return Walls(region, _near(thick, raster), 1.5 * raster.pixel_m, SLACK_PX * raster.pixel_m)


def opened(mask: np.ndarray, side: int) -> np.ndarray:
    """What a square or a disc of that many pixels fits into: upright corners by the one, slanted runs by the other."""
    shapes = (cv2.getStructuringElement(kind, (side, side)) for kind in (cv2.MORPH_RECT, cv2.MORPH_ELLIPSE))
    square, disc = (np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, shape)) for shape in shapes)
    return np.maximum(square, disc)


def _outlines(dark: np.ndarray, thick: np.ndarray, raster: Raster) -> list[Polygon]:
    """Polygons along the walls' edges, to a part of a pixel where these are smoothed, steps of a pixel straightened."""
    rim = cv2.dilate(thick, np.ones((3, 3), np.uint8)) - (dark & (1 - thick))
    ink = np.where(rim == 1, raster.ink, 0.0).astype(np.float32)
    return polygons_of(ink, raster)


def polygons_of(ink: np.ndarray, raster: Raster) -> list[Polygon]:
    """Where `ink` [h, w] float32 is more than a half: polygons in metres with straightened edges."""
    fine = next((n for n, side in ((4, 2000), (2, 4500)) if max(ink.shape) <= side), 1)
    enlarged = cv2.resize(ink, None, fx=fine, fy=fine, interpolation=cv2.INTER_LINEAR) if fine > 1 else ink
    corners = np.asarray(_rectangles(np.asarray(enlarged) > 0.5), dtype=np.float64).reshape(-1, 4) / fine
    region = joined(list(shapely.box(*corners.T)))
    polygons = [straightened(polygon) for polygon in getattr(region, "geoms", [region]) if polygon.area > 0]
    return [_in_metres(polygon, raster) for polygon in polygons]


def _rectangles(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The mask as disjoint rectangles (left, top, right, bottom): runs of pixels that are equal in successive rows."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 1), (1, 1))), axis=1)
    growing: dict[tuple[int, int], int] = {}
    found = []
    for row, line in enumerate(edges):
        runs = set(zip(np.flatnonzero(line == 1).tolist(), np.flatnonzero(line == -1).tolist()))
        found += [(run[0], growing.pop(run), run[1], row) for run in set(growing) - runs]
        growing |= dict.fromkeys(runs - set(growing), row)
    return found


def _in_metres(polygon: Polygon, raster: Raster) -> Polygon:
    rings = [raster.to_metres(np.asarray(ring.coords)) for ring in (polygon.exterior, *polygon.interiors)]
    return Polygon(rings[0], rings[1:]).buffer(0)


def _is_mark(piece: Polygon) -> bool:
    """A letter, an arrow head or the like: small, and hollowed out or thin."""
    low_x, low_y, high_x, high_y = piece.bounds
    if max(high_x - low_x, high_y - low_y) >= SMALL_M:
        return False
    return piece.area < 0.9 * piece.convex_hull.area


def _near(thick: np.ndarray, raster: Raster) -> Near:
    """The distance to thin ink, looked up in a map; walls and their rims do not count. A blurred line is pale."""
    rim = cv2.dilate(thick, np.ones((5, 5), np.uint8))
    thin = (raster.ink > PALE) & (rim == 0)
    distance = cv2.distanceTransform((~thin).astype(np.uint8), cv2.DIST_L2, 5) * raster.pixel_m
    height, width = thick.shape

    def near(points: np.ndarray, tolerance_m: float) -> np.ndarray:
        column = np.floor(points[:, 0] / raster.pixel_m).astype(int)
        row = np.floor(height - points[:, 1] / raster.pixel_m).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = distance[row.clip(0, height - 1), column.clip(0, width - 1)]
        return inside & (at <= tolerance_m)

    return near
