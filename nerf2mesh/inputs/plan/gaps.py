"""Gaps in runs of walls: where a wall's end faces another end, or the side of another wall.

A wall end is a short edge of the walls' outline between two corners that turn the same way. Two ends belong together
where each looks at the other within 45 degrees, in a straight wall as in a curved one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry import LineString, MultiPoint, Polygon
from shapely.geometry.polygon import orient

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.plan.kinds import Gap, Walls

MIN_GAP_M = 0.3
STRONG = 1.5
"""A wall's end is beyond doubt where its sides are this many times longer than it is wide."""
TIP_SLACK, TIP_SHARE, MOST_TIP_EDGES = 2.0, 0.3, 3
"""A tip at a wall's end may stand out by so many times the slack of outlines, or that share of the end's width; such
an end is a chain of at most so many edges."""
TURN_COS = np.cos(np.deg2rad(50.0))
LOOK_COS = np.cos(np.deg2rad(45.0))


@dataclass(frozen=True)
class WallEnd:
    """An end's two corners [2, 2], its outward normal, and the shorter of its two sides, in metres."""

    corners: Float[np.ndarray, "2 2"]
    normal: Float[np.ndarray, " 2"]
    side: float
    tip: float = 0.0
    """How far the wall stands out between the corners, in metres."""

    @property
    def middle(self) -> Float[np.ndarray, " 2"]:
        """Between both corners."""
        return self.corners.mean(0)

    @property
    def width(self) -> float:
        """The wall's thickness."""
        return float(np.hypot(*(self.corners[1] - self.corners[0])))

    @property
    def is_strong(self) -> bool:
        """Whether a run of wall ends here, and not a pillar as long as it is wide."""
        return self.side >= STRONG * self.width


def wall_ends(walls: Walls, config: InputConfig) -> list[WallEnd]:
    """Every end of a run of walls."""
    found = []
    for polygon in getattr(walls.region, "geoms", [walls.region]):
        polygon = orient(polygon.simplify(walls.slack_m))
        for ring in (polygon.exterior, *polygon.interiors):
            corners = np.asarray(ring.coords)[:-1]
            for edges in range(1, MOST_TIP_EDGES + 1):
                if edges == 1 or len(corners) > edges + 2:
                    found += _ends_of(corners, config, walls.slack_m, edges)
    return found


def _ends_of(ring: np.ndarray, config: InputConfig, slack_m: float, edges: int) -> list[WallEnd]:
    """The wall lies to the left of the ring's way, so that an end turns left at both corners.

    edges: of several, the corners between them are a blunt tip, which pixels leave at slanted ends.
    """
    way = np.roll(ring, -edges, axis=0) - ring
    length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-12)
    unit = way / length[:, None]
    step = np.roll(ring, -1, axis=0) - ring
    side = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-12)
    ahead = step / side[:, None]
    before, after = np.roll(ahead, 1, axis=0), np.roll(ahead, -edges, axis=0)
    left = lambda a, b: a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0  # noqa: E731
    square = lambda a, b: np.abs((a * b).sum(1)) < TURN_COS  # noqa: E731
    is_end = left(before, unit) & left(unit, after) & square(before, unit) & square(unit, after)
    is_end &= (length >= 0.6 * config.wall_min_m) & (length <= config.wall_max_m)
    sides = np.minimum(np.roll(side, 1), np.roll(side, -edges))
    is_end &= sides >= 0.3 * length
    tip = np.zeros(len(ring))
    for n in range(1, edges):
        out = np.roll(ring, -n, axis=0) - ring
        tip = np.maximum(tip, np.abs(unit[:, 0] * out[:, 1] - unit[:, 1] * out[:, 0]))
    if edges > 1:
        is_end &= (tip <= np.maximum(TIP_SLACK * slack_m, TIP_SHARE * length)) & (sides >= length)
    return [
        WallEnd(
            np.stack([ring[k], ring[(k + edges) % len(ring)]]),
            np.array([unit[k, 1], -unit[k, 0]]),
            float(sides[k]),
            float(tip[k]),
        )
        for k in np.flatnonzero(is_end)
    ]


