"""Rooms: what the walls close off once the openings are filled in; and the walls that close nothing."""

from __future__ import annotations

import re
from typing import Any

from shapely.geometry import MultiPolygon, Point, box

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.dxf import joined
from nerf2mesh.inputs.linework.kinds import Label
from nerf2mesh.inputs.plan.gaps import WallEnd
from nerf2mesh.inputs.plan.kinds import OUTSIDE, Gap, OpenWalls, Room, Walls

MIN_ROOM_M2 = 0.4
"""Smaller closed regions are shafts and hollows in the walls."""
REACH_M = 0.001
"""Slits between a filling and the wall beside it are closed up to twice this width."""


def close(walls: Any, gaps: list[Gap]) -> Any:
    """The walls with gaps filled in."""
    whole = joined([walls, *(gap.filling for gap in gaps)])
    return whole.buffer(REACH_M, join_style="mitre").buffer(-REACH_M, join_style="mitre")


def closed_regions(walls: Any) -> list[Any]:
    """What cannot be reached from outside, in reading order: rows from the top, each from the left."""
    low_x, low_y, high_x, high_y = walls.bounds
    frame = box(low_x - 1, low_y - 1, high_x + 1, high_y + 1)
    free = frame.difference(walls)
    inside = [piece for piece in getattr(free, "geoms", [free]) if piece.distance(frame.exterior) > 0.5]
    inside = [piece for piece in inside if piece.area >= MIN_ROOM_M2]
    return _in_rows(inside)


def _in_rows(pieces: list[Any]) -> list[Any]:
    """Regions whose middles lie beside the highest one that is left make a row."""
    left_over, ordered = sorted(pieces, key=lambda piece: -piece.bounds[3]), []
    while left_over:
        _, low, _, high = left_over[0].bounds
        row = [piece for piece in left_over if low <= (piece.bounds[1] + piece.bounds[3]) / 2 <= high]
        ordered += sorted(row, key=lambda piece: (round(piece.bounds[0], 1), -piece.bounds[3]))
        left_over = [piece for piece in left_over if not any(piece is taken for taken in row)]
    return ordered


def leaks(walls: Walls, filled: list[Gap], unfilled: list[Gap]) -> list[Gap]:
    """Gaps without a symbol by which a room is open to the outside."""
    rooms = joined(closed_regions(close(walls.region, filled)))
    if not unfilled:
        return []
    every = closed_regions(close(walls.region, filled + unfilled))
    lost = [piece for piece in every if not rooms.covers(piece.representative_point())]
    whole = joined(every)
    found = []
    for gap in unfilled:
        sides = [any(piece.distance(Point(at)) < 0.05 for piece in lost) for at in _both_sides(gap)]
        outside = [not whole.buffer(0.05).covers(Point(at)) for at in _both_sides(gap)]
        if any(sides) and any(outside):
            found.append(gap)
    return found


def check_closed(
    walls: Walls, rooms: list[Any], leaking: list[Gap], ends: list[WallEnd], config: InputConfig, path: str
) -> None:
    """OpenWalls where a room is open to the outside, or where the walls close none; the place is named."""
    if leaking:
        said = " and ".join(f"{gap.width:.2f} m at {place(gap.middle)}" for gap in leaking[:3])
        raise OpenWalls(
            f"input.image: expected closed walls, got a gap of {said} from the lower left of {path}, with neither a "
            "door nor a window in it; draw one, or close the wall",
            walls.region,
            tuple(gap.middle for gap in leaking),
        )
    if not rooms:
        loose = sorted(ends, key=lambda end: -end.side / end.width)[:2]
        spots = tuple((float(end.middle[0]), float(end.middle[1])) for end in loose)
        where = f"open ends at {' and '.join(map(place, spots))}" if spots else "none that close one"
        raise OpenWalls(
            f"input.image: expected walls around at least one room, got {where} from the lower left of {path}; close "
            f"the walls (gaps over input.opening_max_m={config.opening_max_m:g} m are no openings)",
            walls.region,
            spots,
        )


def place(at: tuple[float, float]) -> str:
    """For messages."""
    return f"x {at[0]:.2f} m, y {at[1]:.2f} m"


def named_rooms(regions: list[Any], labels: tuple[Label, ...]) -> list[Room]:
    """Each region with the name that stands in it, else room_1, room_2 ..."""
    rooms: list[Room] = []
    for k, region in enumerate(regions, start=1):
        texts = [label.text for label in labels if region.covers(Point(label.at)) and _is_name(label.text)]
        name = _plain(texts[0]) if texts else f"room_{k}"
        taken = {room.name for room in rooms}
        number = next(n for n in range(1, len(regions) + 2) if (name if n == 1 else f"{name}_{n}") not in taken)
        rooms.append(Room(name if number == 1 else f"{name}_{number}", region))
    return rooms


def rooms_beside(gap: Gap, rooms: list[Room]) -> tuple[str, ...]:
    """The rooms on both sides of an opening, "outside" where there is none."""
    names = []
    for at in _both_sides(gap):
        names.append(next((room.name for room in rooms if room.region.buffer(0.05).covers(Point(at))), OUTSIDE))
    return tuple(names)


def _both_sides(gap: Gap) -> list[tuple[float, float]]:
    """A point just beyond the wall on either side of a gap's middle."""
    (x, y), way = gap.middle, (gap.stop - gap.start) / gap.width
    step = gap.thickness / 2 + 0.06
    found = []
    for sign in (1.0, -1.0):
        reach = step
        while gap.region.covers(Point(x - sign * way[1] * reach, y + sign * way[0] * reach)):
            reach += 0.05  # the middle of a curved wall lies off the chord
        found.append((float(x - sign * way[1] * reach), float(y + sign * way[0] * reach)))
    return found


def _is_name(text: str) -> bool:
    """Words, not an area or a measure."""
    return bool(re.search(r"[^\W\d_]{3,}", text))


def _plain(text: str) -> str:
    """For node names: letters of any script, digits and underscores."""
    words = re.findall(r"[^\W_]+", re.sub(r"\d+([.,]\d+)?\s*(m2|m²|sqm|qm)\b.*", "", text.lower()))
    return "_".join(words)[:40] or "room"


def largest(region: Any) -> MultiPolygon:
    """The region as a MultiPolygon."""
    return region if isinstance(region, MultiPolygon) else MultiPolygon([region])
