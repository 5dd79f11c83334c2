"""A floor plan as a walk-through: walls, a floor and a ceiling for each room, a frame in each opening. Metres.

Names: walls, floor_ROOM, ceiling_ROOM, door_1, window_1, passage_1. Heights count from the floors' upper side.
"""

from __future__ import annotations

import colorsys
from itertools import pairwise
from typing import Any

import manifold3d
import numpy as np
from shapely.geometry import LineString
from shapely.ops import unary_union

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.plan.kinds import Opening, Plan
from nerf2mesh.mesh.solid.extrude import extruded, united
from nerf2mesh.mesh.solid.parts import SRGB, Part, part_of

WALL_COLOR = (0.90, 0.88, 0.84)
FRAME_COLORS: dict[str, SRGB] = {
    "door": (0.48, 0.33, 0.22),
    "window": (0.62, 0.70, 0.76),
    "passage": (0.80, 0.78, 0.74),
}
FRAME_M = 0.04
"""Width of a frame's members."""
CUT_M = 2e-4
"""Openings are cut wider by this, so that no skin stays where outlines agree only to rounding."""
GOLDEN = 0.618034


def building_parts(plan: Plan, config: InputConfig) -> list[Part]:
    """Every part of the building, each closed."""
    low, high = -config.slab_m, config.wall_height_m + config.slab_m
    parts = [part_of("walls", _walls(plan, low, high), WALL_COLOR)]
    for k, room in enumerate(plan.rooms):
        material, color = f"room_{room.name.removeprefix('room_')}", room_color(k)
        parts.append(part_of(f"floor_{room.name}", extruded(room.region, low, 0.0), color, material))
        pale = part_of(f"ceiling_{room.name}", extruded(room.region, config.wall_height_m, high), _pale(color))
        parts.append(pale)
    return parts + [_frame(opening, low) for opening in plan.openings]


def room_color(k: int) -> SRGB:
    """The k-th of a series of well separated colors, sRGB."""
    return colorsys.hls_to_rgb((0.08 + GOLDEN * k) % 1.0, 0.62, 0.45)


def walk_start(plan: Plan) -> dict[str, object]:
    """Where the walk-through begins, in the file's axes (+Y up): in the largest room, looking at its farthest door.

    heading_deg: 0 looks up on the sheet, 90 to the right.
    """
    room = max(plan.rooms, key=lambda room: room.area_m2)
    at = room.region.representative_point()
    own = [o for o in plan.openings if room.name in o.rooms]
    doors = [o for o in own if o.kind != "window"] or own
    views = [np.subtract(o.gap.middle, (at.x, at.y)) for o in doors]
    x, y = max(views, key=lambda view: float(np.hypot(*view)), default=(0.0, 1.0))
    return {"start": [at.x, 0.0, -at.y], "heading_deg": float(np.rad2deg(np.arctan2(x, y))), "eye_height_m": 1.6}


def _walls(plan: Plan, low: float, high: float) -> manifold3d.Manifold:
    """The walls in layers between the heights at which an opening begins or ends."""
    heights = sorted({low, high, *(h for o in plan.openings for h in (_sill(o, low), o.head_m))})
    layers = []
    for bottom, top in pairwise(heights):
        cut = [o.gap.region for o in plan.openings if _sill(o, low) <= bottom and top <= o.head_m]
        region = plan.walls.difference(unary_union(cut).buffer(CUT_M, join_style="mitre")) if cut else plan.walls
        layers.append(extruded(region, bottom, top))
    return united(layers)


def _sill(opening: Opening, low: float) -> float:
    """A door's threshold lies in the floor; a sliver of wall below it would show."""
    return opening.sill_m if opening.kind == "window" else low


def _frame(opening: Opening, low: float) -> Part:
    """Members along the opening's sides, its head and its sill; a door's sill is the floor between the rooms."""
    region = opening.gap.region
    start, stop = opening.gap.start, opening.gap.stop
    way = (stop - start) / opening.gap.width
    inner = _shortened(region, way, start, stop)
    bottom = opening.sill_m if opening.kind == "window" else low
    clear = bottom + FRAME_M if opening.kind == "window" else 0.0
    whole = extruded(region, bottom, opening.head_m)
    hole = extruded(inner, clear, opening.head_m - FRAME_M)
    return part_of(opening.name, whole - hole, FRAME_COLORS[opening.kind], opening.kind)


def _shortened(region: Any, way: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Any:
    """The region without FRAME_M at both ends, and a little wider across."""
    a, b = start + way * FRAME_M, stop - way * FRAME_M
    reach = max(region.bounds[2] - region.bounds[0], region.bounds[3] - region.bounds[1]) + 1.0
    return LineString([a, b]).buffer(reach, cap_style="flat")


def _pale(color: SRGB) -> SRGB:
    r, g, b = (0.75 + 0.25 * c for c in color)
    return r, g, b