def find_gaps(walls: Walls, ends: list[WallEnd], config: InputConfig) -> list[tuple[Gap, bool]]:
    """The nearest gap in front of each end, once each, with whether one of its ends is beyond doubt."""
    shapely.prepare(walls.region)
    found = []
    for end in ends:
        pairs = [p for other in ends if other is not end and (p := _between(walls, end, other, config)) is not None]
        options = [min(pairs, key=lambda pair: pair[0].width)] if pairs else []
        aside = _to_side(walls, end, config)
        if aside is not None and (not options or aside[0].width < 0.8 * options[0][0].width):
            options = [aside]
        found += options
    chosen: list[tuple[Gap, bool]] = []
    for gap, strong in sorted(found, key=lambda pair: (-pair[0].ends, pair[0].width)):
        if all(gap.region.intersection(other.region).area < 0.3 * gap.region.area for other, _ in chosen):
            chosen.append((gap, strong))
    return chosen


def _between(walls: Walls, end: WallEnd, other: WallEnd, config: InputConfig) -> tuple[Gap, bool] | None:
    """The gap between two ends that look at each other."""
    across = other.middle - end.middle
    length = float(np.hypot(*across))
    if not MIN_GAP_M <= length <= config.opening_max_m:
        return None
    way = across / length
    if end.normal @ way < LOOK_COS or other.normal @ -way < LOOK_COS:
        return None
    thickness = max(end.width, other.width)
    turn = [float(np.arctan2(n[0] * w[1] - n[1] * w[0], n @ w)) for n, w in ((end.normal, way), (other.normal, -way))]
    if abs(length * np.tan(sum(turn) / 2)) > 0.75 * thickness:  # beside each other, not in one wall
        return None
    sight = LineString([end.middle + (0.02 + end.tip) * way, other.middle - (0.02 + other.tip) * way])
    if walls.region.intersects(sight):
        return None
    region = MultiPoint(np.concatenate([end.corners, other.corners])).convex_hull
    deeper = [e.corners - e.normal * walls.slack_m for e in (end, other)]
    filling = region.union(MultiPoint(np.concatenate([*deeper, end.corners, other.corners])).convex_hull)
    gap = Gap(region, end.middle, other.middle, thickness, filling, 2)
    return gap, end.is_strong or other.is_strong


def _to_side(walls: Walls, end: WallEnd, config: InputConfig) -> tuple[Gap, bool] | None:
    """The gap between an end and the side of the wall that it looks at."""
    start = end.corners + end.normal * 0.01
    strip = Polygon(
        [start[0], start[1], start[1] + end.normal * config.opening_max_m, start[0] + end.normal * config.opening_max_m]
    )
    met = strip.buffer(-0.05 * end.width, join_style="mitre").intersection(walls.region)
    if met.is_empty:
        return None
    length = LineString(end.corners).distance(met)
    if not MIN_GAP_M <= length <= config.opening_max_m:
        return None
    reach = end.normal * (length + end.width)
    box = Polygon([end.corners[0], end.corners[1], end.corners[1] + reach, end.corners[0] + reach])
    near = [piece for piece in _pieces(box.difference(walls.region)) if piece.distance(LineString(end.corners)) < 0.01]
    if not near:
        return None
    region = max(near, key=lambda piece: piece.area)
    stop = end.middle + end.normal * length
    behind = Polygon([*end.corners, *(end.corners - end.normal * walls.slack_m)[::-1]])
    return Gap(region, end.middle, stop, end.width, region.union(behind), 1), end.is_strong


def _pieces(region: Any) -> list[Any]:
    return [piece for piece in getattr(region, "geoms", [region]) if piece.area > 0]
